"""remember: one short fact that agents of later runs are told; a person is shown it first, whatever the mode."""

from __future__ import annotations

import hashlib
import re

from pydantic import Field

from ..configs.memory import HEADERS
from ..configs.project_files import AUTO_MEMORY, MAX_BYTES
from ..core.effects import Effect, FileWrite, Nothing, ToolResult
from ..core.errors import ToolError
from ..core.texts import FileText, visible
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .paths import read_inside, refuse_denied, relative_path, resolve_inside
from .prompt_text import description
from .text_files import editable, uses_crlf

MAX_CHARS = 200
"""Of one fact: a line that is read at a glance, by the person who is asked as well."""
_NOTE = "Agents of later runs in this project will be told this."
_KEPT = re.compile(r"- (?:\d{4}-\d\d-\d\d: )?(.*)")


class Args(ToolArgs):
    fact: str = Field(description="one sentence")


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the write that adds the fact as a dated line, or nothing where it stands there already.

    Raises:
        ToolError: nothing can be kept here, the fact is empty or too long, or the file is full or no file of ours.
    """
    if ctx.memory is None:
        raise ToolError("nothing can be remembered here.")
    fact = _one_line(ctx.secrets.mask(args.fact))
    before = _content(ctx)
    file = FileText("") if before is None else editable(before, AUTO_MEMORY)
    if _same(fact) in {_same(kept) for kept in _kept(file.text)}:
        return Nothing(ToolResult("That is remembered already; nothing was written."))
    line = f"- {ctx.memory.day}: {fact}"
    post = file.encode(_with_line(file.text if before else HEADERS["auto"], line))
    if len(post) > ctx.memory.max_bytes:
        raise ToolError(
            f"{AUTO_MEMORY} is full ({len(before or b''):,} of {ctx.memory.max_bytes:,} bytes); nothing was written."
            " Tell the user, who can shorten it with `flow memory edit auto`."
        )
    pre_sha = None if before is None else hashlib.sha256(before).hexdigest()
    return FileWrite(AUTO_MEMORY, pre_sha, post, f"Kept for later runs: {line}", review="memory", note=_NOTE)


def _one_line(text: str) -> str:
    fact = visible(" ".join(text.split())).removeprefix("- ")
    if not fact:
        raise ToolError("there is nothing to remember: the fact is empty.")
    if len(fact) > MAX_CHARS:
        raise ToolError(f"the fact has {len(fact)} characters; say it in at most {MAX_CHARS}.")
    return fact


def _content(ctx: ToolContext) -> bytes | None:
    resolved = resolve_inside(ctx.workspace, AUTO_MEMORY)
    if relative_path(ctx.workspace, resolved) != AUTO_MEMORY:
        raise ToolError(f"{AUTO_MEMORY} is a link or lies behind one; nothing is written there.")
    refuse_denied(ctx.workspace, AUTO_MEMORY)
    return read_inside(ctx.workspace, AUTO_MEMORY, MAX_BYTES)


def _kept(text: str) -> list[str]:
    return [match[1] for line in text.splitlines() if (match := _KEPT.fullmatch(line.strip()))]


def _same(fact: str) -> str:
    """Return what two facts have in common that say the same in the same words."""
    return " ".join(fact.casefold().split()).rstrip(".。")


def _with_line(text: str, line: str) -> str:
    end = "\r\n" if uses_crlf(text) else "\n"
    gap = end if text and not text.endswith("\n") else ""
    return f"{text}{gap}{line}{end}"


TOOL = ToolSpec("remember", "edit", description("remember"), Args, plan)
