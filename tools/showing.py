"""Effects as a person reads them before saying yes: the diff or the command, with nothing invisible in it."""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass
from typing import Any

from ..core.effects import Command, FileWrite
from ..core.texts import decode, visible
from .commit import hooks_of, planned_commit
from .commit_script import COMMIT_SCRIPT

_SHOWN_FILES = 5
_SUBJECT_CHARS = 120


@dataclass(frozen=True, slots=True)
class ShownEffect:
    """A title line, the whole diff or command below it, and the same as JSON data."""

    title: str
    body: str
    payload: dict[str, Any]


def show_effect(effect: FileWrite | Command, before: bytes | None) -> ShownEffect:
    """Return an effect for a person.

    Args:
        before: the content a write replaces; None = the file is new.
    """
    if isinstance(effect, Command):
        return _show_command(effect)
    path = visible(effect.path)
    diff = visible_diff(effect.path, before, effect.post)
    title = f"Create {path}?" if before is None else f"Change {path}?"
    return ShownEffect(title, diff, {"effect": "write", "path": path, "diff": diff})


def command_line(command: Command) -> str:
    """Return a command as one would type it, with nothing invisible in it."""
    argv = command.argv
    is_line = len(argv) == 3 and argv[:2] == ("bash", "-c")
    return visible(argv[2] if is_line else shlex.join(argv))


def short_line(command: Command) -> str:
    """Return a command in a line for a list: of a commit its message's first line and its files, else all of it."""
    commit = planned_commit(command.argv)
    if commit is None:
        return command_line(command)
    more = len(commit.files) - _SHOWN_FILES
    files = ", ".join(commit.files[:_SHOWN_FILES]) + (f" and {more:,} more" if more > 0 else "")
    subject = commit.message.partition("\n")[0]
    return visible(f"git commit: {subject[:_SUBJECT_CHARS]} ({files})").replace("\n", " ")


def _show_command(command: Command) -> ShownEffect:
    argv, line = command.argv, command_line(command)
    where = "" if command.cwd == "." else f" in {visible(command.cwd)}"
    network = " with the network" if command.network else ""
    payload: dict[str, Any] = {
        "effect": "command",
        "command": line,
        "argv": [visible(part) for part in argv],
        "cwd": visible(command.cwd),
        "timeout_s": command.timeout_s,
    }
    if command.network:
        payload["network"] = True
    if command.env:
        payload["env"] = {visible(name): visible(value) for name, value in command.env.items()}
    commit = planned_commit(argv)
    if commit is not None and argv[2] == COMMIT_SCRIPT:
        # A constant script that only wraps `git commit`: what is committed says more than its text.
        files = "\n".join(f"  {visible(name)}" for name in commit.files)
        hooks = f"and run the hooks {', '.join(names)}\n" if (names := hooks_of(command)) else ""
        body = f"{files}\n{hooks}with the message\n{visible(commit.message)}"
        return ShownEffect("Commit these files?", body, payload)
    if command.background:
        payload["background"] = True
    until = "in the background, until the run ends" if command.background else f"(at most {command.timeout_s:g} s)"
    return ShownEffect(f"Run this command{where}{network} {until}?", line, payload)


def visible_diff(path: str, before: bytes | None, after: bytes) -> str:
    """Return a unified diff with everything in it visible; a binary file is told by its sizes."""
    old = decode(before or b"")
    new = decode(after)
    if old is None or new is None:
        return f"(binary: {len(before or b''):,} bytes before, {len(after):,} bytes after)"
    old_text, new_text = old.text, new.text
    if _all_crlf(old_text) and _all_crlf(new_text):
        # Line ends that stay the same on every line would only be noise.
        old_text, new_text = old_text.replace("\r\n", "\n"), new_text.replace("\r\n", "\n")
    lines = difflib.unified_diff(
        _lines(old_text), _lines(new_text), "/dev/null" if before is None else f"a/{path}", f"b/{path}"
    )
    remarks = _form_changes(old.encoding, bool(old.bom), new.encoding, bool(new.bom)) if before else ""
    return visible("".join(_ended(line) for line in lines) + remarks)


def _all_crlf(text: str) -> bool:
    return text.count("\n") == text.count("\r\n")


def _lines(text: str) -> list[str]:
    # By "\n" only: splitlines would also break at characters that have to be shown.
    return [line + "\n" for line in text.split("\n")[:-1]] + ([tail] if (tail := text.split("\n")[-1]) else [])


def _ended(line: str) -> str:
    return line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _form_changes(old_encoding: str, old_bom: bool, new_encoding: str, new_bom: bool) -> str:
    changes = []
    if old_encoding != new_encoding:
        changes.append(f"encoding {old_encoding} -> {new_encoding}")
    if old_bom != new_bom:
        changes.append("byte order mark " + ("added" if new_bom else "removed"))
    return f"({', '.join(changes)})\n" if changes else ""
