"""The code index: keeps one SQLite file in step with a workspace. Called by the retriever and `flow index`."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .chunks import cut_chunks
from .code_snapshot import CodeSnapshot, passage_text
from .code_store import CodeStore, is_corrupt, is_locked, refusal, transaction
from .files import (
    MAX_FILE_BYTES,
    MAX_FILES,
    FileStat,
    Listing,
    Skipped,
    TextContent,
    list_files,
    read_text,
    split_lines,
)
from .languages import language_of
from .parse import Parsed, parse_definitions
from .tokenise import count_identifiers, index_text

T = TypeVar("T")

# A file written this shortly before it was read may change again without a new time stamp: it is hashed once more.
_DOUBT_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh found.

    Attributes:
        files: indexed files after it.
        updated, removed: files whose content was indexed anew, and files that are gone.
        skipped: what is not searched, by path.
        unparsed: code that is searched as plain text because it does not parse, by path.
    """

    files: int
    updated: int
    removed: int
    skipped: tuple[Skipped, ...]
    unparsed: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    id: int
    sha256: str
    size: int
    mtime_ns: int
    read_ns: int

    def surely_is(self, stat: FileStat) -> bool:
        same = (self.size, self.mtime_ns) == (stat.size, stat.mtime_ns)
        return same and self.read_ns - self.mtime_ns > _DOUBT_NS


def ignore_notice(_text: str) -> None:
    """Drop a notice: for callers that have nobody to tell."""


class CodeIndex:
    """The index of one workspace. Threads and processes may share it: every call opens the file anew.

    Args:
        cache_dir: folder for index files, outside the workspace.
        notify: told in one line what a person should know (a broken index was rebuilt, another process holds it).

    Raises:
        ConfigError: the folder cannot be used.
    """

    def __init__(
        self,
        workspace: Path,
        cache_dir: Path,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_files: int = MAX_FILES,
        notify: Callable[[str], None] = ignore_notice,
    ) -> None:
        self.workspace = workspace
        self._store = CodeStore(workspace, cache_dir)
        self._max_file_bytes = max_file_bytes
        self._max_files = max_files
        self._notify = notify

    @property
    def path(self) -> Path:
        """Where the index file lies."""
        return self._store.path

    def refresh(self) -> RefreshReport:
        """Bring the index in step with the files; return what changed.

        Unchanged files cost one stat each. While another process writes for longer than a minute, the index stays as
        it is and a notice says so.

        Raises:
            FlowError: the index file cannot be written.
        """
        return self._mending(self._refresh)

    def read(self, action: Callable[[CodeSnapshot], T]) -> T:
        """Return what the action makes of one steady view of the index.

        Raises:
            FlowError: the index file cannot be read.
        """

        def look(db: sqlite3.Connection) -> T:
            with transaction(db, "DEFERRED"):
                return action(CodeSnapshot(db))

        return self._mending(look)

    def generation(self) -> int:
        """Return a number that rises with every change of the index; with the next two it is a source of vectors."""
        return self.read(lambda snapshot: snapshot.generation())

    def text_shas(self) -> set[str]:
        """Return the hashes of all passages' texts."""
        return self.read(lambda snapshot: snapshot.text_shas())

    def passage_texts(self, text_shas: set[str]) -> Iterator[tuple[str, str]]:
        """Yield (hash, text to embed) once for each of the hashes that is still indexed."""
        yield from self.read(lambda snapshot: list(snapshot.passage_texts(text_shas)))

    def _mending(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run the action; when the file turns out to be broken, build a new one and run it again."""
        try:
            with self._store.connect() as db:
                return action(db)
        except sqlite3.DatabaseError as err:
            if not is_corrupt(err):
                raise refusal(self.path, err) from err
        self._notify(f"the code index {str(self.path)!r} was damaged and is built anew")
        self._store.discard()
        try:
            with self._store.connect() as db:
                self._refresh(db)
                return action(db)
        except sqlite3.DatabaseError as err:
            raise refusal(self.path, err) from err

    def _refresh(self, db: sqlite3.Connection) -> RefreshReport:
        listing = list_files(self.workspace, self._max_file_bytes, self._max_files)
        updated = removed = 0
        if _differs(_read_known(db), listing):
            try:
                with transaction(db, "IMMEDIATE"):
                    updated, removed = self._apply(db, listing)
            except sqlite3.OperationalError as err:
                if not is_locked(err):
                    raise
                self._notify("another process is writing the code index; the search uses it as it stands")
        return _report(db, listing, updated, removed)

    def _apply(self, db: sqlite3.Connection, listing: Listing) -> tuple[int, int]:
        known = _read_known(db)  # again: another process may have done the work while we waited for the lock
        updated = 0
        for stat in listing.files:
            before = known.pop(stat.path, None)
            if before is None or not before.surely_is(stat):
                updated += self._update_file(db, stat, before)
        for gone in known.values():
            _delete_file(db, gone.id)
        if updated or known:
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
        return updated, len(known)

    def _update_file(self, db: sqlite3.Connection, stat: FileStat, before: _Known | None) -> bool:
        """Index one file; return False when its content is what it was."""
        read_ns = time.time_ns()
        content = read_text(self.workspace, stat.path)
        sha256 = hashlib.sha256(content.data).hexdigest() if isinstance(content, TextContent) else ""
        if before is not None:
            if before.sha256 == sha256:
                row = (stat.size, stat.mtime_ns, read_ns, before.id)
                db.execute("UPDATE files SET size = ?, mtime_ns = ?, read_ns = ? WHERE id = ?", row)
                return False
            _delete_file(db, before.id)
        if isinstance(content, Skipped):
            _insert_file(db, stat, read_ns, skipped=content.reason)
        else:
            _insert_text(db, stat, read_ns, sha256, content.text)
        return True


def _read_known(db: sqlite3.Connection) -> dict[str, _Known]:
    rows = db.execute("SELECT path, id, sha256, size, mtime_ns, read_ns FROM files")
    return {row[0]: _Known(*row[1:]) for row in rows}


def _differs(known: dict[str, _Known], listing: Listing) -> bool:
    if len(known) != len(listing.files):
        return True
    return any((old := known.get(stat.path)) is None or not old.surely_is(stat) for stat in listing.files)


def _insert_file(
    db: sqlite3.Connection,
    stat: FileStat,
    read_ns: int,
    *,
    sha256: str = "",
    lang: str = "",
    lines: int = 0,
    skipped: str = "",
    problem: str = "",
) -> int:
    row = (stat.path, sha256, stat.size, stat.mtime_ns, read_ns, lang, lines, skipped, problem)
    done = db.execute(
        """INSERT INTO files (path, sha256, size, mtime_ns, read_ns, lang, lines, skipped, problem)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        row,
    )
    return int(done.lastrowid or 0)


