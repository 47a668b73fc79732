"""Text from outside: which encoding the bytes of a file have, and text for a person with nothing invisible in it.

Called by whatever reads, searches or indexes files, by approvals and by everything that prints.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

from .errors import ToolError

HEAD_BYTES = 8192
"""How much of a file is looked at where a rule counts characters that no text holds."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Letters by category, yet drawn as nothing: Hangul fillers, the Braille blank, Mongolian and Khmer marks.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0")
# Not "printable" but harmless; the wide space is common in Japanese text.
_HARMLESS = frozenset("\n\t\u3000\u00a0")
# One variation selector after a character chooses its shape (kanji, emoji); more carry hidden data.
_SELECTORS = re.compile("(?<=[\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@dataclass(frozen=True, slots=True)
class FileText:
    """A file's text. `bom` is the byte order mark that stood before it, b"" = none; line ends are as in the file."""

    text: str
    encoding: str = "utf-8"
    bom: bytes = b""

    def encode(self, text: str) -> bytes:
        """Return another text in this file's encoding.

        Raises:
            ToolError: a character of it does not exist in that encoding.
        """
        try:
            return self.bom + text.encode(self.encoding)
        except UnicodeEncodeError as err:
            char = text[err.start]
            raise ToolError(f"{char!r} can not be written in this file's encoding, {self.encoding}.") from err


def composed(text: str) -> str:
    """Return a text with each accent and voiced kana as one character: names that macOS wrote have them as two."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def decode(data: bytes) -> FileText | None:
    """Return the text of a file's bytes by strict trial; None = binary.

    The byte order mark decides, then UTF-8, ISO-2022-JP by its escape, EUC-JP or CP932, and Latin-1 for what is
    Western by its letters. NUL bytes stand only in UTF-16.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            text = _strict(data[len(bom) :], encoding)
            return None if text is None else FileText(text, encoding, bom)
    if b"\0" in data:
        return _utf16_without_bom(data)
    text = _strict(data, "utf-8")
    if text is not None:
        if b"\x1b$" in data and (jis := _strict(data, "iso2022_jp")) is not None:
            return FileText(jis, "iso2022_jp")
        return FileText(text)
    return _legacy(data)


def _legacy(data: bytes) -> FileText | None:
    """Choose between the Japanese encodings: the one that gives fewer characters no text is written in."""
    # EUC-JP first: where both are possible and equally clean, text with kana can only be EUC-JP. The last one is
    # EUC-JP with the circled figures and the like that Windows and NEC added.
    names = ("euc_jp", "cp932", "euc_jis_2004")
    found = [FileText(text, name) for name in names if (text := _strict(data, name)) is not None]
    if found:
        return min(found, key=lambda file: _oddness(file.text))
    head = data[:HEAD_BYTES]
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    # Latin-1 has no letters there; text of Windows has a few quotes and dashes, other bytes fall there by chance.
    between = sum(0x80 <= byte < 0xA0 for byte in head)
    return None if controls or between * 20 > len(head) else FileText(data.decode("latin-1"), "latin-1")


def _oddness(text: str) -> int:
    # Half-width katakana, private use and C1 controls: what EUC-JP bytes look like when read as cp932, and back.
    return sum(0xFF61 <= ord(c) <= 0xFF9F or 0xE000 <= ord(c) <= 0xF8FF or 0x80 <= ord(c) < 0xA0 for c in text)


def _utf16_without_bom(data: bytes) -> FileText | None:
    for encoding in ("utf-16-le", "utf-16-be"):
        text = _strict(data, encoding) or ""
        # Only the right order of bytes makes line ends, and no character that does not exist.
        if "\n" in text and not any(_is_no_text(char) for char in text[:HEAD_BYTES]):
            return FileText(text, encoding)
    return None


def _is_no_text(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cn", "Co") and char not in "\t\n\r\f"


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def width(text: str) -> int:
    """Return how many columns a terminal takes for a text of one line; wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text)


def shortened(value: object) -> str:
    """Return a value as a message names it, in 80 characters at the most."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def visible(text: str) -> str:
    """Return the text with every character that hides, steers a terminal or turns round others as its code point.

    Line breaks and tabs stay. A code point rather than an escape: source code holds escapes of its own.
    """
    text = _SELECTORS.sub(lambda match: _code_point(match.group()), text)
    return text.translate({ord(char): _code_point(char) for char in set(text) if _hides(char)})


def _hides(char: str) -> bool:
    return char in _BLANKS or not (char.isprintable() or char in _HARMLESS)


def _code_point(char: str) -> str:
    return f"<U+{ord(char):04X}>"
