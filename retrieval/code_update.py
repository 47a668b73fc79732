"""One pass over the files of a workspace that brings its code index up to date. Called by the code index."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .code_changes import Changes, files_to_resolve
from .code_file import CodeFile
from .code_store import read_meta, write_meta
from .code_writes import (
    drop_stale_texts,
    insert_texts,
    live_texts,
    names_of,
    put_file,
    read_path_table,
    write_edges,
)
from .files import FileStat, Listing, Skipped, read_text
from .languages import language_of
from .parse_pool import ParsePool, ParseTask
from .postings import PostingWriter, merge_segments
from .sqlite_file import transaction

OnIndexed = Callable[[int, int], None]
"""Told how many files are done, and of how many; first with 0."""

# A file written this shortly before it was read may change again without a new time stamp: it is hashed once more.
_DOUBT_NS = 2_000_000_000
# Texts that are stored together. The first are few, so that a search has something soon.
_FIRST_BATCH = 64
_LARGEST_BATCH = 2048


class KnownFile(NamedTuple):
    """A file as the index has it."""

    sha256: str
    size: int
    mtime_ns: int
    read_ns: int
    text_id: int | None
    skipped: str

    def surely_is(self, stat: FileStat) -> bool:
        same = (self.size, self.mtime_ns) == (stat.size, stat.mtime_ns)
        return same and self.read_ns - self.mtime_ns > _DOUBT_NS


@dataclass(frozen=True, slots=True)
class _Read:
    """A file as it was just read. `key`: hash and language of its text; None = skipped for a reason."""

    stat: FileStat
    read_ns: int
    key: tuple[str, str] | None
    skipped: str = ""


def is_doubtful(known: KnownFile | None, stat: FileStat) -> bool:
    """Tell whether a file has to be read to know whether it changed."""
    return known is None or not known.surely_is(stat)


def read_known(db: sqlite3.Connection) -> dict[str, KnownFile]:
    """Return the files of the index by path, the skipped ones among them."""
    rows = db.execute("SELECT path, sha256, size, mtime_ns, read_ns, text_id, skipped FROM files")
    return {row[0]: KnownFile(*row[1:]) for row in rows}


class IndexUpdate:
    """One pass over the files that may have changed, by the one process that may write.

    Args:
        known: the files of the index as it is now.

    Attributes:
        updated, removed: files whose content was indexed anew, and files that are gone.
    """

    def __init__(
        self,
        workspace: Path,
        db: sqlite3.Connection,
        known: Mapping[str, KnownFile],
        listing: Listing,
        pool: ParsePool,
        on_indexed: OnIndexed | None,
        stop: threading.Event,
    ) -> None:
        self.updated = 0
        self.removed = 0
        self._workspace = workspace
        self._db = db
        self._pool = pool
        self._on_indexed = on_indexed or (lambda done, total: None)
        self._stop = stop
        self._known = known
        there = {stat.path for stat in listing.files}
        self._gone = [path for path in self._known if path not in there]
        doubtful = [stat for stat in listing.files if is_doubtful(self._known.get(stat.path), stat)]
        self._doubtful = sorted(doubtful, key=_first_things_first)
        self._text_ids = {(row[1], row[2]): row[0] for row in db.execute("SELECT id, sha256, lang FROM texts")}
        self._asked: list[tuple[str, str]] = []
        self._asked_keys: set[tuple[str, str]] = set()
        self._read: list[_Read] = []
        self._changes = Changes(everything=not self._known or not read_meta(db, "resolved"))

    def run(self) -> None:
        """Store what changed, batch by batch, then forget what is gone and resolve what has to be."""
        batch: list[tuple[tuple[str, str], CodeFile]] = []
        limit = _FIRST_BATCH
        self._on_indexed(0, len(self._doubtful))
        for done, (task, file) in enumerate(self._pool.analyse_all(self._tasks()), 1):
            batch.append((self._asked[task.key], file))
            self._on_indexed(done, max(len(self._doubtful), done))
            if len(batch) >= limit:
                self._store(batch)
                batch = []
                limit = min(limit * 4, _LARGEST_BATCH)
            if self._stop.is_set():
                break
        self._store(batch)
        if not self._stop.is_set():
            self._finish()
            self._on_indexed(len(self._doubtful), len(self._doubtful))

    def _tasks(self) -> Iterator[ParseTask]:
        """Read the files one by one; yield the texts that are not known. Runs in the pool's threads, one at once."""
        for stat in self._doubtful:
            read_ns = time.time_ns()
            content = read_text(self._workspace, stat.path)
            if isinstance(content, Skipped):
                self._read.append(_Read(stat, read_ns, None, content.reason))
                continue
            key = (hashlib.sha256(content.data).hexdigest(), language_of(stat.path, content.text))
            self._read.append(_Read(stat, read_ns, key))
            if key not in self._text_ids and key not in self._asked_keys:
                self._asked_keys.add(key)
                self._asked.append(key)
                yield ParseTask(len(self._asked) - 1, key[1], content.text)

    def _store(self, batch: list[tuple[tuple[str, str], CodeFile]]) -> None:
        """Store texts, and all files whose text is stored by then."""
        postings = PostingWriter()
        with transaction(self._db, "IMMEDIATE"):
            for (key, file), text_id in zip(batch, insert_texts(self._db, batch), strict=True):
                self._text_ids[key] = text_id
                postings.add(text_id, file)
            postings.write(self._db)
            # Another thread may add to the end of the list meanwhile.
            seen = self._read[:]
            ready = [each for each in seen if each.key is None or each.key in self._text_ids]
            changed = [each for each in ready if self._put(each)]
            if batch or changed:
                generation = read_meta(self._db, "generation") + 1
                write_meta(self._db, generation=generation, complete=0, resolved=0)
        self._read[: len(seen)] = [each for each in seen if not (each.key is None or each.key in self._text_ids)]
        self.updated += len(changed)

    def _put(self, read: _Read) -> bool:
        """Store one file; return False when its content is what it was."""
        before = self._known.get(read.stat.path)
        text_id = None if read.key is None else self._text_ids[read.key]
        sha256 = "" if read.key is None else read.key[0]
        put_file(self._db, read.stat, read.read_ns, sha256=sha256, text_id=text_id, skipped=read.skipped)
        if before is not None and (before.text_id, before.skipped) == (text_id, read.skipped):
            return False
        self._note_change(read.stat.path, None if before is None else before.text_id, text_id)
        return True

    def _note_change(self, path: str, before: int | None, after: int | None) -> None:
        changes = self._changes
        changes.changed.add(path)
        if changes.everything:
            return
        for each in names_of(self._db, before) ^ names_of(self._db, after):
            changes.names[each].add(path)
        if (before is None) != (after is None):
            changes.paths.add(path)

    def _finish(self) -> None:
        """Forget what is gone, resolve what changed, and say that the index is complete."""
        db = self._db
        with transaction(db, "IMMEDIATE"):
            for path in self._gone:
                self._note_change(path, self._known[path].text_id, None)
                db.execute("DELETE FROM files WHERE path = ?", (path,))
            self.removed = len(self._gone)
            changes = self._changes
            if changes.changed or changes.everything:
                table = read_path_table(db)
                write_edges(db, files_to_resolve(db, changes, table), table)
                live = live_texts(db)
                drop_stale_texts(db, live)
                stored = {row[0] for row in db.execute("SELECT id FROM texts")}
                merge_segments(db, stored)
                write_meta(db, generation=read_meta(db, "generation") + 1)
            write_meta(db, complete=1, resolved=1)


def _first_things_first(stat: FileStat) -> tuple[bool, int, str]:
    """Order files for a search that can not wait until all of them are indexed: the shallow first, tests last."""
    is_test = any(part.startswith("test") or part == "spec" for part in stat.path.lower().split("/"))
    return (is_test, stat.path.count("/"), stat.path)
