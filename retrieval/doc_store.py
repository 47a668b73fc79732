"""The SQLite file that is the truth of one scope's documents: where it lies, its tables, opening it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..configs.dirs import create_private, make_private
from ..core.errors import ConfigError, FlowError
from .sqlite_file import BUSY_TIMEOUT_S, read_version, transaction, use_wal
from .tokenise import FTS5_TOKENIZER

SCHEMA_VERSION = 1
READER_VERSION = 2
"""Raised when readers, passages or words change: the next sync reads every document anew."""
_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0);
CREATE TABLE collections (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, synced_at REAL NOT NULL);
CREATE TABLE sources (
  id INTEGER PRIMARY KEY, collection_id INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
  pattern TEXT NOT NULL, UNIQUE (collection_id, pattern));
CREATE TABLE documents (
  id INTEGER PRIMARY KEY, collection_id INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
  path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, read_ns INTEGER NOT NULL,
  sha256 TEXT NOT NULL, reader INTEGER NOT NULL, format TEXT NOT NULL, encoding TEXT NOT NULL, title TEXT NOT NULL,
  problem TEXT NOT NULL, notes TEXT NOT NULL, UNIQUE (collection_id, path));
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY, document_id INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
  start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, page INTEGER, heading TEXT NOT NULL, text TEXT NOT NULL,
  text_sha TEXT NOT NULL);
CREATE INDEX chunks_document ON chunks (document_id);
CREATE INDEX chunks_text ON chunks (text_sha);
CREATE VIRTUAL TABLE words USING fts5 (title, heading, body, tokenize = "{FTS5_TOKENIZER}");
CREATE TRIGGER chunk_gone AFTER DELETE ON chunks BEGIN DELETE FROM words WHERE rowid = old.id; END;
"""


def project_file(data_dir: Path, workspace: Path) -> Path:
    """Return where the documents of a project are kept, apart from those of every other one."""
    key = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:32]
    return data_dir / "docs" / f"{key}.sqlite3"


def user_file(data_dir: Path) -> Path:
    """Return where the documents are kept that all projects of this user share."""
    return data_dir / "docs" / "user.sqlite3"


class _Kept(NamedTuple):
    """A connection that waits for its next use. `file`: which file it has open."""

    db: sqlite3.Connection
    file: tuple[int, int] | None


class DocumentStore:
    """One file. Threads and processes may share it: each use has a connection of its own, and no reader waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.Lock()
        self._kept: _Kept | None = None

    @property
    def vectors(self) -> Path:
        """The folder beside it where vectors of its texts are kept, once there is a model."""
        return self.path.with_suffix(".vectors")

    def exists(self) -> bool:
        """Tell whether anything was ever stored; a question about documents makes no file."""
        return self.path.exists()

    def collections(self) -> list[str]:
        """Return the names of the collections, in the order in which they were made.

        Raises:
            FlowError: as for connect.
        """
        if not self.exists():
            return []
        with self.connect() as db:
            return [row[0] for row in db.execute("SELECT name FROM collections ORDER BY id")]

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """Yield an open connection in autocommit mode on a file with our tables; close it afterwards.

        Raises:
            FlowError: the file cannot be used; what was done in an open transaction is undone.
            ConfigError: it cannot be made, or a newer version wrote it.
        """
        db = self._open()
        try:
            yield db
        except sqlite3.DatabaseError as err:
            raise self._refusal(err) from err
        finally:
            db.close()

    @contextmanager
    def connect_again(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection as `connect` does, the one of the time before while its file is still there.

        Opening one takes as long as a search of a thousand passages. After a fault it is not kept.
        """
        with self._mutex:
            kept, self._kept = self._kept, None
        if kept is not None and kept.file != self._file():
            kept.db.close()
            kept = None
        held = kept or _Kept(self._open(), self._file())
        try:
            yield held.db
        except BaseException as err:
            held.db.close()
            if isinstance(err, sqlite3.DatabaseError):
                raise self._refusal(err) from err
            raise
        with self._mutex:
            spare, self._kept = self._kept, held
        if spare is not None:  # another thread was done first
            spare.db.close()

    def _open(self) -> sqlite3.Connection:
        try:
            if not self.path.exists():
                make_private(self.path.parent)
                create_private(self.path)
            # One thread at a time uses it, not always the one that opened it.
            db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as err:
            raise self._refusal(err) from err
        try:
            _prepare(db)
            self._ensure_schema(db)
        except BaseException as err:
            db.close()
            if isinstance(err, sqlite3.DatabaseError):
                raise self._refusal(err) from err
            raise
        return db

    def _file(self) -> tuple[int, int] | None:
        """Return what tells the file apart from another one at its place; None = there is none."""
        try:
            info = self.path.stat()
        except OSError:
            return None
        return info.st_dev, info.st_ino

    def _ensure_schema(self, db: sqlite3.Connection) -> None:
        if read_version(db) == SCHEMA_VERSION:
            return
        with transaction(db, "IMMEDIATE"):
            version = read_version(db)
            if version > SCHEMA_VERSION:
                raise ConfigError(
                    f"the documents in {str(self.path)!r} were stored by a newer flow.", hint="Update this one."
                )
            if version == 0:  # else another process was first
                for statement in _SCHEMA.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _refusal(self, err: Exception) -> FlowError:
        return FlowError(
            f"the documents' index {str(self.path)!r} cannot be used: {err}.",
            hint="Check space and permissions. If it is damaged, remove it and add the documents again.",
        )


def _prepare(db: sqlite3.Connection) -> None:
    use_wal(db)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")  # deleted text is overwritten, not only forgotten
