"""Brings the stored documents of a collection in step with the files: one transaction a document.

Called by the index of documents. Two processes may do this at once, and either may be killed at any point.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..configs.project_files import read_project_file
from .doc_blocks import Reading, Unreadable
from .doc_chunks import DocChunk, cut_document
from .doc_formats import format_named
from .doc_reading import DocumentReader
from .doc_sources import FoundDocument, find_documents
from .doc_store import READER_VERSION
from .sqlite_file import transaction
from .tokenise import prose_index_text

# A file written this shortly before it was read may change again without a new time stamp: it is hashed once more.
_DOUBT_NS = 2_000_000_000

OnDocument = Callable[[int, int, str], None]
"""Is told how many documents are done, how many there are, and which one comes next."""


@dataclass(slots=True)
class SyncReport:
    """What a sync did, in documents.

    Attributes:
        unchanged: among them those that were unreadable before and still are.
        failed: unreadable ones among the added and updated.
        missing: sources that are not there; their documents are kept, and not shown while the files are gone.
        left: documents that are not up to date because the time was over.
    """

    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: int = 0
    left: int = 0
    missing: list[str] = field(default_factory=list)


class Known(NamedTuple):
    """What is stored of a document's file."""

    id: int
    size: int
    mtime_ns: int
    read_ns: int
    sha256: str
    reader: int
    problem: str

    def is_current(self, found: FoundDocument) -> bool:
        """Tell whether a file has the state in which it was read, as far as size and time tell."""
        if self.reader != READER_VERSION:
            return False
        if not found.format:
            return self.problem == found.problem and not self.sha256
        return bool(self.sha256 or self.problem) and (self.size, self.mtime_ns) == (found.size, found.mtime_ns)

    def surely_is(self, found: FoundDocument) -> bool:
        """Tell the same beyond doubt: it was not written so shortly before that a second change left no trace."""
        return self.is_current(found) and (not found.format or self.read_ns - self.mtime_ns > _DOUBT_NS)


class Collection(NamedTuple):
    """A named set of sources."""

    id: int
    name: str


def sync_collection(
    db: sqlite3.Connection,
    collection: Collection,
    workspace: Path | None,
    reader: DocumentReader,
    report: SyncReport,
    on_document: OnDocument | None = None,
    deadline: float | None = None,
) -> None:
    """Read what is new or changed in a collection, and forget what is gone.

    Args:
        db: in autocommit mode.
        workspace: whose denial files count; None = no project's.
        report: is added to.
        deadline: of time.monotonic, after which no further document is read; None = there is none.
    """
    # Before the files are listed: what another process adds meanwhile is then not taken for gone.
    known = _read_known(db, collection.id)
    found = _listing(db, collection.id, workspace, report)
    if found is None:
        return  # another process removed the collection
    changed = [each for each in found.values() if not ((old := known.get(each.path)) and old.surely_is(each))]
    report.unchanged += len(found) - len(changed)
    _delete(db, collection, [path for path in known if path not in found], report)
    for at, each in enumerate(changed):
        if deadline is not None and time.monotonic() > deadline:
            report.left += len(changed) - at
            break
        if on_document is not None:
            on_document(at, len(changed), each.path)
        _update(db, collection, each, known.get(each.path), reader, report)
    if on_document is not None and changed:
        on_document(len(changed), len(changed), "")
    db.execute("UPDATE collections SET synced_at = ? WHERE id = ?", (time.time(), collection.id))


def changed_documents(db: sqlite3.Connection, collection_id: int, workspace: Path | None) -> tuple[int, list[str]]:
    """Return how many documents a sync would read or forget, and the sources that are not there."""
    report = SyncReport()
    known, found = _read_known(db, collection_id), _listing(db, collection_id, workspace, report)
    found = found or {}
    changed = sum(not ((old := known.get(each.path)) and old.is_current(each)) for each in found.values())
    return changed + sum(path not in found for path in known), report.missing


def _read_known(db: sqlite3.Connection, collection_id: int) -> dict[str, Known]:
    rows = db.execute(
        "SELECT path, id, size, mtime_ns, read_ns, sha256, reader, problem FROM documents WHERE collection_id = ?",
        (collection_id,),
    )
    return {row[0]: Known(*row[1:]) for row in rows}


def _listing(
    db: sqlite3.Connection, collection_id: int, workspace: Path | None, report: SyncReport
) -> dict[str, FoundDocument] | None:
    """Return the documents of all sources by path; those of a missing source as they are stored."""
    sources = [
        row[0]
        for row in db.execute("SELECT pattern FROM sources WHERE collection_id = ? ORDER BY id", (collection_id,))
    ]
    if not sources:
        return None
    found: dict[str, FoundDocument] = {}
    for pattern in sources:
        listing = find_documents(pattern, workspace)
        if listing.missing:
            report.missing.append(pattern)
            found.update(_kept(db, collection_id, pattern))
        for each in listing.documents:
            found.setdefault(each.path, each)
    return found


