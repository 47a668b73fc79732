"""Reads reStructuredText: underlined headings, leveled by the order of their marks, and both kinds of table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..core.texts import width
from .doc_blocks import Block, Line, Reading, heading, numbered
from .doc_text import text_lines

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
_GRID_BORDER = re.compile(r"\s*\+(?:[-=]+\+)+\s*$")
_SIMPLE_BORDER = re.compile(r"\s*={2,}(?: +={2,})+\s*$")


def read(data: bytes) -> Reading:
    """Return the blocks of a reStructuredText file; its title is its first heading."""
    lines, encoding = text_lines(data)
    blocks = tuple(_blocks(numbered(lines)))
    title = next((block.title for block in blocks if block.kind == "heading"), "")
    return Reading(blocks, title, encoding)


def _blocks(lines: Sequence[Line]) -> Iterator[Block]:
    levels: dict[str, int] = {}
    held: list[Line] = []
    at = 0
    while at < len(lines):
        length, style = _heading_at(lines, at, bool(held))
        end = at + length if length else _table_end(lines, at)
        if end > at or not lines[at].text.strip():
            if held:
                yield Block("text", tuple(held))
            held = []
        if length:
            title = lines[at + 1 if length == 3 else at].text
            yield heading(title, levels.setdefault(style, len(levels) + 1), lines[at:end])
        elif end > at:
            yield Block("table", tuple(lines[at:end]), header=lines[at + 1].text.strip())
        elif lines[at].text.strip():
            held.append(lines[at])
        at = max(end, at + 1)
    if held:
        yield Block("text", tuple(held))


def _heading_at(lines: Sequence[Line], at: int, in_paragraph: bool) -> tuple[int, str]:
    """Return how many lines the heading here has and the style of its marks; 0 = there is none."""
    texts = [line.text.rstrip() for line in lines[at : at + 3]] + ["", ""]
    if in_paragraph or not texts[0]:
        return 0, ""
    if _ADORNMENT.match(texts[0]) and texts[1].strip() and texts[2] == texts[0] and _fits(texts[1].strip(), texts[0]):
        return 3, f"{texts[0][0]} over"
    if texts[1] and _ADORNMENT.match(texts[1]) and not texts[0].startswith((" ", "..")) and _fits(texts[0], texts[1]):
        return 2, texts[1][0]
    return 0, ""


def _fits(title: str, marks: str) -> bool:
    # Wide characters count twice for docutils, but people often type one mark for each.
    return not _ADORNMENT.match(title) and len(marks) >= min(width(title), len(title))


def _table_end(lines: Sequence[Line], at: int) -> int:
    """Return the line after the table that begins here; `at` = there is none."""
    if at + 2 >= len(lines):
        return at
    end = at
    if _GRID_BORDER.match(lines[at].text):
        while end < len(lines) and lines[end].text.lstrip().startswith(("+", "|")):
            end += 1
    elif _SIMPLE_BORDER.match(lines[at].text):
        borders = 0
        while end < len(lines) and borders < 3 and (lines[end].text.strip() or borders < 2):
            borders += _SIMPLE_BORDER.match(lines[end].text) is not None
            end += 1
    return end if end > at + 2 else at
