"""What the table of programs says beside the verdict: the prefix for "always", programs that wait for a person, and
how much of a command's output a person sees."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..configs.workspace import find_workspace
from .shell_parse import SimpleCommand, parse_line
from .shell_programs import table
from .shell_words import Word

Display = Literal["collapsed", "tail", "plain"]

_NON_INTERACTIVE = "Run it so that it needs no answer"
_GIT_EDITORS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "rebase": (("-i", "--interactive", "--edit-todo"), "use git rebase without -i, or git commit --fixup"),
    "add": (("-p", "-i", "-e", "--patch", "--interactive", "--edit"), "name the files: git add PATH"),
    "checkout": (("-p", "--patch"), "name the files"),
    "reset": (("-p", "--patch"), "name the files"),
    "restore": (("-p", "--patch"), "name the files"),
    "stash": (("-p", "--patch"), "use git stash push PATH"),
    "mergetool": ((), "edit the files that have conflicts"),
    "difftool": ((), "use git diff"),
    "gui": ((), "use git status and git diff"),
    "citool": ((), "use git commit -m"),
}
_STAGING = frozenset({"add", "stage", "commit"})
_HARMLESS = frozenset({"--dry-run", "--help", "-h"})
_STAGES_FIRST = re.compile(r"\s*(?:cd\s+([^\s;&|$`'\"]+)\s*&&\s*)?git\s+(?:add|stage|commit)\s")
"""The beginning of a line that is not taken apart, such as one with a message from a here-document."""
_COMMIT_MESSAGE = ("-m", "-F", "-C", "--message", "--file", "--reuse-message", "--no-edit", "--fixup", "--dry-run")


def prefix_of(words: Sequence[Word]) -> str:
    """Return the words that "always" is offered for; "" = none, because they would allow too much.

    `npm run test -- -x` gives `npm run test`, `git commit -m x` gives `git commit`, `python -c x` nothing.
    """
    if not words or not words[0].fixed:
        return ""
    known = table().prefix
    program = words[0].text
    length = 1
    if program in known["words2"]:
        length = 2
    if " ".join(word.text for word in words[:2]) in known["words3"]:
        length = 3
    if program in known["scripts"]:
        length = max(length, 2)
    chosen = words[:length]
    text = " ".join(word.text for word in chosen)
    # Beyond `-m` of python nothing that begins with "-" names what is run.
    names = [word for word in chosen[1:] if word.text != "-m"]
    is_named = len(chosen) == length and all(word.fixed and not word.text.startswith("-") for word in names)
    bare = " ".join([posixpath.basename(program), *(word.text for word in words[1:])])
    if not is_named or any(f"{bare} ".startswith(f"{never} ") for never in known["never"]):
        return ""
    if chosen[-1].text == "-m" or any(_needs_quotes(word.text) for word in chosen):
        return ""
    return text


def _needs_quotes(text: str) -> bool:
    return not text or any(char in text for char in " \t\n'\"\\$`;&|<>()*?[]{}~#!")


def display_of(line: str) -> Display:
    """Return how much of a line's output a person sees: nothing but its size, its last lines, or all of it."""
    parsed = parse_line(line)
    kinds = {_display(command.words) for command in parsed.commands}
    if "tail" in kinds:
        return "tail"
    return "collapsed" if "collapsed" in kinds else "plain"


def _display(words: Sequence[Word]) -> Display:
    text = " ".join(word.text for word in words)
    for kind in ("tail", "collapsed"):
        if any(text == start or text.startswith(f"{start} ") for start in table().display[kind]):
            return "tail" if kind == "tail" else "collapsed"
    return "plain"


def interactive_hint(line: str) -> str:
    """Return why a line would wait for a person and what to do instead; "" = it would not."""
    parsed = parse_line(line)
    if parsed.fault:
        return ""  # what is not read for certain is asked for; a person sees it
    for place, command in enumerate(parsed.commands):
        is_fed = command.joint in ("|", "|&") or any(part.operator.startswith("<") for part in command.redirects)
        is_followed = place + 1 < len(parsed.commands) and parsed.commands[place + 1].joint in ("|", "|&")
        if hint := _hint(command, is_fed=is_fed, is_piped_on=is_followed):
            return hint
    return ""


def commit_hint(line: str, workspace: Path, tool: str) -> str:
    """Return what to do in place of a line that stages or commits in the workspace's own repository, whose data no
    command may write; "" = it does not, or that can not be told.

    Args:
        workspace: absolute, resolved.
        tool: the name under which the model has the tool git; "" = it does not have it.
    """
    if not _stages_here(line, workspace):
        return ""
    if tool:
        return f"commands do not write to .git: use the tool {tool} with action commit, which needs no git add."
    return "commands do not write to .git: leave the files changed as they are, and commits to the user."


