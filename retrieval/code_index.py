"""The code index: keeps one SQLite file in step with a workspace. Called by the retriever and `flow index`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .code_history import stored_head, write_history
from .code_snapshot import CodeSnapshot, Kept
from .code_store import CodeStore, read_meta
from .code_update import IndexUpdate, KnownFile, OnIndexed, is_doubtful, read_known
from .files import MAX_FILE_BYTES, MAX_FILES, Listing, Skipped, list_files
from .git_history import read_changes, read_head
from .parse_pool import ParsePool, shared_pool
from .sqlite_file import data_version, is_corrupt, refusal, transaction

T = TypeVar("T")

_LOCK_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh found.

    Attributes:
        files: indexed files after it.
        updated, removed: files whose content was indexed anew, and files that are gone.
        skipped: what is not searched, by path.
        unparsed: code that is searched as plain text because it does not parse, by path.
        complete: False when it was stopped, or another process is at work: then some files are not found yet.
    """

    files: int
    updated: int
    removed: int
    skipped: tuple[Skipped, ...]
    unparsed: tuple[Skipped, ...]
    complete: bool = True


def ignore_notice(_text: str) -> None:
    """Drop a notice: for callers that have nobody to tell."""


class CodeIndex:
    """The index of one workspace. Threads and processes may share it: every call opens the file anew.

    Args:
        cache_dir: folder for index files, outside the workspace.
        notify: told in one line what a person should know (a broken index was rebuilt, another process holds it).
        pool: parses; None = the one of the process.
        like: the index file of another checkout of the repository, which a new one begins as a copy of; None = empty.

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
        pool: ParsePool | None = None,
        like: Path | None = None,
    ) -> None:
        self.workspace = workspace
        self._store = CodeStore(workspace, cache_dir)
        self._max_file_bytes = max_file_bytes
        self._max_files = max_files
        self._notify = notify
        self._pool = pool or shared_pool()
        self._like = like
        self._mutex = threading.Lock()
        self._kept = Kept()

    @property
    def path(self) -> Path:
        """Where the index file lies."""
        return self._store.path

    def refresh(self, on_indexed: OnIndexed | None = None, stop: threading.Event | None = None) -> RefreshReport:
        """Bring the index in step with the files; return what changed.

        Unchanged files cost one stat each. While another process writes for longer than a minute, the index stays as
        it is and a notice says so. What is done is stored as it goes on: a refresh that is killed is taken up where
        it was.

        Args:
            stop: set by another thread to end it early; the report then says that the index is not complete.

        Raises:
            FlowError: the index file cannot be written.
        """
        with self._mutex:
            return self._mending(lambda db: self._refresh_all(db, on_indexed, stop or threading.Event()))

    def status(self) -> RefreshReport:
        """Return the state of the index as it is, with the changes that a refresh would find, without making them.

        Raises:
            FlowError: the index file cannot be read.
        """
        listing = self._list()

        def look(db: sqlite3.Connection) -> RefreshReport:
            known = read_known(db)
            there = {stat.path for stat in listing.files}
            changed = sum(is_doubtful(known.get(stat.path), stat) for stat in listing.files)
            gone = len(set(known) - there)
            return _report(db, listing, changed, gone, complete=bool(read_meta(db, "complete")))

        return self._mending(look)

    def read(self, action: Callable[[CodeSnapshot], T]) -> T:
        """Return what the action makes of one steady view of the index.

        Raises:
            FlowError: the index file cannot be read.
        """

        def look(db: sqlite3.Connection) -> T:
            with transaction(db, "DEFERRED"):
                return action(CodeSnapshot(db, self._kept))

        return self._mending(look)

    def generation(self) -> int:
        """Return a number that rises with every change of the indexed files. Raises: FlowError."""
        return self.read(CodeSnapshot.generation)

    def text_shas(self) -> set[str]:
        """Return the hashes of all passages' texts. Raises: FlowError."""
        return self.read(CodeSnapshot.text_shas)

    def passage_texts(self, text_shas: set[str]) -> Iterator[tuple[str, str]]:
        """Yield (text hash, text to embed) once for each of the hashes that is there. Raises: FlowError."""
        yield from self.read(lambda snapshot: list(snapshot.passage_texts(text_shas)))

    def size(self) -> int:
        """Return the bytes that the index takes on disk; 0 = there is none."""
        return self._store.size()

    def discard(self) -> None:
        """Delete the index file; the next call makes a new one."""
        with self._mutex:
            self._store.discard()

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
                self._refresh(db, None, threading.Event())
                return action(db)
        except sqlite3.DatabaseError as err:
            raise refusal(self.path, err) from err

    def _list(self) -> Listing:
        return list_files(self.workspace, self._max_file_bytes, self._max_files)

    def _refresh_all(
        self, db: sqlite3.Connection, on_indexed: OnIndexed | None, stop: threading.Event
    ) -> RefreshReport:
        report = self._refresh(db, on_indexed, stop)
        # Files can be searched without their history, so it comes last.
        if not stop.is_set() and (head := read_head(self.workspace)) != stored_head(db):
            write_history(db, head, read_changes(self.workspace, head) if head else [])
        return report

    def _refresh(self, db: sqlite3.Connection, on_indexed: OnIndexed | None, stop: threading.Event) -> RefreshReport:
        listing = self._list()
        state = data_version(db)
        known = read_known(db)
        if not _is_due(db, known, listing):
            return _report(db, listing, 0, 0)
        with self._store.writing(_LOCK_WAIT_S) as mine:
            if not mine:
                self._notify("another process is writing the code index; the search uses it as it stands")
                return _report(db, listing, 0, 0, complete=False)
            copied = self._like is not None and not known and self._store.copy_from(db, self._like)
            if copied or data_version(db) != state:
                known = read_known(db)
            work = IndexUpdate(self.workspace, db, known, listing, self._pool, on_indexed, stop)
            work.run()
            return _report(db, listing, work.updated, work.removed, complete=not stop.is_set())


def _is_due(db: sqlite3.Connection, known: Mapping[str, KnownFile], listing: Listing) -> bool:
    if len(known) != len(listing.files) or not read_meta(db, "complete"):
        return True
    return any(is_doubtful(known.get(stat.path), stat) for stat in listing.files)


def _report(
    db: sqlite3.Connection, listing: Listing, updated: int, removed: int, *, complete: bool = True
) -> RefreshReport:
    rows = db.execute(
        """SELECT path, skipped, problem FROM files LEFT JOIN texts ON texts.id = files.text_id
           WHERE skipped <> '' OR problem <> '' ORDER BY path"""
    )
    noted = rows.fetchall()
    skipped = [*listing.skipped, *(Skipped(path, reason) for path, reason, _ in noted if reason)]
    unparsed = tuple(Skipped(path, problem) for path, _, problem in noted if problem)
    count = int(db.execute("SELECT count(*) FROM files WHERE skipped = ''").fetchone()[0])
    ordered = tuple(sorted(skipped, key=lambda each: each.path))
    return RefreshReport(count, updated, removed, ordered, unparsed, complete)
