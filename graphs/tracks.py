"""Arrows side by side between two ranks of a drawing: which one turns at which height. Called by layout.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Strand:
    """A piece of an arrow from column `start` above a gap to `end` below it; `track` is the row it turns at."""

    start: int
    end: int
    track: int = 0

    @property
    def span(self) -> tuple[int, int]:
        return min(self.start, self.end), max(self.start, self.end)


def pack_strands(strands: Sequence[Strand]) -> int:
    """Give each strand its track, from 1, and return how many rows they take; 0 when all run straight down.

    No two overlap in a row. One whose upper column is another's lower one turns above it, so that the two do not run
    into each other; only where such wishes form a circle does one of them give way.
    """
    waiting = sorted((each for each in strands if each.start != each.end), key=lambda each: each.span)
    rows: list[list[Strand]] = []
    while waiting:
        free = [
            each for each in waiting if not any(_must_be_above(other, each) for other in waiting if other is not each)
        ]
        strand = (free or waiting)[0]
        waiting.remove(strand)
        strand.track = _row_for(strand, rows)
        while len(rows) < strand.track:
            rows.append([])
        rows[strand.track - 1].append(strand)
    return len(rows)


def _must_be_above(one: Strand, other: Strand) -> bool:
    return one.start == other.end


def _row_for(strand: Strand, rows: Sequence[Sequence[Strand]]) -> int:
    """Return the first row below all that must be above the strand in which it has room."""
    least = max(
        (at for at, row in enumerate(rows, 1) if any(_must_be_above(each, strand) for each in row)), default=0
    )
    for at in range(least, len(rows)):
        if all(_apart(strand, each) for each in rows[at]):
            return at + 1
    return len(rows) + 1


def _apart(one: Strand, other: Strand) -> bool:
    (a, b), (c, d) = one.span, other.span
    # Pieces of arrows that leave one box at one column may share it: they are one line there.
    return b < c or d < a
