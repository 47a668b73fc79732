"""Reads Excel files: each sheet is a page and a table, whose lines are the rows; numbers as Excel shows them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from .doc_blocks import Block, Line, Reading, Unreadable, heading, pages_note, row_text, table
from .doc_office import OfficeFile, core_title
from .doc_xlsx_numbers import built_in, shown

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_D = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_MAIN = "xl/workbook.xml"
_COLUMN = re.compile(r"[A-Z]{1,3}")
_MOST_COLUMNS = 1024
_AREA = re.compile(r"([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})")


def read(data: bytes) -> Reading:
    """Return each sheet as a heading and a table with the values that Excel computed; hidden ones are left out."""
    with OfficeFile(data) as file:
        workbook = file.xml(_MAIN)
        if workbook is None:
            raise Unreadable(f"damaged: {_MAIN} is missing")
        parts, cells = file.relations(_MAIN), _Cells(file, workbook)
        blocks: list[Block] = []
        hidden = []
        for page, sheet in enumerate(workbook.iter(f"{_S}sheet"), start=1):
            name = parts.get(sheet.get(f"{_R}id", ""), "")
            root = file.xml(name)
            if sheet.get("state", "visible") != "visible":
                hidden.append(page)
            elif root is not None:
                rows = [Line(*row) for row in cells.rows(root)]
                inside = [*([table(rows, page)] if rows else []), *_shapes(file, name, page)]
                blocks += [heading(sheet.get("name", ""), 1, (), page), *inside] if inside else []
        notes = (pages_note("hidden", hidden, "sheet"),) if hidden else ()
        return Reading(tuple(blocks), core_title(file), notes=notes)


class _Cells:
    """What the cells of all sheets refer to: shared texts, and which styles show a number as a date."""

    def __init__(self, file: OfficeFile, workbook: ET.Element) -> None:
        shared = file.xml("xl/sharedStrings.xml")
        self._texts = [] if shared is None else [_plain(item) for item in shared.findall(f"{_S}si")]
        self._codes = _codes(file)
        properties = workbook.find(f"{_S}workbookPr")
        is_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        # Day 0 of the other calendar is one earlier than it says, for the 29 February 1900 that never was.
        self._day_0 = datetime.datetime(1904, 1, 1) if is_1904 else datetime.datetime(1899, 12, 30)

    def rows(self, sheet: ET.Element) -> Iterator[tuple[int, str]]:
        """Yield row number and text of the rows that are not empty."""
        number = 0
        merged = _Merged(sheet)
        for row in sheet.iter(f"{_S}row"):
            given = row.get("r", "")
            number = int(given) if given.isdecimal() else number + 1
            texts: list[str] = []
            for cell in row.findall(f"{_S}c"):
                column = min(_column(cell.get("r", "")) or len(texts), _MOST_COLUMNS)
                texts += [""] * (column - len(texts))
                texts.append(self._value(cell))
            merged.fill(number, texts)
            if text := row_text(texts):
                yield number, text

    def _value(self, cell: ET.Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            inline = cell.find(f"{_S}is")
            return "" if inline is None else _plain(inline)
        value = cell.findtext(f"{_S}v") or ""
        if kind == "s":
            at = int(value) if value.isdecimal() else -1
            return self._texts[at] if 0 <= at < len(self._texts) else ""
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if kind != "n":
            return value
        style = cell.get("s", "")
        at = int(style) if style.isdecimal() else -1
        return shown(value, self._codes[at] if 0 <= at < len(self._codes) else "", self._day_0)


def _codes(file: OfficeFile) -> list[str]:
    """Return the code of each cell style's format of numbers, "" = none."""
    styles = file.xml("xl/styles.xml")
    if styles is None:
        return []
    own = {each.get("numFmtId", ""): each.get("formatCode", "") for each in styles.iter(f"{_S}numFmt")}
    numbers = [each.get("numFmtId", "0") for each in styles.iterfind(f"{_S}cellXfs/{_S}xf")]
    return [own[number] if number in own else built_in(number) for number in numbers]


class _Merged:
    """The cells of a sheet that go on over rows below: each of these rows has their text."""

    def __init__(self, sheet: ET.Element) -> None:
        self._starts: dict[int, list[tuple[int, int]]] = {}
        self._open: dict[int, tuple[int, str]] = {}
        for each in sheet.iterfind(f"{_S}mergeCells/{_S}mergeCell"):
            match = _AREA.fullmatch(each.get("ref", ""))
            if match is not None and match[2] != match[4]:
                column = min(_column(match[1]) or 0, _MOST_COLUMNS)
                self._starts.setdefault(int(match[2]), []).append((column, int(match[4])))

    def fill(self, number: int, texts: list[str]) -> None:
        """Fill in what goes on in a row, rows from the top; one that is empty otherwise stays so."""
        self._open = {column: each for column, each in self._open.items() if each[0] >= number}
        if any(texts):
            for column, (_, text) in self._open.items():
                texts += [""] * (column + 1 - len(texts))
                texts[column] = texts[column] or text
        for column, last in self._starts.get(number, ()):
            if column < len(texts):
                self._open[column] = (last, texts[column])


def _shapes(file: OfficeFile, sheet: str, page: int) -> Iterator[Block]:
    """Yield the texts of a sheet's boxes and arrows, each under the number of the row that it begins in."""
    for part in file.relations(sheet).values():
        drawing = file.xml(part) if part.startswith("xl/drawings/") and part.endswith(".xml") else None
        for anchor in () if drawing is None else drawing:
            row = anchor.findtext(f"{_D}from/{_D}row") or ""
            number = int(row) + 1 if row.isdecimal() else 1
            texts = ["".join(each.text or "" for each in line.iter(f"{_A}t")) for line in anchor.iter(f"{_A}p")]
            if text := " ".join(part for part in map(str.strip, texts) if part):
                yield Block("text", (Line(number, text),), page=page)


def _plain(item: ET.Element) -> str:
    """Return the text of its runs; readings of kanji (rPh) are no part of it."""
    return "".join(each.text or "" for each in [*item.findall(f"{_S}t"), *item.findall(f"{_S}r/{_S}t")])


def _column(reference: str) -> int | None:
    """Return the 0-indexed column of a cell like "AB12"; None = the cell does not say."""
    match = _COLUMN.match(reference)
    if match is None:
        return None
    column = 0
    for letter in match[0]:
        column = column * 26 + ord(letter) - 64
    return column - 1
