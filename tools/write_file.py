"""write_file: create a file or replace it as a whole; an existing file keeps its mode, encoding and line ends."""

from __future__ import annotations

import hashlib

from ..core.effects import Effect, FileWrite, Nothing, ToolResult
from ..core.errors import ToolError
from ..core.texts import FileText, decode
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .paths import read_inside, resolve_for_write
from .prompt_text import description
from .text_files import uses_crlf


class Args(ToolArgs):
    path: str
    content: str


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the write, or nothing when the file already has exactly this content.

    Raises:
        ToolError: the path may not be written, or the content can not be encoded.
    """
    _, relative = resolve_for_write(ctx.workspace, args.path)
    before = read_inside(ctx.workspace, relative)
    post, remark = _bytes(args.content, before)
    if post == before:
        return Nothing(ToolResult(f"{relative} already has exactly this content; nothing was written."))
    lines = args.content.count("\n") + (not args.content.endswith("\n")) if args.content else 0
    verb = "Created" if before is None else "Replaced"
    pre_sha = None if before is None else hashlib.sha256(before).hexdigest()
    return FileWrite(relative, pre_sha, post, f"{verb} {relative}: {lines} lines, {len(post):,} bytes{remark}.")


def _bytes(content: str, before: bytes | None) -> tuple[bytes, str]:
    """Return the content's bytes in the form of the file before, and what to say of that form."""
    old = decode(before) if before else None
    if old is None:
        return FileText("").encode(content), ""
    remark = ""
    if uses_crlf(old.text):
        content = content.replace("\r\n", "\n").replace("\n", "\r\n")
        remark = " (CRLF line ends kept)"
    if old.encoding == "utf-8":
        return old.encode(content), remark
    try:
        return old.encode(content), f"{remark} (encoding {old.encoding} kept)"
    except ToolError:
        return FileText("").encode(content), f"{remark} (now UTF-8: {old.encoding} lacks some of its characters)"


TOOL = ToolSpec("write_file", "edit", description("write_file"), Args, plan)
