"""read_file: a numbered piece of a text file, whatever its encoding and size."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TextIO

from pydantic import Field

from ..core.effects import Effect, Nothing, ToolResult
from ..core.errors import ToolError
from ..core.texts import FileText, decode
from ..core.tool import OUTPUT_BYTES, ToolContext, ToolSpec
from ..core.tool_names import ToolNames
from .args import ToolArgs
from .near import did_you_mean, near_files
from .output import output_id, printed_text
from .paths import open_inside, refuse_denied, relative_path, resolve_inside
from .prompt_text import description
from .seen import MAX_BYTES as MAX_SEEN_BYTES
from .seen import note_seen, shows_lines

DEFAULT_LINES = 300
MAX_BYTES = OUTPUT_BYTES
"""Size of one answer, where the conversation allows as much."""
MAX_LINE_CHARS = 1_000
WHOLE_BYTES = 4_000_000
"""Files up to this size are decoded as a whole; of larger ones the encoding is told from the beginning."""
MAX_SCAN_CHARS = 200_000_000
"""How far into a huge file a line is looked for: some seconds of reading."""


class Args(ToolArgs):
    path: str
    offset: int = Field(default=1, ge=1, description="first line")
    limit: int = Field(default=DEFAULT_LINES, ge=1, le=5_000)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Numbered lines, the last one's number, and whether the file ends with it."""

    lines: list[str]
    last: int
    ended: bool


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the numbered lines.

    What the conversation shows already, as it still is, is not shown again: a line says so. The path may also be the
    name of a kept output.

    Raises:
        ToolError: no such file, a folder, binary, denied, or the offset lies behind the end.
    """
    if output := ctx.outputs.get(output_id(args.path)):
        return Nothing(ToolResult(_kept_output(output, args, ctx)))
    resolved = resolve_inside(ctx.workspace, args.path)
    relative = relative_path(ctx.workspace, resolved)
    if resolved.is_dir():
        raise ToolError(f"{args.path!r} is a folder. List its files with {_listing(relative, ctx.names)}.")
    refuse_denied(ctx.workspace, relative)
    try:
        descriptor = open_inside(ctx.workspace, relative)
    except (FileNotFoundError, NotADirectoryError) as err:
        near = did_you_mean(near_files(ctx.workspace, relative))
        raise ToolError(f"there is no file {args.path!r}.{near}") from err
    with open(descriptor, "rb") as file:
        data = file.read(MAX_SEEN_BYTES)
        head = data[:WHOLE_BYTES]
        kind = _kind(head, len(head) == WHOLE_BYTES)
        if kind is None:
            raise ToolError(f"{args.path!r} is a binary file; it has no lines to read.")
        total = _count(kind.text) if len(head) < WHOLE_BYTES else None
        with _as_text(file, head, _masked(kind, relative, ctx)) as lines:
            piece = _read(lines, args, ctx.output_bytes)
    remarks = _remarks(piece, kind, args, total, ctx.names)
    text = "\n".join([*piece.lines, *remarks])
    # Of a larger file not all was read here; it is too large to be edited anyway.
    seen = note_seen(ctx, relative, data) if len(data) < MAX_SEEN_BYTES else {}
    if relative in seen and shows_lines(ctx, relative, seen[relative], args.offset, piece.last):
        unchanged = f"(unchanged: lines {args.offset}-{piece.last} are shown above as they are now)"
        if len(short := "\n".join([unchanged, *remarks])) < len(text):
            # It does not show them itself: once those above are gone, they count as gone.
            return Nothing(ToolResult(short))
    return Nothing(ToolResult(text, seen=seen, spans={relative: ((args.offset, piece.last),)} if seen else {}))


def _kept_output(output: str, args: Args, ctx: ToolContext) -> str:
    """Return numbered lines of what a tool said or a command printed, of which the conversation shows a part."""
    try:
        text = ctx.secrets.mask(printed_text(ctx.blobs.get(output)))
    except KeyError as err:
        raise ToolError(f"{args.path!r} is not kept any more. Make the call again whose output it was.") from err
    piece = _read(io.StringIO(text, newline="\n"), args, ctx.output_bytes)
    return "\n".join([*piece.lines, *_remarks(piece, FileText(text), args, _count(text), ctx.names)])


def _listing(folder: str, names: ToolNames) -> str:
    return f"{names.tool('glob')}, {names.argument('glob', 'pattern')} {folder + '/*'!r}"


def _kind(head: bytes, partial: bool) -> FileText | None:
    """Tell the encoding; the end of a partial head is left out, since it may lie inside a character."""
    if partial and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head[: head.rfind(b"\n") + 1] or head[:-8]
    elif partial:
        head = head[: len(head) // 4 * 4]
    return decode(head)


def _masked(kind: FileText, path: str, ctx: ToolContext) -> FileText:
    """Return the file's text without secrets, before a line of it is cut: then nobody would know the half of one."""
    return replace(kind, text=ctx.secrets.mask(kind.text, path))