def _stages_here(line: str, workspace: Path) -> bool:
    parsed = parse_line(line)
    if parsed.fault:
        begun = _STAGES_FIRST.match(line)
        return begun is not None and _is_own(workspace / (begun[1] or ""), workspace)
    folder: Path | None = workspace
    for command in parsed.commands:
        if not command.words:
            continue
        program, *rest = command.words
        name = posixpath.basename(program.text)
        if name in ("cd", "pushd", "popd"):
            folder = folder / rest[0].text if folder and len(rest) == 1 and rest[0].fixed else None
        elif name == "git":
            action, place, options = _git_action(rest, folder)
            if action in ("init", "clone") or any(word.text.startswith("GIT_") for word in command.assignments):
                return False  # what comes after it may be meant for another repository
            if action in _STAGING and not _HARMLESS & options and place and _is_own(place, workspace):
                return True
    return False


def _git_action(rest: Sequence[Word], folder: Path | None) -> tuple[str, Path | None, set[str]]:
    """Return git's command, the folder it works in (None = not known) and what follows the command."""
    words = iter(rest)
    for word in words:
        if word.text == "-C":
            other = next(words, None)
            folder = folder / other.text if folder and other is not None and other.fixed else None
        elif word.text == "-c":
            next(words, None)
        elif word.text.startswith(("--git-dir", "--work-tree")):
            folder = None
        elif not word.text.startswith("-"):
            return word.text, folder, {each.text for each in words}
    return "", folder, set()


def _is_own(folder: Path, workspace: Path) -> bool:
    root = find_workspace(workspace)
    inner = Path(os.path.normpath(folder))
    return (root / ".git").exists() and find_workspace(inner) == root


def _hint(command: SimpleCommand, *, is_fed: bool, is_piped_on: bool) -> str:
    texts = [word.text for word in command.words]
    program, rest = posixpath.basename(texts[0]), texts[1:]
    known = table().interactive
    if program in known["editor"] and not _runs_in_batch(program, rest):
        return f"{program} waits for a person: edit files with your tools for that."
    if program in known["pager"] and not is_piped_on and program not in ("man", "info"):
        return f"{program} waits for a person: use cat, head or sed -n."
    if program in known["screen"] and not (program == "top" and any(part.startswith("-b") for part in rest)):
        return f"{program} draws on a terminal, and there is none: use a command that prints and ends."
    if program in known["remote"] and len([part for part in rest if not part.startswith("-")]) < 2:
        return f"{program} without a command waits for a person. {_NON_INTERACTIVE}."
    if program in known["prompt"] and not is_fed and not _has_work(program, rest):
        return f"{program} alone waits for lines: give it a file, or code with its option for that."
    if program == "git":
        return _git_hint(rest)
    return _other_hint(program, rest)


def _runs_in_batch(program: str, rest: Sequence[str]) -> bool:
    batch = {"emacs": ("--batch", "-batch"), "vim": ("-es", "-Es"), "nvim": ("--headless",), "code": ("--version",)}
    return "--version" in rest or any(part in rest for part in batch.get(program, ()))


def _has_work(program: str, rest: Sequence[str]) -> bool:
    if program in ("psql", "mysql", "mongosh", "sqlite3", "gdb"):
        works = ("-c", "-f", "-e", "--command", "--file", "--execute", "--eval", "-l", "--list", "--batch", "-batch")
        is_query = program == "sqlite3" and len([part for part in rest if not part.startswith("-")]) > 1
        return is_query or any(part.startswith(works) or part in ("--version", "-V", "--help") for part in rest)
    if program in ("su", "passwd"):
        return False
    return any(part != "-i" and part != "-v" for part in rest) or (program == "node" and rest == ["-v"])


def _git_hint(rest: Sequence[str]) -> str:
    name = next((part for part in rest if not part.startswith("-")), "")
    options = [part.partition("=")[0] for part in rest]
    if name in _GIT_EDITORS:
        asking, instead = _GIT_EDITORS[name]
        if not asking or any(option in asking for option in options):
            return f"git {name} {' '.join(asking[:1])}".strip() + f" waits for a person: {instead}."
    if name == "commit" and not any(_gives_message(option) for option in options):
        return "git commit without a message opens an editor: use git commit -m."
    return ""


def _gives_message(option: str) -> bool:
    if option in _COMMIT_MESSAGE:
        return True
    # -am "text", -qF file
    return option.startswith("-") and not option.startswith("--") and any(letter in option for letter in "mFC")


def _other_hint(program: str, rest: Sequence[str]) -> str:
    if program in ("npm", "yarn", "pnpm") and rest[:1] == ["init"] and not {"-y", "--yes"} & set(rest):
        return f"{program} init asks questions: add -y."
    if program == "tail" and any(_follows(part) for part in rest):
        return "tail -f never ends: use tail -n."
    if program == "crontab" and "-e" in rest:
        return "crontab -e opens an editor."
    if program in ("docker", "podman") and any(part in ("-it", "-ti", "--interactive", "-i") for part in rest):
        return f"{program} -i waits for a person: leave -it out."
    return ""


def _follows(part: str) -> bool:
    return part.startswith("--follow") or (part[:1] == "-" and part[:2] != "--" and any(c in part for c in "fF"))
