"""Reads Excel files: each sheet is a page and a table, whose lines are the rows; dates are written out."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from .doc_blocks import Block, Line, Reading, Unreadable, heading, pages_note, row_text
from .doc_office import OfficeFile, core_title

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MAIN = "xl/workbook.xml"
_COLUMN = re.compile(r"[A-Z]{1,3}")
_MOST_COLUMNS = 1024
_SECONDS_A_DAY = 86_400
# Numbers of built-in formats: 27-36 and 50-58 are Japanese and Chinese dates (ECMA-376 part 1, 18.8.30).
_DATE_FORMATS = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_NOT_CODES = re.compile(r"\"[^\"]*\"|\\.|\[[^\]]*\]")


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
            root = file.xml(parts.get(sheet.get(f"{_R}id", ""), ""))
            if sheet.get("state", "visible") != "visible":
                hidden.append(page)
            elif root is not None and (rows := [Line(*row) for row in cells.rows(root)]):
                blocks.append(heading(sheet.get("name", ""), 1, (), page))
                blocks.append(Block("table", tuple(rows), page=page, header=rows[0].text))
        notes = (pages_note("hidden", hidden, "sheet"),) if hidden else ()
        return Reading(tuple(blocks), core_title(file), notes=notes)


class _Cells:
    """What the cells of all sheets refer to: shared texts, and which styles show a number as a date."""

    def __init__(self, file: OfficeFile, workbook: ET.Element) -> None:
        shared = file.xml("xl/sharedStrings.xml")
        self._texts = [] if shared is None else [_plain(item) for item in shared.findall(f"{_S}si")]
        self._date_styles = _date_styles(file)
        properties = workbook.find(f"{_S}workbookPr")
        is_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        # Day 0 of the other calendar is one earlier than it says, for the 29 February 1900 that never was.
        self._day_0 = datetime.datetime(1904, 1, 1) if is_1904 else datetime.datetime(1899, 12, 30)

    def rows(self, sheet: ET.Element) -> Iterator[tuple[int, str]]:
        """Yield row number and text of the rows that are not empty."""
        number = 0
        for row in sheet.iter(f"{_S}row"):
            given = row.get("r", "")
            number = int(given) if given.isdecimal() else number + 1
            texts: list[str] = []
            for cell in row.findall(f"{_S}c"):
                column = min(_column(cell.get("r", "")) or len(texts), _MOST_COLUMNS)
                texts += [""] * (column - len(texts))
                texts.append(self._value(cell))
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
        return self._number(value, cell.get("s", "")) if kind == "n" else value

    def _number(self, value: str, style: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return value
        if style in self._date_styles and 0 <= number < 2_958_466:  # the year 10000
            return self._date(number)
        return f"{number:.15g}" if len(value) > 15 else value

    def _date(self, number: float) -> str:
        seconds = round(number % 1 * _SECONDS_A_DAY)
        moment = self._day_0 + datetime.timedelta(days=int(number), seconds=seconds)
        if number < 1:
            return moment.strftime("%H:%M:%S")
        return moment.strftime("%Y-%m-%d %H:%M:%S").removesuffix(" 00:00:00")


def _date_styles(file: OfficeFile) -> set[str]:
    """Return the indexes of the cell styles that show dates."""
    styles = file.xml("xl/styles.xml")
    if styles is None:
        return set()
    own = {each.get("numFmtId", ""): each.get("formatCode", "") for each in styles.iter(f"{_S}numFmt")}
    formats = [each.get("numFmtId", "0") for each in styles.iterfind(f"{_S}cellXfs/{_S}xf")]
    return {str(at) for at, number in enumerate(formats) if _is_date(number, own.get(number))}


def _is_date(number: str, code: str | None) -> bool:
    if code is None:
        return number.isdecimal() and int(number) in _DATE_FORMATS
    return re.search("[ymdhs]", _NOT_CODES.sub("", code), re.IGNORECASE) is not None


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
