"""Puts columns of vertical Japanese text in reading order, from right to left: PDFium gives them from the left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pypdfium2 import PdfTextPage

_LINE = re.compile(r"[^\r\n]+")
_LEAST_CHARS = 3
"""Of a line, from which on it tells whether it runs down the page."""
_LOOKED_AT = 3


class _Line(NamedTuple):
    """A line as PDFium gives it. `left`: of its first character; top, bottom: of the line; in points from below."""

    text: str
    left: float
    top: float
    bottom: float
    is_vertical: bool


def page_text(textpage: PdfTextPage) -> str:
    """Return the text of a page; its lines are columns, where it is written vertically.

    Raises:
        PdfiumError: the page is damaged.
    """
    text: str = textpage.get_text_bounded()
    if text.isascii():
        return text
    whole: str = textpage.get_text_range()
    if len(whole) != textpage.count_chars():  # then a place in the text is no number of a character
        return text
    spans = [match.span() for match in _LINE.finditer(whole)]
    longest = sorted(spans, key=lambda span: span[0] - span[1])[:_LOOKED_AT]
    if not any(_line(textpage, whole, span).is_vertical for span in longest):
        return text
    lines = [_line(textpage, whole, span) for span in spans]
    return "\n".join(line.text for group in _tiers(lines) for line in sorted(group, key=lambda each: -each.left))


def _tiers(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Yield the lines that stand side by side; a horizontal one by itself."""
    held: list[_Line] = []
    for line in lines:
        if held and not (line.is_vertical and held[-1].is_vertical and _beside(line, held[-1])):
            yield held
            held = []
        held.append(line)
    if held:
        yield held


def _beside(line: _Line, other: _Line) -> bool:
    """Tell whether two columns are at the same height, for half of the shorter one at least."""
    both = min(line.top, other.top) - max(line.bottom, other.bottom)
    return both * 2 > min(line.top - line.bottom, other.top - other.bottom)


def _line(textpage: PdfTextPage, text: str, span: tuple[int, int]) -> _Line:
    start, end = span
    left, first_bottom, _, top = textpage.get_charbox(start, loose=True)
    last_left, bottom, _, _ = textpage.get_charbox(end - 1, loose=True)
    is_vertical = end - start >= _LEAST_CHARS and first_bottom - bottom > 2 * abs(last_left - left)
    return _Line(text[start:end], left, top, bottom, is_vertical)
