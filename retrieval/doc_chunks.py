"""Cuts a document into passages along its structure: never across a heading or a page.

A passage is 300 to 450 characters of Japanese or 150 to 225 words of English where the text has so much under one
heading; a longer paragraph is cut between lines, then sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .doc_blocks import Block, Line, Reading
from .tokenise import text_weight

MAX_WEIGHT = 450
"""Of one passage, as tokenise.text_weight counts it."""
_ENOUGH = 300
"""From this weight on, a passage ends where a paragraph does, rather than to take a part of the next."""
_SENTENCE_END = re.compile(r"(?<=[。．！？!?])(?=[^\s」』）)])|(?<=[.!?])\s+|(?<=[。！？」』）])\s*(?=\S)")
_HEADER_WEIGHT = 150
SEPARATOR = " > "


@dataclass(frozen=True, slots=True)
class DocChunk:
    """A passage.

    Attributes:
        start_line, end_line: 1-indexed, inclusive; within the page where there is one.
        heading: titles of the sections around it, the outermost first.
        text: its lines; those of a table behind the row of column names.
    """

    start_line: int
    end_line: int
    page: int | None
    heading: str
    text: str


@dataclass(slots=True)
class _Open:
    """The passage under way.

    Attributes:
        header: put in front of the lines; "" = nothing is.
        is_bare: True while it is a heading and nothing else.
        has_body: True once it has a line that is no heading.
    """

    page: int | None = None
    lines: list[Line] = field(default_factory=list)
    weight: int = 0
    header: str = ""
    is_bare: bool = False
    has_body: bool = False


def cut_document(reading: Reading) -> list[DocChunk]:
    """Return the passages of a document in order; every line of it is in one, but for headings that hold others."""
    cutter = _Cutter()
    for block in reading.blocks:
        cutter.add(block)
    cutter.flush()
    return cutter.chunks


class _Cutter:
    def __init__(self) -> None:
        self.chunks: list[DocChunk] = []
        self._path: list[tuple[int, str]] = []
        self._open = _Open()

    def add(self, block: Block) -> None:
        if block.kind == "heading":
            self.flush(block.level)
            self._path = [*(each for each in self._path if each[0] < block.level), (block.level, block.title)]
            self._open = _Open(block.page, list(block.lines), text_weight(block.title), is_bare=True)
            return
        if block.page != self._open.page:
            self.flush()
            self._open.page = block.page
        self._add_body(block)

    def flush(self, next_level: int = 0) -> None:
        """End the passage under way. A heading alone is one only where no text and no deeper heading follows.

        Args:
            next_level: of the heading that follows; 0 = none does.
        """
        held, self._open = self._open, _Open(self._open.page)
        stands_alone = held.is_bare and next_level <= self._path[-1][0]
        if not (held.has_body or stands_alone):
            return
        heading = SEPARATOR.join(title for _, title in self._path if title)
        text = "\n".join(part for part in (held.header, _joined(held.lines)) if part) or heading
        if text.strip():
            numbers = [line.number for line in held.lines] or [1]
            self.chunks.append(DocChunk(min(numbers), max(numbers), held.page, heading, text))

    def _add_body(self, block: Block) -> None:
        pieces = list(_pieces(block))
        total = sum(piece.weight for piece in pieces)
        if self._open.has_body and self._open.weight >= _ENOUGH and self._open.weight + total > MAX_WEIGHT:
            self.flush()
        for at, piece in enumerate(pieces):
            if self._open.has_body and self._open.weight + piece.weight > MAX_WEIGHT:
                self.flush()
                if at and block.header:  # the first row is the header itself
                    self._open.header = block.header
                    self._open.weight = text_weight(block.header)
            self._append(piece)

    def _append(self, piece: _Piece) -> None:
        lines = self._open.lines
        if piece.continues and self._open.has_body and lines[-1].number == piece.line.number:
            before, after = lines[-1].text, piece.line.text
            lines[-1] = Line(piece.line.number, f"{before}{_glue(before, after)}{after}")
        else:
            lines.append(piece.line)
        self._open.weight += piece.weight
        self._open.has_body = True


class _Piece(NamedTuple):
    """A line, or a part of a long one; `continues` = the part before it is of the same line."""

    line: Line
    weight: int
    continues: bool = False


def _pieces(block: Block) -> Iterator[_Piece]:
    """Yield the lines of a block, each short enough for a passage."""
    room = MAX_WEIGHT - min(text_weight(block.header), _HEADER_WEIGHT)
    for line in block.lines:
        weight = text_weight(line.text)
        if weight <= room:
            yield _Piece(line, weight)
        else:
            for at, part in enumerate(_parts(line.text, room)):
                yield _Piece(Line(line.number, part), text_weight(part), at > 0)


def _parts(text: str, room: int) -> Iterator[str]:
    """Yield a long line in parts that fit, cut between sentences, else between words, else anywhere."""
    held, weight = "", 0
    for sentence in _SENTENCE_END.split(text):
        more = text_weight(sentence)
        if held and weight + more > room:
            yield held
            held, weight = "", 0
        held, weight = f"{held}{_glue(held, sentence)}{sentence}", weight + more
        if weight > room:
            *full, held = _slices(held, room)
            yield from full
            weight = text_weight(held)
    if held.strip():
        yield held


def _slices(text: str, room: int) -> Iterator[str]:
    """Yield a text without sentences in slices that fit, the rest last."""
    start = 0
    while True:
        # A character weighs a third at least, so this much never fits unless it is all that is left.
        window = text[start : start + 4 * room]
        if text_weight(window) <= room:
            yield window
            return
        at = _cut_at(window, room)
        if piece := window[:at].rstrip():
            yield piece
        start += at + len(window[at:]) - len(window[at:].lstrip())


def _glue(before: str, after: str) -> str:
    return " " if before and before[-1] in ".!?" and after[:1].isascii() else ""


def _cut_at(text: str, room: int) -> int:
    """Return how many characters fit, up to a blank where there is one in the second half."""
    low, high = 1, min(len(text), room * 4)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_weight(text[:middle]) <= room else (low, middle - 1)
    blank = text.rfind(" ", low // 2, low)
    return blank + 1 if blank > 0 else low


def _joined(lines: Sequence[Line]) -> str:
    """Return the lines as a text, an empty one where the document has one or more that say nothing."""
    pieces: list[str] = []
    last = 0
    for line in lines:
        if pieces:
            pieces.append("\n\n" if line.number > last + 1 else "\n")
        pieces.append(line.text)
        last = line.number
    return "".join(pieces)
