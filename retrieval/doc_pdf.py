"""Reads PDF by pypdfium2: the text layer page by page, under the headings of the outline where it has one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .doc_blocks import Block, Line, Reading, Unreadable, heading, numbered, pages_note
from .doc_text import paragraphs

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

MAX_PAGES = 10_000
# pypdfium2 marks a hyphen at the end of a line by one of these.
_HYPHENS = str.maketrans({"\x02": "-", "\ufffe": "-"})
_UNREADABLE_SHARE = 0.3
_MOST_HEADINGS = 5000


def read(data: bytes) -> Reading:
    """Return the lines of each page; pages without a text layer are named in the notes.

    Raises:
        Unreadable: it is damaged, asks for a password, or has no text on any page.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as err:
        locked = "password" in str(err).lower()
        raise Unreadable("protected by a password" if locked else "damaged, or not a PDF") from err
    if len(document) > MAX_PAGES:
        raise Unreadable(f"more than {MAX_PAGES:,} pages")
    outline = _outline(document)
    blocks: list[Block] = []
    empty: list[int] = []
    garbled: list[int] = []
    for page in range(1, len(document) + 1):
        lines = _page_lines(document, page, empty, garbled)
        blocks += _page_blocks(lines, outline.get(page, []), page)
    reasons = (("no text layer (an image?)", empty), ("the text layer is not readable", garbled))
    notes = [pages_note(what, found) for what, found in reasons if found]
    return Reading(tuple(blocks), (document.get_metadata_value("Title") or "").strip("\0"), notes=tuple(notes))


def _page_lines(document: PdfDocument, number: int, empty: list[int], garbled: list[int]) -> list[str]:
    import pypdfium2

    try:
        page = document[number - 1]
        text: str = page.get_textpage().get_text_bounded().translate(_HYPHENS)
        blank = not text.strip() and next(iter(page.get_objects(max_depth=1)), None) is None
    except pypdfium2.PdfiumError:
        garbled.append(number)
        return []
    if not text.strip():
        if not blank:
            empty.append(number)
        return []
    if _is_garbled(text):
        garbled.append(number)
        return []
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _is_garbled(text: str) -> bool:
    """Tell whether a font's codes were never mapped to characters."""
    marks = [char for char in text if not char.isspace()]
    odd = sum(unicodedata.category(char) in ("Co", "Cn", "Cc") or char == "\ufffd" for char in marks)
    return odd > len(marks) * _UNREADABLE_SHARE


def _outline(document: PdfDocument) -> dict[int, list[tuple[int, str]]]:
    """Return level and title of the outline's entries by their page."""
    import pypdfium2

    found: dict[int, list[tuple[int, str]]] = {}
    try:
        for at, entry in enumerate(document.get_toc(max_depth=6)):
            target, title = entry.get_dest(), entry.get_title().strip()
            index = None if target is None else target.get_index()
            if title and index is not None and at < _MOST_HEADINGS:
                found.setdefault(index + 1, []).append((entry.level + 1, title))
    except (pypdfium2.PdfiumError, ValueError, UnicodeDecodeError):
        return found  # an outline is a help, and damaged in many files that read well
    return found


def _page_blocks(lines: list[str], entries: list[tuple[int, str]], page: int) -> Iterator[Block]:
    """Yield the page's blocks, cut where a line is a heading of the outline; one that no line is comes first."""
    places: dict[int, list[tuple[int, str]]] = {}
    for level, title in entries:
        wanted = _squeezed(title)
        at = next((at for at, line in enumerate(lines) if wanted and _squeezed(line).endswith(wanted)), 0)
        places.setdefault(at, []).append((level, title))
    held: list[Line] = []
    for at, line in enumerate(numbered(lines)):
        if at in places:
            yield from paragraphs(held, page)
            held = []
            for level, title in places[at]:
                yield heading(title, level, (), page)
        held.append(line)
    yield from paragraphs(held, page)


def _squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())
