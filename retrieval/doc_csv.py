"""Reads tables in text files: CSV and its kin with tabs, semicolons or bars; the first row names the columns."""

from __future__ import annotations

import csv
import io

from .doc_blocks import Line, Reading, Unreadable, row_text, table
from .doc_text import text_lines

_DELIMITERS = ",\t;|"
_SAMPLE_LINES = 20


def read(data: bytes) -> Reading:
    """Return the file's rows as one table; a row is numbered by its first line."""
    lines, encoding = text_lines(data)
    text = "\n".join(lines)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(lines[:_SAMPLE_LINES]))
    rows: list[Line] = []
    first = 1
    try:
        for cells in reader:
            rows.append(Line(first, row_text(cells)))
            first = reader.line_num + 1
    except csv.Error as err:
        raise Unreadable(f"not a table: {err}") from err
    rows = [row for row in rows if row.text]
    return Reading((table(rows),), encoding=encoding)


def _delimiter(lines: list[str]) -> str:
    """Return the delimiter that stands equally often in most lines; of several the most frequent."""

    def steady(char: str) -> tuple[int, int]:
        counts = [line.count(char) for line in lines if line.strip()]
        first = counts[0] if counts else 0
        return (sum(count == first for count in counts) if first else 0, first)

    return max(_DELIMITERS, key=steady)
