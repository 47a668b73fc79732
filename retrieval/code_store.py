"""The SQLite file behind the code index: where it lies, its schema, and opening it. Called by the code index."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..configs.dirs import create_private
from ..core.errors import ConfigError
from .grammars import extractor_id
from .sqlite_file import BUSY_TIMEOUT_S, is_locked, read_version, transaction, use_wal

SCHEMA_VERSION = 4
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0), ('complete', 1), ('resolved', 1);
CREATE TABLE texts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sha256 TEXT NOT NULL, lang TEXT NOT NULL, lines INTEGER NOT NULL,
  problem TEXT NOT NULL, definition_length INTEGER NOT NULL, body_length INTEGER NOT NULL, UNIQUE (sha256, lang));
CREATE TABLE contents (text_id INTEGER PRIMARY KEY, body BLOB NOT NULL, uses BLOB NOT NULL, imports BLOB NOT NULL);
CREATE TABLE files (
  id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, words TEXT NOT NULL, sha256 TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, read_ns INTEGER NOT NULL, text_id INTEGER,
  skipped TEXT NOT NULL);
CREATE INDEX files_text ON files (text_id);
CREATE TABLE symbols (
  text_id INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, line INTEGER NOT NULL,
  start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, signature TEXT NOT NULL, parent TEXT NOT NULL);
CREATE INDEX symbols_text ON symbols (text_id);
CREATE INDEX symbols_name ON symbols (name);
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY, text_id INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
  heading TEXT NOT NULL, context TEXT NOT NULL, text_sha TEXT NOT NULL);
CREATE INDEX chunks_text ON chunks (text_id);
CREATE INDEX chunks_sha ON chunks (text_sha);
CREATE TABLE segments (id INTEGER PRIMARY KEY, texts INTEGER NOT NULL);
CREATE TABLE postings (
  term TEXT NOT NULL, segment INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (term, segment)) WITHOUT ROWID;
CREATE TABLE edges (file_id INTEGER PRIMARY KEY, targets BLOB NOT NULL, imported BLOB NOT NULL);
CREATE TABLE history (head TEXT NOT NULL);
CREATE TABLE changed_files (id INTEGER PRIMARY KEY, path TEXT NOT NULL, length REAL NOT NULL);
CREATE TABLE change_terms (term TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
"""


def index_path(workspace: Path, cache_dir: Path) -> Path:
    """Return where the index of a workspace lies."""
    return cache_dir / f"{hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:32]}.sqlite3"


class CodeStore:
    """One index file for one workspace, named after the workspace's path.

    A text is stored once for each content and language, whatever paths it has or had: files point to their texts.

    Args:
        cache_dir: folder of all index files; made when missing, readable by its owner only.

    Raises:
        ConfigError: the folder cannot be made or written.
    """

    def __init__(self, workspace: Path, cache_dir: Path) -> None:
        self.path = index_path(workspace, cache_dir)
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
        self._create(self.path)
        db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            use_wal(db)
            db.execute("PRAGMA synchronous = NORMAL")
            self._ensure_schema(db)
            yield db
        finally:
            db.close()

    @contextmanager
    def writing(self, wait_s: float) -> Iterator[bool]:
        """Yield whether this process alone may write the index; that ends with the process, however it ends.

        Args:
            wait_s: how long another process is waited for.
        """
        path = self.path.with_suffix(".lock")
        self._create(path)
        lock = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
        try:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as err:
                if not is_locked(err):
                    raise
                yield False
            else:
                yield True
        finally:
            lock.close()

    def copy_from(self, db: sqlite3.Connection, other: Path) -> bool:
        """Make the index a copy of another one, when that is there and of the same version; return whether."""
        if not other.is_file():
            return False
        source = sqlite3.connect(f"file:{other}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            if read_version(source) != self._version:
                return False
            source.backup(db)
            return True
        except sqlite3.DatabaseError:
            return False  # what can not be copied is indexed anew
        finally:
            source.close()

    def _create(self, path: Path) -> None:
        try:
            create_private(path)
        except OSError as err:
            raise ConfigError(
                f"the index file {str(path)!r} cannot be opened: {err.strerror}.",
                hint="Make it writable, or set FLOW_HOME to another folder.",
            ) from err

    def _ensure_schema(self, db: sqlite3.Connection) -> None:
        if read_version(db) == self._version:
            return
        with transaction(db, "IMMEDIATE"):
            if read_version(db) == self._version:
                return  # another process was first
            # A full-text table of an older version takes its shadow tables with it, so these go first.
            for condition in ("sql LIKE 'CREATE VIRTUAL%'", "name NOT LIKE 'sqlite_%'"):
                names = db.execute(f"SELECT name FROM sqlite_master WHERE type = 'table' AND {condition}")
                for (name,) in names.fetchall():
                    db.execute(f'DROP TABLE "{name}"')
            for statement in _SCHEMA.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {self._version}")

    def size(self) -> int:
        """Return the bytes that the index takes on disk; 0 = there is none."""
        return sum(os.path.getsize(path) for path in self._files() if os.path.exists(path))

    def discard(self) -> None:
        """Delete the file; the next connection makes a new one."""
        for path in self._files():
            with suppress(FileNotFoundError):
                os.unlink(path)

    def _files(self) -> list[str]:
        return [f"{self.path}{suffix}" for suffix in ("", "-wal", "-shm")]


def read_meta(db: sqlite3.Connection, key: str) -> int:
    """Return "generation", which grows with every change, or whether the index is "complete" or "resolved"."""
    return int(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])


def write_meta(db: sqlite3.Connection, **values: int) -> None:
    db.executemany("UPDATE meta SET value = ? WHERE key = ?", [(value, key) for key, value in values.items()])
