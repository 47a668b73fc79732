"""What a bench gives back, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Bound = Literal["at most", "at least"]


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value.

    Attributes:
        limit: what the value is held to; None = it is only reported.
        beside: a figure of the same run that the value is to be read beside; "" = none.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    bound: Bound = "at most"
    beside: str = ""

    @property
    def ok(self) -> bool:
        """False when the limit is passed."""
        if self.limit is None:
            return True
        return self.value <= self.limit if self.bound == "at most" else self.value >= self.limit


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, columns aligned."""
    cells = [("measured", "value", "limit", "beside it", ""), *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [_line(line, widths) for line in cells]
    return "\n".join([lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    limit = "" if row.limit is None else f"{'<=' if row.bound == 'at most' else '>='} {_number(row.limit)}"
    verdict = "" if row.limit is None else ("ok" if row.ok else "NOT MET")
    return row.name, f"{_number(row.value)} {row.unit}".rstrip(), limit, row.beside, verdict


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"
