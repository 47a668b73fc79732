"""Vectors by model and text hash as float32 blobs in SQLite: the truth that Chroma is rebuilt from."""

from __future__ import annotations

import array
import os
import sqlite3
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..configs.dirs import create_private
from .sqlite_file import BUSY_TIMEOUT_S, is_corrupt, refusal, transaction, use_wal

_SELECT_BATCH = 500
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS vectors (
         model TEXT NOT NULL, text_sha TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (model, text_sha)
       ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS marks (
         model TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (model, name)
       ) WITHOUT ROWID""",
)


class VectorStore:
    """The vectors of one model; the file may hold other models' beside them. Processes may share it.

    Args:
        model: id of the embedder.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path = path
        self._model = model

    def open(self) -> bool:
        """Make sure that the file can be used; return False when it was broken and has been emptied.

        Raises:
            FlowError: it cannot be used and a new file would not help.
        """
        try:
            with self._connect() as db:
                db.execute("SELECT count(*) FROM vectors").fetchone()
        except sqlite3.DatabaseError as err:
            if not is_corrupt(err):
                raise refusal(self.path, err, "store of vectors") from err
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.path}{suffix}")
            return False
        return True

    def text_shas(self) -> set[str]:
        """Return the hashes of the texts that were embedded."""
        with self._connect() as db:
            return {row[0] for row in db.execute("SELECT text_sha FROM vectors WHERE model = ?", (self._model,))}

    def searchable_shas(self) -> set[str]:
        """Return the hashes of the texts that have a vector: not of those that the model cannot read."""
        with self._connect() as db:
            rows = db.execute("SELECT text_sha FROM vectors WHERE model = ? AND vector <> x''", (self._model,))
            return {row[0] for row in rows}

    def put(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Store vectors by text hash, [] for what has none; they are on disk when this returns."""
        rows = [(self._model, sha, pack(vector)) for sha, vector in vectors.items()]
        with self._connect() as db, transaction(db, "IMMEDIATE"):
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def get(self, text_shas: Sequence[str]) -> dict[str, list[float]]:
        """Return the vectors that are stored under these hashes, in the order of the hashes."""
        found: dict[str, list[float]] = {}
        with self._connect() as db:
            for at in range(0, len(text_shas), _SELECT_BATCH):
                batch = text_shas[at : at + _SELECT_BATCH]
                marks = ",".join("?" * len(batch))
                rows = db.execute(
                    f"SELECT text_sha, vector FROM vectors WHERE model = ? AND text_sha IN ({marks})",
                    (self._model, *batch),
                )
                found.update((sha, unpack(blob)) for sha, blob in rows)
        return {sha: found[sha] for sha in text_shas if sha in found}

    def packed(self, text_shas: Collection[str], dimension: int) -> dict[str, bytes]:
        """Return those of the vectors that have this many numbers, as little-endian float32 by hash."""
        with self._connect() as db:
            rows = db.execute("SELECT text_sha, vector FROM vectors WHERE model = ?", (self._model,))
            return {sha: blob for sha, blob in rows if sha in text_shas and len(blob) == 4 * dimension}

    def delete(self, text_shas: Collection[str]) -> None:
        with self._connect() as db, transaction(db, "IMMEDIATE"):
            db.executemany(
                "DELETE FROM vectors WHERE model = ? AND text_sha = ?", [(self._model, sha) for sha in text_shas]
            )

    def mark(self, name: str) -> bytes:
        """Return what was noted under a name; b"" = nothing."""
        with self._connect() as db:
            row = db.execute("SELECT value FROM marks WHERE model = ? AND name = ?", (self._model, name)).fetchone()
        return bytes(row[0]) if row else b""

    def set_mark(self, name: str, value: bytes) -> None:
        """Note something about the vectors of this model."""
        with self._connect() as db, transaction(db, "IMMEDIATE"):
            db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (self._model, name, value))

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        create_private(self.path)
        db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            use_wal(db)
            db.execute("PRAGMA synchronous = NORMAL")
            for statement in _SCHEMA:
                db.execute(statement)
            yield db
        finally:
            db.close()


def pack(vector: Sequence[float]) -> bytes:
    """Return numbers as little-endian float32."""
    packed = array.array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(blob: bytes) -> list[float]:
    """Return the numbers of what `pack` made."""
    packed = array.array("f")
    packed.frombytes(blob)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()
