"""Reads PDF by pypdfium2: the text layer page by page, under the headings of the outline where it has one."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .doc_articles import article_blocks
from .doc_blocks import Block, Line, Reading, Unreadable, heading, numbered, pages_note
from .doc_pdf_columns import page_text

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

MAX_PAGES = 10_000
# pypdfium2 marks a hyphen at the end of a line by one of these.
_HYPHENS = str.maketrans({"\x02": "-", "\ufffe": "-"})
_UNREADABLE_SHARE = 0.3
_MOST_HEADINGS = 5000
_FROM_PROGRAM = re.compile(r"^Microsoft (?:Office )?(?:Word|Excel|PowerPoint) *- *|\.(?:docx?|xlsx?|pptx?|jtd)$")
_EDGE_LINES = 2
"""Lines at the top and at the bottom of a page among which headers, footers and page numbers are looked for."""
_LEAST_RUNNING = 3
_RUNNING_SHARE = 0.6


def read(data: bytes) -> Reading:
    """Return the lines of each page; pages without a text layer are named in the notes.

    Raises:
        Unreadable: it is damaged, asks for a password, or has no text on any page.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as err:
        # PDFium tells the fault of an earlier file where it has none of its own.
        locked = "password" in str(err).lower() and b"/Encrypt" in data
        raise Unreadable("protected by a password" if locked else "damaged, or not a PDF") from err
    if len(document) > MAX_PAGES:
        raise Unreadable(f"more than {MAX_PAGES:,} pages")
    outline = _outline(document)
    blocks: list[Block] = []
    empty: list[int] = []
    garbled: list[int] = []
    pages = [_page_lines(document, page, empty, garbled) for page in range(1, len(document) + 1)]
    for page, lines in enumerate(_without_running_lines(pages), start=1):
        blocks += _page_blocks(lines, outline.get(page, []), page)
    reasons = (("no text layer (an image?)", empty), ("the text layer is not readable", garbled))
    notes = [pages_note(what, found) for what, found in reasons if found]
    return Reading(tuple(blocks), _title(document), notes=tuple(notes))


def _title(document: PdfDocument) -> str:
    """Return the title among the file's properties; "" = none, or what programs write where nobody gave one."""
    title: str = (document.get_metadata_value("Title") or "").strip("\0 ")
    title = _FROM_PROGRAM.sub("", title)
    return "" if title.strip("()").casefold() in ("untitled", "anonymous", "無題") else title


def _page_lines(document: PdfDocument, number: int, empty: list[int], garbled: list[int]) -> list[str]:
    import pypdfium2

    try:
        page = document[number - 1]
        text: str = page_text(page.get_textpage()).translate(_HYPHENS)
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


def _without_running_lines(pages: Sequence[list[str]]) -> Iterator[list[str]]:
    """Yield the lines of each page; headers, footers and page numbers are empty: what most pages have at their edges.

    Figures in them are compared as the same. A page that has nothing else keeps its lines.
    """
    edges = [{at: _form(lines[at]) for at in _edges(lines)} for lines in pages]
    counts = Counter(form for each in edges for form in set(each.values()))
    least = max(_LEAST_RUNNING, _RUNNING_SHARE * sum(map(bool, edges)))
    for lines, found in zip(pages, edges, strict=True):
        left = ["" if counts[found.get(at, "")] >= least else line for at, line in enumerate(lines)]
        yield left if any(map(str.strip, left)) else lines


def _edges(lines: Sequence[str]) -> list[int]:
    filled = [at for at, line in enumerate(lines) if line.strip()]
    return [*filled[:_EDGE_LINES], *filled[-_EDGE_LINES:]]


def _form(line: str) -> str:
    return re.sub(r"\d+", "0", _squeezed(line))


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
    known = frozenset("".join(lines[at].split()) for at in places if at < len(lines))
    held: list[Line] = []
    for at, line in enumerate(numbered(lines)):
        if at in places:
            yield from article_blocks(held, page, known)
            held = []
            for level, title in places[at]:
                yield heading(title, level, (), page)
        held.append(line)
    yield from article_blocks(held, page, known)


def _squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())
