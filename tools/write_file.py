"""write_file: create a file or replace it as a whole; an existing file keeps its mode, encoding and line ends."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ..core.effects import Effect, FileWrite, Nothing, ToolResult
from ..core.errors import ToolError
from ..core.texts import FileText, decode
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .masked import restored
from .paths import read_inside, resolve_for_write
from .prompt_text import description
from .region_diff import text_diff
from .seen import standing
from .syntax import new_errors
from .text_files import uses_crlf
from .three_way import merge


class Args(ToolArgs):
    path: str
    content: str


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the write, or nothing when the file already has exactly this content.

    Raises:
        ToolError: the path may not be written, its file was never shown, or the content can not be encoded.
    """
    _, relative = resolve_for_write(ctx.workspace, args.path)
    before = read_inside(ctx.workspace, relative)
    content = _with_secrets(args.content, relative, before, ctx)
    post, remark = _bytes(content, before)
    if post == before:
        return Nothing(ToolResult(f"{relative} already has exactly this content; nothing was written."))
    write = _write(relative, before, post, f"{_count(content)} lines, {len(post):,} bytes{remark}")
    write = _merged(write, before, ctx) if before else write
    old, new = decode(before or b""), decode(write.post)
    broken = new_errors(relative, old.text if old else "", new.text if new else "")
    return replace(write, summary=f"{write.summary}\n{broken}") if broken else write


def _with_secrets(content: str, path: str, before: bytes | None, ctx: ToolContext) -> str:
    """Return the content with the file's own secrets in place of their placeholders."""
    files = [decode(before), standing(ctx, path, before).shown] if before else []
    return restored(content, path, ctx.secrets, *(file.text for file in files if file is not None))


def _count(content: str) -> int:
    return content.count("\n") + (not content.endswith("\n")) if content else 0


def _write(relative: str, before: bytes | None, post: bytes, size: str) -> FileWrite:
    verb = "Created" if before is None else "Replaced"
    pre_sha = None if before is None else hashlib.sha256(before).hexdigest()
    return FileWrite(relative, pre_sha, post, f"{verb} {relative}: {size}.")


def _merged(write: FileWrite, before: bytes, ctx: ToolContext) -> FileWrite:
    """Return the write with what somebody changed in the file since it was shown kept.

    Raises:
        ToolError: it was never shown, or what was shown is not known any more.
    """
    known = standing(ctx, write.path, before)
    if known.kind == "seen":
        return write
    now, wanted = decode(before), decode(write.post)
    if known.shown is None or now is None or wanted is None:
        why = "exists and you have not read it" if known.kind == "unseen" else "changed since you saw it"
        edit = ctx.names.tool("edit_file")
        raise ToolError(f"{write.path} {why}; nothing was written. Read it first, or change a part with {edit}.")
    merge_of = merge(known.shown.text, now.text, wanted.text)
    summary = f"{write.summary} It had been changed since you read it:\n{text_diff(wanted.text, merge_of.text)}"
    return replace(
        write,
        post=now.encode(merge_of.text),
        summary=summary if merge_of.text != wanted.text else write.summary,
        review="conflict" if merge_of.overlaps else "",
        note=merge_of.overlaps,
    )


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
