"""Vectors by model and text hash as float32 blobs in SQLite: the truth that Chroma is rebuilt from."""

from __future__ import annotations

import array
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..configs.dirs import create_private
from .code_store import is_corrupt, refusal, transaction

_SELECT_BATCH = 500


class VectorStore:
    """The vectors of one model; the file may hold other models' beside them.

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
                raise refusal(self.path, err) from err
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.path}{suffix}")
            return False
        return True

    def text_shas(self) -> set[str]:
        with self._connect() as db:
            return {row[0] for row in db.execute("SELECT text_sha FROM vectors WHERE model = ?", (self._model,))}

    def put(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Store vectors by text hash; they are on disk when this returns."""
        rows = [(self._model, sha, _pack(vector)) for sha, vector in vectors.items()]
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
                found.update((sha, _unpack(blob)) for sha, blob in rows)
        return {sha: found[sha] for sha in text_shas if sha in found}

    def delete(self, text_shas: Sequence[str]) -> None:
        with self._connect() as db, transaction(db, "IMMEDIATE"):
            db.executemany(
                "DELETE FROM vectors WHERE model = ? AND text_sha = ?", [(self._model, sha) for sha in text_shas]
            )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        create_private(self.path)
        db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(
                """CREATE TABLE IF NOT EXISTS vectors (
                     model TEXT NOT NULL, text_sha TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (model, text_sha)
                   ) WITHOUT ROWID"""
            )
            yield db
        finally:
            db.close()


def _pack(vector: Sequence[float]) -> bytes:
    packed = array.array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack(blob: bytes) -> list[float]:
    packed = array.array("f")
    packed.frombytes(blob)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()
