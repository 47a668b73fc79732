"""LangGraph's checkpoints in the run database. Imports langgraph, so only the runner's callers import it, late."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiosqlite

from ..core.errors import FlowError
from ..graphs.stored_state import state_serializer
from .fence import SAVER_TABLES, Fence, lost_when_refused, triggers
from .saver import RunSaver
from .schema import BUSY_TIMEOUT_S, open_database


@asynccontextmanager
async def open_saver(path: Path, fence: Fence | None = None) -> AsyncIterator[RunSaver]:
    """Give a saver on the run database, its tables made; at the end its connection is closed and its thread ended.

    The state of graph files is plain JSON data, that of graphs written in Python little more, so nothing but the
    serializer's own safe types is ever rebuilt from a row, and nothing is pickled.

    Args:
        fence: the runs whose checkpoints may be written; None = only those that never had a lease.

    Raises:
        FlowError: the database cannot be opened.
    """
    connection = await _connect(path, fence or Fence())
    try:
        yield await _set_up(connection, path)
    finally:
        # The thread of an open connection would keep the process alive.
        await connection.close()


async def _set_up(connection: aiosqlite.Connection, path: Path) -> RunSaver:
    saver = RunSaver(connection, serde=state_serializer())
    try:
        await saver.setup()
        for table in SAVER_TABLES:
            for statement in triggers(table, "thread_id"):
                await connection.execute(statement)
    except sqlite3.Error as err:
        raise _unusable(path, err) from err
    return saver


async def _connect(path: Path, fence: Fence) -> aiosqlite.Connection:
    # Makes the file and the tables of the leases, which the fence looks into.
    open_database(path, fence).close()
    connection = None
    try:
        connection = await aiosqlite.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, factory=_OneStepConnection
        )
        await connection.execute("PRAGMA trusted_schema = ON")
        await connection.create_function("flow_epoch", 1, fence.epoch)
        await connection.execute("PRAGMA journal_mode = WAL")
        # Survives a killed process; only a power cut may take the last checkpoints, whose tool calls are journaled.
        await connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as err:
        if connection is not None:
            await connection.close()
        raise _unusable(path, err) from err
    return connection


def _unusable(path: Path, err: sqlite3.Error) -> FlowError:
    return FlowError(
        f"The checkpoints in {str(path)!r} cannot be used: {err}.",
        hint="Check free space and permissions, then `flow resume` or try again.",
    )


class _OneStepCursor(sqlite3.Cursor):
    def execute(self, sql: str, values: Any = (), /) -> Self:
        """Run one statement.

        Raises:
            LeaseLost: it would write to a run that this process does not hold.
        """
        with lost_when_refused():
            return super().execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Any], /) -> Self:
        """Write all rows or none, within this one call."""
        self.execute("BEGIN IMMEDIATE")
        try:
            with lost_when_refused():
                super().executemany(sql, rows)
            self.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.execute("ROLLBACK")
            raise
        return self


class _OneStepConnection(sqlite3.Connection):
    """A connection that never holds the write lock between two calls.

    The saver writes in one call and commits in the next, with the event loop in between; a write of the run store on
    the loop's own thread would then wait for a lock that only the loop can free, until the busy timeout ends it. So
    single statements commit themselves (isolation_level None) and `executemany` is a transaction of its own.
    """

    def cursor(self, factory: Any = _OneStepCursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, values: Any = (), /) -> Any:
        # Without this the statement would run on a plain cursor.
        return self.cursor().execute(sql, values)
