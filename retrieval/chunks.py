"""Cuts a file into passages: one definition each, windows of lines elsewhere. Called by the code index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .parse import Symbol

WINDOW_LINES = 60
_LONGEST_DEFINITION = 80
_SHORTEST_DEFINITION = 3
# Fewer lines between two definitions (a comment, a decorator's import) belong to the one that follows.
_GAP_LINES = 5


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: 1-indexed inclusive lines, and the qualified name of the definition around it ("" = none).

    Attributes:
        context: signatures of the definitions that begin before it and hold it, the outer first, one a line.
    """

    start_line: int
    end_line: int
    heading: str
    context: str = ""


def cut_chunks(lines: Sequence[str], symbols: Sequence[Symbol]) -> list[Chunk]:
    """Return passages that cover every line that is not blank exactly once, in order.

    A definition of up to 80 lines is one passage; a longer one is cut at the definitions inside it, else into windows
    of 60 lines.

    Args:
        symbols: the file's definitions in the order of their lines.
    """
    bounds = [symbol for symbol in symbols if symbol.end_line - symbol.start_line + 1 >= _SHORTEST_DEFINITION]
    told = [
        chunk
        for chunk in _cut(Chunk(1, len(lines), ""), bounds)
        if any(line.strip() for line in lines[chunk.start_line - 1 : chunk.end_line])
    ]
    return list(_with_contexts(told, bounds))


def _with_contexts(chunks: Sequence[Chunk], symbols: Sequence[Symbol]) -> Iterator[Chunk]:
    """Yield the chunks, which are in order, with the signatures of the definitions that hold them."""
    around: list[Symbol] = []
    coming = iter(symbols)
    following = next(coming, None)
    for chunk in chunks:
        while following is not None and following.start_line < chunk.start_line:
            around.append(following)
            following = next(coming, None)
        around = [each for each in around if each.end_line >= chunk.end_line]
        yield replace(chunk, context="\n".join(each.signature for each in around))


def _cut(area: Chunk, symbols: Sequence[Symbol]) -> Iterator[Chunk]:
    """Yield the passages of an area; `symbols` lie within it, the outer before the inner."""
    at = area.start_line
    for position, symbol in enumerate(symbols):
        if symbol.start_line < at:
            continue
        gap = symbol.start_line - at
        start = at if gap <= _GAP_LINES else symbol.start_line
        if gap > _GAP_LINES:
            yield from _windows(at, symbol.start_line - 1, area.heading)
        whole = Chunk(start, symbol.end_line, symbol.qualified_name)
        if whole.end_line - whole.start_line + 1 <= _LONGEST_DEFINITION:
            yield whole
        else:
            yield from _cut(whole, [each for each in symbols[position + 1 :] if _lies_in(each, symbol)])
        at = symbol.end_line + 1
    yield from _windows(at, area.end_line, area.heading)


def _lies_in(inner: Symbol, outer: Symbol) -> bool:
    larger = inner.end_line - inner.start_line < outer.end_line - outer.start_line
    return larger and outer.start_line <= inner.start_line and inner.end_line <= outer.end_line


def _windows(start: int, end: int, heading: str) -> Iterator[Chunk]:
    for first in range(start, end + 1, WINDOW_LINES):
        yield Chunk(first, min(first + WINDOW_LINES - 1, end), heading)
