"""Reads Word files: paragraphs under their headings, tables, notes. A line is a paragraph or a row of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from xml.etree import ElementTree as ET

from .doc_articles import TITLE_LEVEL, article_of, caption_of, title_of
from .doc_blocks import Block, Line, Reading, Unreadable, heading, row_text, table
from .doc_docx_numbers import Numbering
from .doc_office import OfficeFile, core_title

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
# Fallback repeats a text box for old programs, rt is the reading above a Japanese word, del and moveFrom are gone.
_LEFT_OUT = frozenset(
    {
        "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
        *(
            f"{_W}{name}"
            for name in ("rt", "del", "moveFrom", "delText", "instrText", "pPr", "rPr", "tblPr", "sectPr")
        ),
    }
)
_HEADING_STYLE = re.compile(r"(?:heading|見出し)\s*(\d)", re.IGNORECASE)
_MOST_COLUMNS = 63  # Word's own limit
_NOTES = ("word/footnotes.xml", "word/endnotes.xml")


def read(data: bytes) -> Reading:
    """Return the blocks of a Word file; its title is a paragraph of the style Title, else the file's property."""
    with OfficeFile(data) as file:
        document = file.xml("word/document.xml")
        body = None if document is None else document.find(f"{_W}body")
        if body is None:
            raise Unreadable("damaged: word/document.xml is missing")
        scan = _Scan(_heading_levels(file), Numbering(file))
        scan.add(body)
        for name in _NOTES:
            notes = file.xml(name)
            for note in () if notes is None else notes:
                if note.get(f"{_W}type") is None:  # the others are separator lines
                    scan.add(note)
        return Reading(tuple(scan.blocks), scan.title or core_title(file))


def _heading_levels(file: OfficeFile) -> dict[str, int]:
    """Return the level of each style of headings by its id, 0 for the style Title."""
    styles = file.xml("word/styles.xml")
    levels: dict[str, int] = {}
    for style in () if styles is None else styles.iter(f"{_W}style"):
        name = _value(style.find(f"{_W}name"))
        outline = _value(style.find(f"{_W}pPr/{_W}outlineLvl"))
        match = _HEADING_STYLE.match(name)
        if name.lower() == "title":
            levels[style.get(f"{_W}styleId", "")] = 0
        elif match or outline.isdecimal():
            levels[style.get(f"{_W}styleId", "")] = int(match[1]) if match else int(outline) + 1
    return {style: level for style, level in levels.items() if level <= 9}


def _value(element: ET.Element | None) -> str:
    return "" if element is None else element.get(f"{_W}val", "")


class _Scan:
    """One pass over the paragraphs; they are counted."""

    def __init__(self, levels: dict[str, int], numbering: Numbering) -> None:
        self.blocks: list[Block] = []
        self.title = ""
        self._levels = levels
        self._numbering = numbering
        self._number = 0

    def add(self, parent: ET.Element) -> None:
        """Append the paragraphs and tables of an element."""
        for element in _flat(parent):
            if element.tag == f"{_W}p":
                self._number += 1
                self._add_paragraph(element)
            else:
                self._add_table(element)

    def _add_paragraph(self, element: ET.Element) -> None:
        text = "".join(_texts(element))
        if not text.strip():
            return
        text = f"{self._numbering.label(element)}{text}"
        line = Line(self._number, text.strip("\n"))
        level = self._level(element)
        if level == 0:
            self.title = self.title or " ".join(text.split())
        if level is not None:
            self.blocks.append(heading(text, level, [line]))
        elif self._add_article(line):
            return
        elif self.blocks and self._continues(element):
            last = self.blocks.pop()
            self.blocks.append(Block("text", (*last.lines, line)))
        else:
            self.blocks.append(Block("text", (line,)))

    def _add_article(self, line: Line) -> bool:
        """Append the heading of a section that its number alone marks, if the line begins one."""
        article = article_of(line.text)
        if article is None:
            return False
        before = self._taken(lambda text: caption_of(text) != "")
        if len(self.blocks) == 1 and (above := self._taken(lambda text: title_of(text) is not None)):
            self.blocks.append(heading(above[0].text, TITLE_LEVEL, above))
        title = "".join([article.title, *(caption_of(each.text) for each in before)])
        self.blocks.append(heading(title, article.level, [*before, *([] if article.has_text else [line])]))
        if article.has_text:
            self.blocks.append(Block("text", (line,)))
        return True

    def _taken(self, fits: Callable[[str], bool]) -> list[Line]:
        """Take the last paragraph away and return it as a line, if it fits; [] = it does not, or is none."""
        last = self.blocks[-1] if self.blocks else None
        if last is None or last.kind != "text" or len(last.lines) > 1 or not fits(last.lines[0].text):
            return []
        return list(self.blocks.pop().lines)

    def _level(self, element: ET.Element) -> int | None:
        outline = _value(element.find(f"{_W}pPr/{_W}outlineLvl"))
        if outline.isdecimal() and int(outline) < 9:
            return int(outline) + 1
        return self._levels.get(_value(element.find(f"{_W}pPr/{_W}pStyle")))

    def _continues(self, element: ET.Element) -> bool:
        """Tell whether the paragraph is the next item of a list."""
        last = self.blocks[-1]
        is_item = element.find(f"{_W}pPr/{_W}numPr") is not None
        return is_item and last.kind == "text" and last.lines[-1].number == self._number - 1

    def _add_table(self, element: ET.Element) -> None:
        rows = []
        above: list[str] = []
        for row in element.findall(f"{_W}tr") or element.iter(f"{_W}tr"):
            self._number += 1
            above = _row_cells(row, above)
            if text := row_text(above):
                rows.append(Line(self._number, text))
        if rows:
            self.blocks.append(table(rows))


def _row_cells(row: ET.Element, above: Sequence[str]) -> list[str]:
    """Return the texts of a row column by column; a cell that goes on from the row above has the text there."""
    cells: list[str] = []
    for cell in row.findall(f"{_W}tc"):
        properties = cell.find(f"{_W}tcPr")
        merge = None if properties is None else properties.find(f"{_W}vMerge")
        if merge is not None and _value(merge) != "restart" and len(cells) < len(above):
            text = above[len(cells)]
        else:
            text = " ".join("".join(_texts(p)) for p in cell.iter(f"{_W}p"))
        span = "" if properties is None else _value(properties.find(f"{_W}gridSpan"))
        cells += [text, *[""] * (min(int(span), _MOST_COLUMNS) - 1 if span.isdecimal() else 0)]
    return cells


def _flat(parent: ET.Element) -> Iterator[ET.Element]:
    """Yield paragraphs and tables, also those inside of content controls and the like."""
    for child in parent:
        if child.tag in (f"{_W}p", f"{_W}tbl"):
            yield child
        elif child.tag not in _LEFT_OUT:
            yield from _flat(child)


def _texts(element: ET.Element) -> Iterator[str]:
    for child in element:
        if child.tag == f"{_W}t":
            yield child.text or ""
        elif child.tag in _BREAKS:
            yield _BREAKS[child.tag]
        elif child.tag == f"{_W}p":  # of a text box
            yield "\n"
            yield from _texts(child)
        elif child.tag not in _LEFT_OUT and not _is_hidden(child):
            yield from _texts(child)


def _is_hidden(run: ET.Element) -> bool:
    vanish = run.find(f"{_W}rPr/{_W}vanish") if run.tag == f"{_W}r" else None
    return vanish is not None and _value(vanish) not in ("0", "false")
