"""The SQLite file behind the code index: where it lies, its schema, and opening it. Called by the code index."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..configs.dirs import create_private
from ..core.errors import ConfigError, FlowError
from .grammars import extractor_id
from .tokenise import FTS5_TOKENIZER

SCHEMA_VERSION = 1
_BUSY_TIMEOUT_S = 60.0
_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0);
CREATE TABLE files (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL, read_ns INTEGER NOT NULL, lang TEXT NOT NULL, lines INTEGER NOT NULL,
  skipped TEXT NOT NULL, problem TEXT NOT NULL);
CREATE TABLE contents (file_id INTEGER PRIMARY KEY, body BLOB NOT NULL, names BLOB NOT NULL);
CREATE TABLE symbols (
  file_id INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, line INTEGER NOT NULL,
  start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, signature TEXT NOT NULL, parent TEXT NOT NULL);
CREATE INDEX symbols_file ON symbols (file_id);
CREATE INDEX symbols_name ON symbols (name);
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY, file_id INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
  heading TEXT NOT NULL, text_sha TEXT NOT NULL);
CREATE INDEX chunks_file ON chunks (file_id);
CREATE INDEX chunks_text ON chunks (text_sha);
CREATE VIRTUAL TABLE file_words USING fts5 (path, definitions, body, tokenize = "{FTS5_TOKENIZER}");
CREATE VIRTUAL TABLE chunk_words USING fts5 (path, definitions, body, tokenize = "{FTS5_TOKENIZER}");
"""
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class CodeStore:
    """One index file for one workspace, named after the workspace's path.

    Args:
        cache_dir: folder of all index files; made when missing, readable by its owner only.

    Raises:
        ConfigError: the folder cannot be made or written.
    """

    def __init__(self, workspace: Path, cache_dir: Path) -> None:
        key = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:32]
        self.path = cache_dir / f"{key}.sqlite3"
        digest = hashlib.sha256(f"{SCHEMA_VERSION} {extractor_id()} {_SCHEMA}".encode()).digest()
        # What the file says of its maker; never 0, which is a new file's.
        self._version = int.from_bytes(digest[:3], "big") + 1
        try:
            cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            cache_dir.chmod(0o700)
        except OSError as err:
            raise ConfigError(
                f"the index folder {str(cache_dir)!r} cannot be used: {err.strerror}.",
                hint="Make it writable, or set FLOW_HOME to another folder.",
            ) from err

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """Yield an open connection in autocommit mode on a file with our tables; close it afterwards.

        Raises:
            sqlite3.DatabaseError: the file is broken (see `is_corrupt`) or locked for longer than a minute.
            ConfigError: the file cannot be opened.
        """
        try:
            create_private(self.path)
        except OSError as err:
            raise ConfigError(
                f"the index file {str(self.path)!r} cannot be opened: {err.strerror}.",
                hint="Make it writable, or set FLOW_HOME to another folder.",
            ) from err
        db = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        try:
            _use_wal(db)
            db.execute("PRAGMA synchronous = NORMAL")
            self._ensure_schema(db)
            yield db
        finally:
            db.close()

    def _ensure_schema(self, db: sqlite3.Connection) -> None:
        if _read_version(db) == self._version:
            return
        with transaction(db, "IMMEDIATE"):
            if _read_version(db) == self._version:
                return  # another process was first
            # A full-text table takes its shadow tables with it, so these go first.
            for condition in ("sql LIKE 'CREATE VIRTUAL%'", "name NOT LIKE 'sqlite_%'"):
                names = db.execute(f"SELECT name FROM sqlite_master WHERE type = 'table' AND {condition}")
                for (name,) in names.fetchall():
                    db.execute(f'DROP TABLE "{name}"')
            for statement in _SCHEMA.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {self._version}")

    def discard(self) -> None:
        """Delete the file; the next connection makes a new one."""
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.path}{suffix}")


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
    return getattr(err, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def refusal(path: Path, err: sqlite3.DatabaseError) -> FlowError:
    """Return the error a person reads for a fault of the file that is not mended by a new one (disk full, ...)."""
    return FlowError(
        f"the code index {str(path)!r} cannot be used: {err}.",
        hint="Check the disk's free space and the file's permissions; deleting the file is safe.",
    )


def _read_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to write-ahead logging once. The switch ignores the busy timeout, so a loser of the race tries again."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as err:
            if not is_locked(err) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
