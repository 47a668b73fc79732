"""LangGraph's checkpoints in the run database. Imports langgraph, so only the runner's callers import it, late."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from ..configs.dirs import make_private
from ..core.errors import FlowError
from .schema import BUSY_TIMEOUT_S


@asynccontextmanager
async def open_saver(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """Give a saver on the run database, its tables made; at the end its connection is closed and its thread ended.

    The state of our graphs is plain JSON data, so nothing but the serializer's own safe types is ever rebuilt from a
    row, and nothing is pickled.

    Raises:
        FlowError: the database cannot be opened.
    """
    connection = await _connect(path)
    try:
        saver = AsyncSqliteSaver(connection, serde=_serializer())
        await saver.setup()
        yield saver
    finally:
        # The thread of an open connection would keep the process alive.
        await connection.close()


async def _connect(path: Path) -> aiosqlite.Connection:
    make_private(path.parent)
    connection = None
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = await aiosqlite.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, factory=_OneStepConnection
        )
        await connection.execute("PRAGMA journal_mode = WAL")
        # Survives a killed process; only a power cut may take the last checkpoints, whose tool calls are journaled.
        await connection.execute("PRAGMA synchronous = NORMAL")
    except (OSError, sqlite3.Error) as err:
        if connection is not None:
            await connection.close()
        raise FlowError(
            f"The checkpoints in {str(path)!r} cannot be used: {err}.",
            hint="Check free space and permissions, then try again.",
        ) from err
    return connection


def _serializer() -> JsonPlusSerializer:
    # An explicit list, even an empty one, is what turns off the default that imports and calls whatever a row names.
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=[])


class _OneStepCursor(sqlite3.Cursor):
    def executemany(self, sql: str, rows: Iterable[Any], /) -> Self:
        """Write all rows or none, within this one call."""
        self.execute("BEGIN IMMEDIATE")
        try:
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
