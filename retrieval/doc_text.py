"""Reads plain text, and gives the other readers the lines of a text file. Paragraphs end at empty lines."""

from __future__ import annotations

import re

from ..core.texts import HEAD_BYTES, decode
from .doc_articles import article_blocks
from .doc_blocks import Reading, Unreadable, numbered
from .files import split_lines

_JIS_ESCAPES = re.compile(rb"(\x1b\$[@B]|\x1b\([BJI])")
_HIGH = bytes(byte | 0x80 for byte in range(256))
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x08\x0e\x0f\x1b"))
_FEW = 3
"""Control characters that a text may hold, however short it is."""


def read(data: bytes) -> Reading:
    """Return the paragraphs of a plain text, under the numbered headings that Japanese rules have."""
    lines, encoding = text_lines(data)
    return Reading(tuple(article_blocks(numbered(lines))), encoding=encoding)


def text_lines(data: bytes) -> tuple[list[str], str]:
    """Return the lines of a text file, line n as item n - 1, and its encoding.

    Raises:
        Unreadable: the bytes are no text.
    """
    text, encoding = decoded(data)
    return split_lines(text), encoding


def decoded(data: bytes) -> tuple[str, str]:
    """Return the text of a file with "\\n" line ends, and its encoding.

    Raises:
        Unreadable: the bytes are no text.
    """
    file = decode(data)
    if file is None or _is_no_text(data):
        raise Unreadable("not text, whatever its name says")
    text, encoding = file.text, file.encoding
    if b"\x1b$" in data and encoding == "utf-8":
        text, encoding = _jis(data), "iso2022_jp"
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _jis(data: bytes) -> str:
    """Return text in ISO-2022-JP that the strict codec refuses: with circled figures and half-width kana."""
    pieces = []
    mode = b"("
    for piece in _JIS_ESCAPES.split(data):
        if piece.startswith(b"\x1b"):
            mode = piece[1:]
        elif mode.startswith(b"$"):
            # The same two bytes with the eighth bit set are EUC-JP; a line may end before the escape back.
            pieces += [part if part in b"\r\n" else part.translate(_HIGH) for part in re.split(rb"(\r?\n)", piece)]
        else:
            pieces.append(b"".join(b"\x8e" + bytes([byte | 0x80]) for byte in piece) if mode == b"(I" else piece)
    return b"".join(pieces).decode("euc_jis_2004", errors="replace")


def _is_no_text(data: bytes) -> bool:
    head = data[:HEAD_BYTES]
    if b"\0" in head:
        return False  # UTF-16, or `decode` would have refused it
    control = len(head) - len(head.translate(None, delete=_CONTROL))
    return control > _FEW and control * 50 > len(head)
