"""Effects: what a tool call is about to do, as data.

A tool plans an Effect without side effects; one runner asks, journals and applies it. Approval shows the Effect,
the journal stores it, the sandbox runs it, a snapshot knows what it touches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Category = Literal["read", "agent", "shell-safe", "edit", "shell", "outside-workspace", "network", "mcp"]
"""By how far an effect reaches, least first."""
Review = Literal["", "inexact", "conflict", "memory"]
Spans = tuple[tuple[int, int], ...]
"""Pieces of a file as (first line, last line), 1-indexed, inclusive."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool call came to.

    Attributes:
        text: what the model reads, already cut to its limit.
        failed: True when the call was refused or the command failed; the text says why.
        files: workspace-relative posix paths that the call changed.
        exit_code: of a command; None for anything else.
        full_output: blob id of the uncut output; "" when `text` is all of it.
        todos: the new to-do list when the call replaced it; None = untouched.
        seen: what `text` shows of files: SHA-256 hex of the whole content, by workspace-relative posix path.
        spans: which lines of these contents it shows whole, where that is known.
        denied: True when a rule, the mode or a person refused it, so that nothing was begun. It is not stored.
    """

    text: str
    failed: bool = False
    files: tuple[str, ...] = ()
    exit_code: int | None = None
    full_output: str = ""
    todos: tuple[dict[str, str], ...] | None = None
    seen: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, Spans] = field(default_factory=dict)
    denied: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "failed": self.failed,
            "files": list(self.files),
            "exit_code": self.exit_code,
            "full_output": self.full_output,
            "todos": None if self.todos is None else [dict(todo) for todo in self.todos],
            "seen": dict(self.seen),
            "spans": spans_to_json(self.spans),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> ToolResult:
        todos = data.get("todos")
        return ToolResult(
            text=data["text"],
            failed=data["failed"],
            files=tuple(data["files"]),
            exit_code=data["exit_code"],
            full_output=data["full_output"],
            todos=None if todos is None else tuple(todos),
            seen=data.get("seen", {}),
            spans=spans_from_json(data.get("spans", {})),
        )


def spans_to_json(spans: Mapping[str, Spans]) -> dict[str, list[list[int]]]:
    return {path: [[first, last] for first, last in pieces] for path, pieces in spans.items()}


def spans_from_json(data: Mapping[str, Any]) -> dict[str, Spans]:
    return {path: tuple((first, last) for first, last in pieces) for path, pieces in data.items()}


@dataclass(frozen=True, slots=True)
class FileWrite:
    """Replace one file as a whole.

    Attributes:
        path: workspace-relative posix path.
        pre_sha: SHA-256 hex of the bytes this was planned against; None = the file must not exist yet.
        post: the complete new content.
        summary: what the model is told once it is written.
        review: why a person should see it even where edits run unasked: "inexact" = the quoted place was recognised
            by likeness; "conflict" = it replaces what somebody changed since the file was read; "memory" = agents of
            later runs are told it; "" = no reason.
        note: what a person reads above the diff; "" = nothing.
    """

    path: str
    pre_sha: str | None
    post: bytes
    summary: str
    review: Review = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """Run a program in the workspace.

    Attributes:
        argv: program and arguments; a shell line is ("bash", "-c", line).
        cwd: workspace-relative posix path, "." = the workspace itself.
        env: added to the scrubbed environment.
        network: whether it has the network, where a sandbox can tell; None = as the settings say for all. Decided by
            the effect runner, not by the tool that plans it.
        timeout_s: seconds until its process group is ended.
        category: "read" for commands built by us that only read, "shell-safe" for a model's line that the shell
            policy found to only read (its environment is part of that), else "shell" (or "edit" for a commit).
        by_graph: True for a command that the graph file or a setting names (a shell node), so that no mode asks for
            it; what a rule denies or asks for it is denied or asked for all the same.
        read_only: absolute paths of existing files that it needs to read wherever they are, and can not change.
        background: it is begun and not waited for; it ends with the run at the latest.
    """

    argv: tuple[str, ...]
    timeout_s: float
    cwd: str = "."
    env: Mapping[str, str] = field(default_factory=dict)
    network: bool | None = None
    category: Category = "shell"
    by_graph: bool = False
    read_only: tuple[str, ...] = ()
    background: bool = False


@dataclass(frozen=True, slots=True)
class StopJob:
    """End a command in the background; one that has ended stays as it is. `number`: of the job, in its run."""

    number: int


@dataclass(frozen=True, slots=True)
class Spawn:
    """Run a sub-agent with a context of its own; only its final report comes back. `tools`: names it may use."""

    task: str
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """No effect outside the run: the result is already known (reads, searches, the to-do list)."""

    result: ToolResult


Effect = FileWrite | Command | StopJob | Spawn | Nothing


def effect_to_dict(effect: FileWrite | Command) -> dict[str, Any]:
    """Return the JSON form a journal keeps.

    A write's bytes are left out, they belong into the blobs; so is what concerned its approval, which is over then.
    """
    if isinstance(effect, FileWrite):
        return {"kind": "write", "path": effect.path, "pre_sha": effect.pre_sha, "summary": effect.summary}
    return {
        "kind": "command",
        "argv": list(effect.argv),
        "timeout_s": effect.timeout_s,
        "cwd": effect.cwd,
        "env": dict(effect.env),
        "network": effect.network,
        "category": effect.category,
        "by_graph": effect.by_graph,
        "read_only": list(effect.read_only),
        "background": effect.background,
    }


def effect_from_dict(data: dict[str, Any], post: bytes = b"") -> FileWrite | Command:
    """Return the effect that `effect_to_dict` was given.

    Args:
        post: the bytes of a write; unused for a command.
    """
    fields = {name: value for name, value in data.items() if name != "kind"}
    if data["kind"] == "write":
        return FileWrite(post=post, **fields)
    # A command of an earlier version has no `read_only`.
    return Command(**{**fields, "argv": tuple(fields["argv"]), "read_only": tuple(fields.get("read_only", ()))})
