"""Limits of time at the speed of the machine that a bench runs on."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .process import flow_env, run_process
from .rows import Row

DESIGN_PYTHON_MS = 19.0
"""CPU of `python -c pass` on the machine that the limits of time were set on."""
_TIMES = 9
_DURATIONS = ("s", "ms")
_RATES = ("a s",)


def python_ms() -> float:
    """Return the CPU of the bare interpreter in milliseconds, the least of nine."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        words = [sys.executable, "-c", "pass"]
        return min(run_process(words, cwd=home, env=flow_env(home)).cpu_s for _ in range(_TIMES)) * 1000


def at_this_speed(rows: Sequence[Row], python_ms_now: float | None = None) -> list[Row]:
    """Return the rows with each limit of time as it is at this machine's speed, never harder than the row's own.

    A row that has such a limit already keeps it.

    To be called right after the rows were measured, because the speed of a shared machine changes within minutes.

    Args:
        python_ms_now: CPU of the bare interpreter; None = it is measured now.
    """
    slower = max(1.0, (python_ms() if python_ms_now is None else python_ms_now) / DESIGN_PYTHON_MS)
    return [replace(row, limit_here=_limit_here(row, slower)) for row in rows]


def _limit_here(row: Row, slower: float) -> float | None:
    if row.limit_here is not None or row.limit is None or row.unit not in (*_DURATIONS, *_RATES):
        return row.limit_here
    return row.limit * slower if row.unit in _DURATIONS else row.limit / slower
