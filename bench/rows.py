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
        limit: what the design asks for; None = the value is only reported.
        beside: a figure of the same run that the value is to be read beside; "" = none.
        limit_here: what the value is held to on this machine (`machine.at_this_speed`); None = the limit itself.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    bound: Bound = "at most"
    beside: str = ""
    limit_here: float | None = None

    @property
    def ok(self) -> bool:
        """False when the limit, at this machine's speed, is passed."""
        limit = self.limit if self.limit_here is None else self.limit_here
        if limit is None:
            return True
        return self.value <= limit if self.bound == "at most" else self.value >= limit


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, columns aligned."""
    cells = [("measured", "value", "limit", "here", "beside it", ""), *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [_line(line, widths) for line in cells]
    return "\n".join([lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    verdict = "" if row.limit is None else ("ok" if row.ok else "NOT MET")
    value = f"{_number(row.value)} {row.unit}".rstrip()
    return row.name, value, _limit(row, row.limit), _limit(row, row.limit_here), row.beside, verdict


def _limit(row: Row, limit: float | None) -> str:
    return "" if limit is None else f"{'<=' if row.bound == 'at most' else '>='} {_number(limit)}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"
