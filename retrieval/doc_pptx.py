"""Reads PowerPoint files: each slide is a page under its title, with tables and the speaker's notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from .doc_blocks import Block, Line, Reading, Unreadable, heading, row_text, table
from .doc_office import OfficeFile, core_title

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MAIN = "ppt/presentation.xml"
_TITLES = ("title", "ctrTitle")
# Numbers, dates and footers are the same on every slide.
_REPEATED = ("sldNum", "dt", "ftr", "hdr", "sldImg")


def read(data: bytes) -> Reading:
    """Return the blocks of a presentation; lines count the paragraphs and table rows of a slide."""
    with OfficeFile(data) as file:
        blocks: list[Block] = []
        for page, name in enumerate(_slides(file), start=1):
            blocks += _Slide(page).read(file, name)
        first = next((block.title for block in blocks if block.kind == "heading"), "")
        return Reading(tuple(blocks), core_title(file) or first)


def _slides(file: OfficeFile) -> list[str]:
    """Return the names of the slides' parts in their order."""
    presentation = file.xml(_MAIN)
    if presentation is None:
        raise Unreadable(f"damaged: {_MAIN} is missing")
    parts = file.relations(_MAIN)
    ids = [each.get(f"{_R}id", "") for each in presentation.iter(f"{_P}sldId")]
    return [parts[each] for each in ids if each in parts]


class _Slide:
    """The paragraphs of one slide, counted."""

    def __init__(self, page: int) -> None:
        self._page = page
        self._number = 0
        self._titles: list[Line] = []
        self._blocks: list[Block] = []

    def read(self, file: OfficeFile, name: str) -> list[Block]:
        """Return the slide's blocks, its title first."""
        slide = file.xml(name)
        if slide is not None:
            self._add_shapes(slide)
        for part in file.relations(name).values():
            if part.startswith("ppt/notesSlides/") and (notes := file.xml(part)) is not None:
                self._add_shapes(notes)
        title = " ".join(line.text for line in self._titles)
        opening = [heading(title, 1, self._titles, self._page)] if title else []
        return [*opening, *self._blocks]

    def _add_shapes(self, root: ET.Element) -> None:
        for element in _shapes(root):
            if element.tag == f"{_A}tbl":
                self._add_table(element)
                continue
            placeholder = element.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
            kind = "" if placeholder is None else placeholder.get("type", "")
            if kind in _REPEATED:
                continue
            lines = list(self._paragraphs(element))
            if kind in _TITLES and not self._titles:
                self._titles = lines
            elif lines:
                self._blocks.append(Block("text", tuple(lines), page=self._page))

    def _paragraphs(self, shape: ET.Element) -> Iterator[Line]:
        for paragraph in shape.iter(f"{_A}p"):
            self._number += 1
            if text := _text(paragraph).strip():
                yield Line(self._number, text)

    def _add_table(self, element: ET.Element) -> None:
        rows = []
        above: list[str] = []
        for row in element.iter(f"{_A}tr"):
            self._number += 1
            cells = [_cell_text(cell, above, at) for at, cell in enumerate(row.findall(f"{_A}tc"))]
            above = cells
            if text := row_text(cells):
                rows.append(Line(self._number, text))
        if rows:
            self._blocks.append(table(rows, self._page))


def _cell_text(cell: ET.Element, above: Sequence[str], at: int) -> str:
    """Return the text of a cell; of one that goes on from the row above, the text there."""
    if cell.get("vMerge") in ("1", "true") and at < len(above):
        return above[at]
    return " ".join(map(_text, cell.iter(f"{_A}p")))


def _shapes(root: ET.Element) -> Iterator[ET.Element]:
    """Yield shapes and tables in the order in which they stand, those of groups among them."""
    for child in root:
        if child.tag in (f"{_P}sp", f"{_A}tbl"):
            yield child
        elif child.tag != _FALLBACK:
            yield from _shapes(child)


def _text(paragraph: ET.Element) -> str:
    parts = {f"{_A}br": "\n", f"{_A}tab": "\t"}
    return "".join(
        (each.text or "") if each.tag == f"{_A}t" else parts.get(str(each.tag), "") for each in paragraph.iter()
    )