def _insert_text(db: sqlite3.Connection, stat: FileStat, read_ns: int, sha256: str, text: str) -> None:
    lines = split_lines(text)
    lang = language_of(stat.path, text)
    parsed = parse_definitions(lang, text)
    file_id = _insert_file(db, stat, read_ns, sha256=sha256, lang=lang, lines=len(lines), problem=parsed.problem)
    names = json.dumps(count_identifiers(text) if lang else {}, ensure_ascii=False)
    body = zlib.compress(text.encode(), 1)
    db.execute("INSERT INTO contents VALUES (?, ?, ?)", (file_id, body, zlib.compress(names.encode(), 1)))
    db.executemany(
        "INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (file_id, each.name, each.kind, each.line, each.start_line, each.end_line, each.signature, each.parent)
            for each in parsed.symbols
        ],
    )
    _insert_words(db, file_id, stat.path, lines, parsed)


def _insert_words(db: sqlite3.Connection, file_id: int, path: str, lines: list[str], parsed: Parsed) -> None:
    """Store the passages and the words of a file, once by passage and once as a whole."""
    path_words = index_text(path)
    bodies: list[str] = []
    for chunk in cut_chunks(lines, parsed.symbols):
        piece = lines[chunk.start_line - 1 : chunk.end_line]
        text_sha = hashlib.sha256(passage_text(chunk.heading, piece).encode()).hexdigest()
        done = db.execute(
            "INSERT INTO chunks (file_id, start_line, end_line, heading, text_sha) VALUES (?, ?, ?, ?, ?)",
            (file_id, chunk.start_line, chunk.end_line, chunk.heading, text_sha),
        )
        names = [chunk.heading]
        names += [each.name for each in parsed.symbols if chunk.start_line <= each.line <= chunk.end_line]
        bodies.append(index_text("\n".join(piece)))
        _insert_row(db, "chunk_words", (done.lastrowid, path_words, index_text(" ".join(names)), bodies[-1]))
    definitions = index_text(" ".join(each.name for each in parsed.symbols))
    _insert_row(db, "file_words", (file_id, path_words, definitions, " ".join(bodies)))


def _insert_row(db: sqlite3.Connection, table: str, row: tuple[int | None, str, str, str]) -> None:
    db.execute(f"INSERT INTO {table} (rowid, path, definitions, body) VALUES (?, ?, ?, ?)", row)


def _delete_file(db: sqlite3.Connection, file_id: int) -> None:
    db.execute("DELETE FROM chunk_words WHERE rowid IN (SELECT id FROM chunks WHERE file_id = ?)", (file_id,))
    db.execute("DELETE FROM file_words WHERE rowid = ?", (file_id,))
    for table in ("chunks", "symbols", "contents"):
        db.execute(f"DELETE FROM {table} WHERE file_id = ?", (file_id,))
    db.execute("DELETE FROM files WHERE id = ?", (file_id,))


def _report(db: sqlite3.Connection, listing: Listing, updated: int, removed: int) -> RefreshReport:
    rows = db.execute("SELECT path, skipped, problem FROM files WHERE skipped <> '' OR problem <> '' ORDER BY path")
    noted = rows.fetchall()
    skipped = [*listing.skipped, *(Skipped(path, reason) for path, reason, _ in noted if reason)]
    unparsed = tuple(Skipped(path, problem) for path, _, problem in noted if problem)
    count = int(db.execute("SELECT count(*) FROM files WHERE skipped = ''").fetchone()[0])
    return RefreshReport(count, updated, removed, tuple(sorted(skipped, key=lambda each: each.path)), unparsed)
