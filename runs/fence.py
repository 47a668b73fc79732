"""The fence around a run in the database itself: a process writes to a run only while it holds the run's lease.

Triggers compare the epoch of the stored lease with the one this connection's process holds, so every writer is held
to it, LangGraph's saver too. Used by the run store, the checkpoints, the schema and the leases.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..core.errors import RunInterrupted

_REFUSED = "flow: this process does not hold the lease of the run"
_EVENTS = (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD"))

SAVER_TABLES = ("checkpoints", "writes", "checkpoint_item")
"""The saver's tables; their column `thread_id` is the run's id."""


class LeaseLost(RunInterrupted):
    """Another process took the run over, or may have: this one writes nothing more. What was saved before stays."""


class _Held(NamedTuple):
    epoch: int
    until: float


class Fence:
    """Which runs this process holds. Shared by all its connections to the database; used from any thread.

    Args:
        clock: seconds that only go forward. They count while a process is stopped by a signal, not while the machine
            sleeps: after a sleep nobody else had the time to take a run over either.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}

    def hold(self, run_id: str, epoch: int, until: float) -> None:
        """Let this process write to the run, up to a time of `clock`."""
        self._held[run_id] = _Held(epoch, until)

    def drop(self, run_id: str) -> None:
        """Let this process write to the run no more."""
        self._held.pop(run_id, None)

    def now(self) -> float:
        """Return the present time of `clock`."""
        return self._clock()

    def epoch(self, run_id: str) -> int | None:
        """Return the epoch under which this process may write to the run now; None = it holds no live lease."""
        held = self._held.get(run_id)
        return None if held is None or self._clock() >= held.until else held.epoch

    def install(self, connection: sqlite3.Connection) -> None:
        """Make this fence the one that a connection's writes pass."""
        # Some builds of SQLite let triggers call no function of the program unless the schema is declared trusted.
        connection.execute("PRAGMA trusted_schema = ON")
        connection.create_function("flow_epoch", 1, self.epoch)


def triggers(table: str, key: str) -> Iterator[str]:
    """Yield statements that fence a table, each doing nothing when it was run before.

    A run that never had a lease may be written by anybody; one that has, or had, only by the present holder.

    Args:
        key: the column that holds the run's id.
    """
    for event, row in _EVENTS:
        yield (
            f"CREATE TRIGGER IF NOT EXISTS fence_{table}_{event.lower()} BEFORE {event} ON {table}"
            f" WHEN flow_epoch({row}.{key}) IS NOT"
            f" (SELECT epoch FROM lease WHERE kind = 'run' AND name = {row}.{key})"
            f" BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )


@contextmanager
def lost_when_refused() -> Iterator[None]:
    """Turn the refusal of the fence into LeaseLost; every other error passes."""
    try:
        yield
    except sqlite3.IntegrityError as err:
        if str(err) != _REFUSED:
            raise
        raise LeaseLost(
            "Nothing was written: this process does not hold the run, or no longer.",
            hint="`flow runs list` shows its state.",
        ) from err
