"""Reads AsciiDoc: `=` headings, delimited blocks, `|===` tables; comments are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .doc_blocks import Block, Line, Reading, heading, numbered
from .doc_text import text_lines

_HEADING = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?[ \t]*$")
_DELIMITER = re.compile(r"(-{4,}|\.{4,}|`{3,}|\+{4,}|/{4,})[ \t]*$")
_TABLE = re.compile(r"[|,:!]={3,}[ \t]*$")


def read(data: bytes) -> Reading:
    """Return the blocks of an AsciiDoc file; its title is the document title, else the first heading."""
    lines, encoding = text_lines(data)
    blocks = tuple(_blocks(numbered(lines)))
    return Reading(blocks, next((block.title for block in blocks if block.kind == "heading"), ""), encoding)


def _blocks(lines: Sequence[Line]) -> Iterator[Block]:
    held: list[Line] = []
    at = 0
    while at < len(lines):
        text = lines[at].text
        found = _delimited(lines, at) or _heading(lines[at])
        if found or not text.strip():
            if held:
                yield Block("text", tuple(held))
            held = []
        if found:
            length, block = found
            if block is not None:
                yield block
            at += length
            continue
        if text.strip() and not text.startswith("//"):
            held.append(lines[at])
        at += 1
    if held:
        yield Block("text", tuple(held))


def _heading(line: Line) -> tuple[int, Block] | None:
    match = _HEADING.match(line.text)
    return None if match is None else (1, heading(match[2], len(match[1]), [line]))


def _delimited(lines: Sequence[Line], at: int) -> tuple[int, Block | None] | None:
    """Return how many lines the delimited block here has, and it (None = a comment); None = there is none."""
    text = lines[at].text.rstrip()
    if not (_DELIMITER.match(text) or _TABLE.match(text)):
        return None
    end = next((end for end in range(at + 1, len(lines)) if lines[end].text.rstrip() == text), len(lines) - 1)
    inside = tuple(lines[at + 1 : end])
    length = end - at + 1
    if text[0] == "/":
        return length, None
    if _TABLE.match(text):
        header = next((line.text.strip() for line in inside if line.text.strip()), "")
        return length, Block("table", inside, header=header)
    return length, Block("code", inside)
