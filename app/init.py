"""`flow init`: what agents should know of a repository, written without a model into its `.agent.md`."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..configs.conventions import conventions, entry_points, project_commands
from ..configs.project_files import LOCAL_MEMORY, PROJECT_MEMORY, link_target
from ..core.errors import FlowError, ToolError, UsageError
from ..retrieval.files import ignores, list_files
from ..retrieval.overview import languages, layout
from ..tools.paths import read_inside, replace_file
from ..tools.showing import visible_diff
from .context import AppContext
from .secrets import make_mask

_IGNORE = ".gitignore"
_MAX_BYTES = 1_000_000
_PLAIN = re.compile(r"[\w.@+-]{1,60}")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that is going to be written. `before`: its bytes now; None = there is none. `name`: in the workspace."""

    name: str
    before: bytes | None
    after: bytes

    @property
    def diff(self) -> str:
        """The change with nothing invisible in it."""
        return visible_diff(self.name, self.before, self.after)


@dataclass(frozen=True, slots=True)
class InitPlan:
    """What `flow init` is going to write, () = nothing, and in a line each what a person should know."""

    files: tuple[PlannedFile, ...]
    notes: tuple[str, ...]


def plan_init(context: AppContext, *, force: bool) -> InitPlan:
    """Return what is to be written; nothing is changed.

    Args:
        force: an `.agent.md` that says something else is replaced.

    Raises:
        UsageError: there is one already, it is a link or no regular file, or an ignore file cannot be used.
    """
    memory, memory_notes = _memory_file(context, force=force)
    ignore, ignore_notes = _ignore_file(context.workspace)
    files = tuple(file for file in (memory, ignore) if file is not None)
    return InitPlan(files, (*memory_notes, *ignore_notes))


def apply_init(context: AppContext, plan: InitPlan) -> None:
    """Write the planned files, and trust the memory file: all of it was made here.

    Raises:
        FlowError: a file changed since it was planned, or cannot be written.
    """
    for file in plan.files:
        if _content(context.workspace, file.name) != file.before:
            raise FlowError(f"{file.name} has changed meanwhile; it was not written.", hint="Run it again.")
        try:
            replace_file(context.workspace, file.name, file.after)
        except OSError as err:
            raise FlowError(f"{file.name} cannot be written: {err.strerror}.") from err
        if file.name == PROJECT_MEMORY:
            context.trust.trust_content(context.workspace / file.name, file.after)


def _memory_file(context: AppContext, *, force: bool) -> tuple[PlannedFile | None, list[str]]:
    before = _content(context.workspace, PROJECT_MEMORY)
    after = describe(context).encode()
    if before == after:
        path = context.workspace / PROJECT_MEMORY
        is_told = context.trust.covers(path, after)
        return None, [] if is_told else [
            f"{PROJECT_MEMORY} is not trusted; `flow trust {PROJECT_MEMORY}` lets it act."
        ]
    if before is not None and not force:
        raise UsageError(
            f"{PROJECT_MEMORY} exists already.",
            hint="`flow memory edit` opens it; `flow init --force` replaces it and shows the difference first.",
        )
    return PlannedFile(PROJECT_MEMORY, before, after), []


def _ignore_file(workspace: Path) -> tuple[PlannedFile | None, list[str]]:
    """Return the .gitignore with a line for the local memory; None = it needs none, or cannot have one."""
    if not (workspace / ".git").exists():
        return None, [f"This is no git repository, so nothing keeps {LOCAL_MEMORY} out of one."]
    try:
        before = _content(workspace, _IGNORE)
    except UsageError as err:
        return None, [f"{err.message} {LOCAL_MEMORY} was not added to it."]
    if ignores(workspace / _IGNORE, LOCAL_MEMORY):
        return None, []
    text = before or b""
    end = b"\r\n" if text.count(b"\r\n") * 2 > text.count(b"\n") else b"\n"
    gap = end if text and not text.endswith(b"\n") else b""
    return PlannedFile(_IGNORE, before, text + gap + LOCAL_MEMORY.encode() + end), []


def _content(workspace: Path, name: str) -> bytes | None:
    if target := link_target(workspace / name, workspace):
        raise UsageError(f"{name} is a link to {str(target)!r}.", hint="Make it a file of its own, or remove it.")
    try:
        return read_inside(workspace, name, _MAX_BYTES)
    except (ToolError, OSError) as err:
        reason = err.strerror if isinstance(err, OSError) else str(err)
        raise UsageError(f"{name} cannot be used: {reason}", hint="Move it away or mend it.") from err


def describe(context: AppContext) -> str:
    """Return the text of the memory file: languages, commands, folders, entry points and conventions.

    The same files give the same text. A repository's own words stand in it only where they are names or paths.

    Raises:
        UsageError: an ignore file that denies cannot be used.
    """
    workspace, limits = context.workspace, context.settings.retrieval
    paths = [file.path for file in list_files(workspace, limits.max_file_bytes, limits.max_files).files]
    name = workspace.name if _PLAIN.fullmatch(workspace.name) else "This project"
    commands = project_commands(workspace, _verify_lines(context))
    used = ", ".join(languages(paths))
    parts = [
        f"# {name}",
        f"Languages: {used}." if used else "",
        _section("Commands", [f"{kind}: {', '.join(map(_code, lines))}" for kind, lines in commands.items()]),
        _section("Folders", layout(paths)),
        _section("Starts in", entry_points(workspace, paths)),
        _section("Conventions", conventions(workspace)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", *(f"- {line}" for line in lines)]) if lines else ""


def _code(line: str) -> str:
    return f"`{line}`"


def _verify_lines(context: AppContext) -> list[str]:
    """Return the test and check commands of the settings, those left out that hold a secret or are no single line."""
    mask = make_mask(b"", os.environ, context.workspace)
    return [
        line for line in _set_lines(context) if line.isprintable() and "`" not in line and mask.mask(line) == line
    ]


def _set_lines(context: AppContext) -> Iterator[str]:
    for command in (context.settings.verify, context.settings.check):
        if command:
            yield command if isinstance(command, str) else shlex.join(command)
