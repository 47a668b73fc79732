"""Text of files: which encoding and line ends the bytes have, so that an edit can give back the same ones.

Called by the reading, writing, editing and searching tools.
"""

from __future__ import annotations

import codecs
import unicodedata
from dataclasses import dataclass

from ..core.errors import ToolError

HEAD_BYTES = 8192
"""How much of a file is looked at to tell text from binary, as git does."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


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


def decode(data: bytes) -> FileText | None:
    """Return the text of a file's bytes; None = binary."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            text = _strict(data[len(bom) :], encoding)
            return None if text is None else FileText(text, encoding, bom)
    if b"\0" in data[:HEAD_BYTES]:
        return _utf16_without_bom(data)
    text = _strict(data, "utf-8")
    if text is not None:
        if b"\x1b$" in data and (jis := _strict(data, "iso2022_jp")) is not None:
            return FileText(jis, "iso2022_jp")
        return FileText(text)
    return _legacy(data)


def _legacy(data: bytes) -> FileText | None:
    """Choose between the Japanese encodings: the one that gives fewer characters no text is written in."""
    # EUC-JP first: where both are possible and equally clean, text with kana can only be EUC-JP.
    found = [FileText(text, name) for name in ("euc_jp", "cp932") if (text := _strict(data, name)) is not None]
    if found:
        return min(found, key=lambda file: _oddness(file.text))
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in data[:HEAD_BYTES])
    return None if controls else FileText(data.decode("latin-1"), "latin-1")


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


def editable(data: bytes, name: str) -> FileText:
    """Return the text of a file that is about to be changed.

    Raises:
        ToolError: binary, or an encoding whose text would not give the same bytes again.
    """
    file = decode(data)
    if file is None:
        raise ToolError(f"{name!r} is a binary file and can not be edited as text.")
    if file.encode(file.text) != data:
        raise ToolError(f"{name!r} ({file.encoding}) holds bytes that would change by an edit; use bash for it.")
    return file


def uses_crlf(text: str) -> bool:
    """Tell whether most lines end with CR LF."""
    crlf = text.count("\r\n")
    return crlf > text.count("\n") - crlf
