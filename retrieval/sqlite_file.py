"""What the SQLite files of indexes, documents and vectors share: transactions, opening, and faults."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import FlowError

BUSY_TIMEOUT_S = 60.0
"""How long a process waits for another one that writes."""
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@contextmanager
def transaction(db: sqlite3.Connection, kind: str) -> Iterator[None]:
    """Run the block in one transaction, DEFERRED for a steady view or IMMEDIATE to write; undone when it raises."""
    db.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # SQLite itself rolls back when the disk is full
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def is_corrupt(err: sqlite3.DatabaseError) -> bool:
    """Tell whether the error means that the file's content is broken, so that only a new one helps."""
    return getattr(err, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def is_locked(err: sqlite3.DatabaseError) -> bool:
    """Tell whether another process holds the file, so that it may go later."""
    return getattr(err, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def refusal(path: Path, err: sqlite3.DatabaseError, what: str = "code index") -> FlowError:
    """Return the error a person reads for a fault of the file that is not mended by a new one (disk full, ...)."""
    return FlowError(
        f"the {what} {str(path)!r} cannot be used: {err}.",
        hint="Check the disk's free space and the file's permissions; deleting the file is safe.",
    )


def read_version(db: sqlite3.Connection) -> int:
    """Return the version of the schema that the file was made with; 0 = it has no tables yet."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def data_version(db: sqlite3.Connection) -> int:
    """Return a number that is another one when another connection has changed the file since it was asked last."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])


def use_wal(db: sqlite3.Connection) -> None:
    """Switch to write-ahead logging once. The switch ignores the busy timeout, so a loser of the race tries again."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as err:
            if not is_locked(err) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
