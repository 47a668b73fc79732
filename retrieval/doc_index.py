"""The documents of one scope, a project or the user: collections are added, kept in step with their files, removed.

Called by app/docs.py and the retriever of documents.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import FlowError, UsageError
from .doc_reading import DocumentReader
from .doc_store import DocumentStore
from .doc_sync import (
    Collection,
    OnDocument,
    SyncReport,
    changed_documents,
    embedded_text,
    sync_collection,
    touch,
)
from .sqlite_file import transaction

MAX_NAME = 80
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that is not searched, or not all of it, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class CollectionFacts:
    """What a person is told of a collection.

    Attributes:
        sources: absolute paths, some with a pattern.
        documents: that are searched.
        synced_at: seconds since the epoch; 0 = never.
        unread: not searched at all.
        partly: searched, but for what is named.
        formats: number of searched documents by format.
    """

    name: str
    sources: tuple[str, ...]
    documents: int
    passages: int
    synced_at: float
    unread: tuple[Unread, ...]
    partly: tuple[Unread, ...]
    formats: dict[str, int]


class DocumentIndex:
    """The collections of one scope.

    Args:
        path: of the SQLite file; made with the first collection.
        workspace: of the project, whose denial files count; None = the user's own collections.
    """

    def __init__(self, path: Path, workspace: Path | None) -> None:
        self.store = DocumentStore(path)
        self.workspace = workspace

    def exists(self) -> bool:
        """Tell whether anything was ever added."""
        return self.store.exists()

    def add(self, name: str, patterns: Sequence[str]) -> None:
        """Make a collection of these sources, or add them to the one of this name; nothing is read yet.

        Raises:
            UsageError: the name cannot be one.
        """
        if not name.strip() or not name.isprintable() or len(name) > MAX_NAME or "/" in name or name != name.strip():
            raise UsageError(
                f"{name!r} cannot be the name of a collection.",
                hint=f"Give one by --name: up to {MAX_NAME} characters, no slash.",
            )
        with self.store.connect() as db, transaction(db, "IMMEDIATE"):
            db.execute("INSERT OR IGNORE INTO collections (name, synced_at) VALUES (?, 0)", (name,))
            (collection_id,) = db.execute("SELECT id FROM collections WHERE name = ?", (name,)).fetchone()
            db.executemany(
                "INSERT OR IGNORE INTO sources (collection_id, pattern) VALUES (?, ?)",
                [(collection_id, pattern) for pattern in patterns],
            )

    def sync(
        self, names: Sequence[str] = (), on_document: OnDocument | None = None, limit_s: float | None = None
    ) -> SyncReport:
        """Bring collections in step with their files; searching goes on meanwhile.

        Args:
            names: of the collections; () = all.
            limit_s: seconds after which no further document is read; None = no limit.

        Raises:
            FlowError: the index cannot be written, or a denial file cannot be used.
        """
        report = SyncReport()
        if not self.exists():
            return report
        deadline = None if limit_s is None else time.monotonic() + limit_s
        with self.store.connect() as db, DocumentReader() as reader:
            for each in _collections(db):
                if not names or each.name in names:
                    sync_collection(db, each, self.workspace, reader, report, on_document, deadline)
        return report

    def remove(self, name: str, pattern: str = "") -> bool:
        """Forget a collection, or one source of it with its documents; return False when there is none such."""
        if not self.exists():
            return False
        with self.store.connect() as db, transaction(db, "IMMEDIATE"):
            row = db.execute("SELECT id FROM collections WHERE name = ?", (name,)).fetchone()
            if row is None:
                return False
            if not pattern:
                db.execute("DELETE FROM collections WHERE id = ?", row)
            elif not db.execute(
                "DELETE FROM sources WHERE collection_id = ? AND pattern = ?", (*row, pattern)
            ).rowcount:
                return False
            touch(db)
        if not pattern:
            self._tidy()
        return True

    def _tidy(self) -> None:
        """Give the room of a collection back to the disk; lists of words still know those of texts that are gone."""
        with suppress(FlowError), self.store.connect() as db:  # the file is in use: it is only larger than it must be
            db.execute("INSERT INTO words (words) VALUES ('optimize')")
            db.execute("VACUUM")

    def names(self) -> list[str]:
        """Return the names of the collections, in the order in which they were made."""
        return self.store.collections()

    def facts(self) -> list[CollectionFacts]:
        """Return what there is, by collection."""
        if not self.exists():
            return []
        with self.store.connect() as db, transaction(db, "DEFERRED"):
            return [_facts(db, each) for each in _collections(db)]

    def behind(self) -> dict[str, tuple[int, list[str]]]:
        """Return by collection how many documents a sync would read or forget, and which sources are not there."""
        if not self.exists():
            return {}
        with self.store.connect() as db:
            return {each.name: changed_documents(db, each.id, self.workspace) for each in _collections(db)}

    def generation(self) -> int:
        """Return a number that grows with every change of the documents; 0 = nothing was ever stored."""
        if not self.exists():
            return 0
        with self.store.connect() as db:
            return int(db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])

    def text_shas(self) -> set[str]:
        """Return the hashes of all passages' texts, as they are embedded."""
        if not self.exists():
            return set()
        with self.store.connect() as db:
            return {row[0] for row in db.execute("SELECT DISTINCT text_sha FROM chunks")}

    def passage_texts(self, text_shas: set[str]) -> Iterator[tuple[str, str]]:
        """Yield hash and text to embed of those that still exist, each once; no transaction is held in between."""
        wanted = sorted(text_shas)
        for at in range(0, len(wanted) if self.exists() else 0, _BATCH):
            batch = wanted[at : at + _BATCH]
            with self.store.connect() as db:
                rows = db.execute(
                    f"""SELECT text_sha, heading, text FROM chunks WHERE text_sha IN ({",".join("?" * len(batch))})
                        GROUP BY text_sha ORDER BY text_sha""",
                    batch,
                ).fetchall()
            for sha, heading, text in rows:
                yield sha, embedded_text(heading, text)


def _collections(db: sqlite3.Connection) -> list[Collection]:
    return [Collection(*row) for row in db.execute("SELECT id, name FROM collections ORDER BY id")]


def _facts(db: sqlite3.Connection, collection: Collection) -> CollectionFacts:
    key = (collection.id,)
    sources = db.execute("SELECT pattern FROM sources WHERE collection_id = ? ORDER BY id", key)
    rows = db.execute("SELECT path, problem, notes, format FROM documents WHERE collection_id = ? ORDER BY path", key)
    documents = rows.fetchall()
    passages = db.execute(
        "SELECT count(*) FROM chunks JOIN documents ON documents.id = document_id WHERE collection_id = ?", key
    )
    formats: dict[str, int] = {}
    for _, problem, _, form in documents:
        if not problem:
            formats[form] = formats.get(form, 0) + 1
    return CollectionFacts(
        name=collection.name,
        sources=tuple(row[0] for row in sources),
        documents=sum(formats.values()),
        passages=passages.fetchone()[0],
        synced_at=db.execute("SELECT synced_at FROM collections WHERE id = ?", key).fetchone()[0],
        unread=tuple(Unread(path, problem) for path, problem, _, _ in documents if problem),
        partly=tuple(
            Unread(path, "; ".join(json.loads(notes)))
            for path, problem, notes, _ in documents
            if not problem and notes != "[]"
        ),
        formats=formats,
    )