def _as_text(file: io.BufferedReader, head: bytes, kind: FileText) -> TextIO:
    if len(head) < WHOLE_BYTES:
        return io.StringIO(kind.text, newline="\n")
    file.seek(len(kind.bom))
    return io.TextIOWrapper(file, encoding=kind.encoding, errors="replace", newline="\n")


def _read(text: TextIO, args: Args, max_bytes: int) -> _Piece:
    limit = min(MAX_BYTES, max_bytes)
    lines: list[str] = []
    size = number = 0
    for number, line in _lines(text, args.offset):
        shown = f"{number}|{line}"
        size += len(shown.encode("utf-8", errors="replace")) + 1
        if len(lines) == args.limit or (lines and size > limit):
            return _Piece(lines, number - 1, ended=False)
        if number >= args.offset:
            lines.append(shown)
    return _Piece(lines, number, ended=True)


def _lines(text: TextIO, offset: int) -> Iterator[tuple[int, str]]:
    """Yield 1-indexed lines without their ends from `offset` on, and the last line before it if there are no more."""
    number = scanned = 0
    skipped = False
    while part := text.readline(MAX_LINE_CHARS):
        number += 1
        length = len(part)
        while not part.endswith("\n") and (rest := text.readline(65_536)):
            length += len(rest)
            if rest.endswith("\n"):
                break
        scanned += length
        if scanned > MAX_SCAN_CHARS:
            raise ToolError(f"line {offset} lies too far into this huge file; use a shell command with sed or grep.")
        skipped = number < offset
        if not skipped:
            yield number, _shown(part, length)
    if skipped:
        yield number, ""


def _shown(part: str, length: int) -> str:
    line = part.rstrip("\r\n") if part.endswith("\n") else part
    left_out = length - len(part)
    return f"{line}… [{left_out} more characters]" if left_out > 2 else line


def _count(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n"))


def _remarks(piece: _Piece, kind: FileText, args: Args, total: int | None, names: ToolNames) -> list[str]:
    """Return what is said below the lines; `total`: the lines of the file, None = not counted.

    Raises:
        ToolError: the first line lies behind the end.
    """
    offset = names.argument("read_file", "offset")
    if args.offset > max(piece.last, 1):
        raise ToolError(f"{args.path!r} has {piece.last} lines; {offset} {args.offset} lies behind its end.")
    remarks = []
    if piece.ended and piece.last == 0:
        remarks.append("(the file is empty)")
    if not piece.ended:
        # The numbers of the lines shown stand in front of them.
        left = "" if total is None else f"{total - piece.last} "
        remarks.append(f"({left}more from {offset}={piece.last + 1})")
    if kind.encoding != "utf-8":
        remarks.append(f"(encoding: {kind.encoding})")
    return remarks


TOOL = ToolSpec("read_file", "read", description("read_file"), Args, plan, together=True)