def _kept(db: sqlite3.Connection, collection_id: int, pattern: str) -> Iterator[tuple[str, FoundDocument]]:
    rows = db.execute(
        "SELECT path, size, mtime_ns, format, problem FROM documents WHERE collection_id = ?", (collection_id,)
    )
    for path, *rest in rows.fetchall():
        if path == pattern or path.startswith(f"{pattern.rstrip(os.sep)}{os.sep}"):
            yield path, FoundDocument(path, *rest)


def _delete(db: sqlite3.Connection, collection: Collection, paths: list[str], report: SyncReport) -> None:
    if not paths:
        return
    with transaction(db, "IMMEDIATE"):
        for path in paths:
            done = db.execute("DELETE FROM documents WHERE collection_id = ? AND path = ?", (collection.id, path))
            report.removed += done.rowcount
        touch(db)


def _update(
    db: sqlite3.Connection,
    collection: Collection,
    found: FoundDocument,
    known: Known | None,
    reader: DocumentReader,
    report: SyncReport,
) -> None:
    """Read one document and store it, unless its bytes are the ones that were read."""
    read_ns = time.time_ns()
    sha256, problem, reading = "", found.problem, None
    if found.format:
        form = format_named(found.format)
        try:
            data = read_project_file(Path(found.path), form.max_bytes)
            sha256 = hashlib.sha256(data).hexdigest()
            if known is not None and known.sha256 == sha256 and known.reader == READER_VERSION:
                _store_stat(db, known.id, found, read_ns)
                report.unchanged += 1
                return
            reading = reader.read(form, data)
        except FileNotFoundError:
            return  # gone since it was listed: the next sync finds it gone
        except OSError as err:
            problem = f"cannot be read ({err.strerror})"
        except Unreadable as err:
            problem = str(err)
    chunks = cut_document(reading) if reading is not None else []
    with transaction(db, "IMMEDIATE"):
        if not _is_there(db, collection) or (sha256 and _is_stored(db, collection, found.path, sha256)):
            return
        before = db.execute(
            "DELETE FROM documents WHERE collection_id = ? AND path = ?", (collection.id, found.path)
        ).rowcount
        _insert(db, collection, found, (read_ns, sha256, problem), reading, chunks)
        touch(db)
    report.updated += before > 0
    report.added += before == 0
    report.failed += bool(problem)


def _is_there(db: sqlite3.Connection, collection: Collection) -> bool:
    """Tell whether the collection still is what it was: another process may have removed it meanwhile."""
    row = db.execute("SELECT name FROM collections WHERE id = ?", (collection.id,)).fetchone()
    return row is not None and row[0] == collection.name


def _is_stored(db: sqlite3.Connection, collection: Collection, path: str, sha256: str) -> bool:
    """Tell whether another process has stored this content meanwhile."""
    return (
        db.execute(
            "SELECT 1 FROM documents WHERE collection_id = ? AND path = ? AND sha256 = ? AND reader = ?",
            (collection.id, path, sha256, READER_VERSION),
        ).fetchone()
        is not None
    )


def _store_stat(db: sqlite3.Connection, document_id: int, found: FoundDocument, read_ns: int) -> None:
    db.execute(
        "UPDATE documents SET size = ?, mtime_ns = ?, read_ns = ? WHERE id = ?",
        (found.size, found.mtime_ns, read_ns, document_id),
    )


def _insert(
    db: sqlite3.Connection,
    collection: Collection,
    found: FoundDocument,
    read: tuple[int, str, str],
    reading: Reading | None,
    chunks: list[DocChunk],
) -> None:
    read_ns, sha256, problem = read
    title = reading.title if reading is not None else ""
    encoding, notes = (reading.encoding, reading.notes) if reading is not None else ("", ())
    row = (collection.id, found.path, found.size, found.mtime_ns, read_ns, sha256, READER_VERSION, found.format)
    document_id = db.execute(
        f"INSERT INTO documents VALUES (NULL{', ?' * 12})",
        (*row, encoding, title, problem, json.dumps(notes, ensure_ascii=False)),
    ).lastrowid
    title_words = prose_index_text(f"{title}\n{Path(found.path).stem}")
    for chunk in chunks:
        text_sha = hashlib.sha256(embedded_text(chunk.heading, chunk.text).encode()).hexdigest()
        done = db.execute(
            f"INSERT INTO chunks VALUES (NULL{', ?' * 7})",
            (document_id, chunk.start_line, chunk.end_line, chunk.page, chunk.heading, chunk.text, text_sha),
        )
        words = (done.lastrowid, title_words, prose_index_text(chunk.heading), prose_index_text(chunk.text))
        db.execute("INSERT INTO words (rowid, title, heading, body) VALUES (?, ?, ?, ?)", words)


def embedded_text(heading: str, text: str) -> str:
    """Return what is embedded of a passage; it names no file, so that a file that is moved keeps its vectors."""
    return f"{heading}\n{text}" if heading else text


def touch(db: sqlite3.Connection) -> None:
    """Tell those who hold what they read that something changed; within the transaction that changes it."""
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
