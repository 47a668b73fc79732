"""Faults of a graph file: one line each, with the place. Written by the reader and the checks, read by a person."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.errors import GraphInvalid

MAX_FAULTS = 50
"""How many faults one message shows."""
MAX_LISTED = 16
"""How many names a message lists before it says how many there are."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; line and column count from 1. `path`: of another file than the graph's own; "" = its own."""

    line: int = 1
    column: int = 1
    path: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong. `path` is the file as the person knows it."""

    path: str
    at: Position
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.at.line}:{self.at.column}: {self.message}"


def invalid(faults: Sequence[Fault]) -> GraphInvalid:
    """Return the error that carries the faults, one line each, in the order of the files and their lines."""
    lines = [str(fault) for fault in sorted(set(faults))]
    more = [f"... and {len(lines) - MAX_FAULTS} more"] if len(lines) > MAX_FAULTS else []
    return GraphInvalid("\n".join(lines[:MAX_FAULTS] + more))


def near(name: str, options: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the option that is closest to the name; "" when none is close."""
    folded = {option.casefold(): option for option in options}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def listed(names: Iterable[str]) -> str:
    """Return the names for the end of a message, sorted, cut after `MAX_LISTED`; "none" when there are none."""
    ordered = sorted(names)
    if len(ordered) > MAX_LISTED:
        return f"{', '.join(ordered[:MAX_LISTED])} and {len(ordered) - MAX_LISTED} more"
    return ", ".join(ordered) or "none"
