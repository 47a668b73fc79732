"""Reads plain text, and gives the other readers the lines of a text file. Paragraphs end at empty lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.texts import HEAD_BYTES, decode
from .doc_blocks import Block, Line, Reading, Unreadable, numbered
from .files import split_lines

_FEW = 3
"""Control characters that a text may hold, however short it is."""


def read(data: bytes) -> Reading:
    """Return the paragraphs of a plain text."""
    lines, encoding = text_lines(data)
    return Reading(tuple(paragraphs(numbered(lines))), encoding=encoding)


def text_lines(data: bytes) -> tuple[list[str], str]:
    """Return the lines of a text file, line n as item n - 1, and its encoding.

    Raises:
        Unreadable: the bytes are no text.
    """
    file = decode(data)
    if file is None or _is_no_text(data):
        raise Unreadable("not text, whatever its name says")
    return split_lines(file.text.replace("\r\n", "\n").replace("\r", "\n")), file.encoding


def paragraphs(lines: Sequence[Line], page: int | None = None) -> Iterator[Block]:
    """Yield the runs of lines between empty ones."""
    held: list[Line] = []
    for line in lines:
        if line.text.strip():
            held.append(line)
        elif held:
            yield Block("text", tuple(held), page=page)
            held = []
    if held:
        yield Block("text", tuple(held), page=page)


def _is_no_text(data: bytes) -> bool:
    head = data[:HEAD_BYTES]
    if b"\0" in head:
        return False  # UTF-16, or `decode` would have refused it
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x08\x0e\x0f\x1b" for byte in head)
    return control > _FEW and control * 50 > len(head)
