"""The inverted index of the code: which texts hold a term, and how often. Written by code_index, read by searches.

It lies in segments, one for each batch of texts; a term has one row in each segment that knows it. Texts that are
gone stay in their segments until these are merged; readers pass over texts that no file has.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby

from .code_file import CodeFile
from .stems import stem

_MOST_SEGMENTS = 16
_SHORTEST_ROOT = 3
_LONGEST_ENDING = 4
_SMALL_SHARE = 4  # a segment with less than a quarter of all texts is small


class PostingWriter:
    """Collects the terms of texts and writes them as one segment."""

    def __init__(self) -> None:
        # A posting is a number of 64 bits: the text's id, and the counts as code_file.pack_counts has them.
        self._terms: dict[str, array[int]] = defaultdict(_postings)
        self._texts = 0

    def add(self, text_id: int, file: CodeFile) -> None:
        self._texts += 1
        counts = array("I")
        counts.frombytes(file.counts)
        terms, base = self._terms, text_id << 32
        for term, count in zip(file.terms.split("\n") if file.terms else (), counts, strict=True):
            terms[term].append(base | count)

    def write(self, db: sqlite3.Connection) -> None:
        """Store what was added, within the caller's transaction; nothing when nothing was."""
        if not self._texts:
            return
        segment = db.execute("INSERT INTO segments (texts) VALUES (?)", (self._texts,)).lastrowid
        db.executemany(
            "INSERT INTO postings VALUES (?, ?, ?)",
            ((term, segment, self._terms[term].tobytes()) for term in sorted(self._terms)),
        )
        self._terms, self._texts = defaultdict(_postings), 0


def _postings(data: bytes = b"") -> array[int]:
    found = array("Q")
    found.frombytes(data)
    return found


def read_postings(db: sqlite3.Connection, term: str, *, prefix: bool = False) -> Iterator[tuple[int, int, int]]:
    """Yield (text id, times in definitions, times in the body); with `prefix` of all terms that begin so."""
    if prefix:
        rows = db.execute(
            "SELECT data FROM postings WHERE term >= ? AND term < ? ORDER BY term, segment",
            (term, f"{term}\U0010ffff"),
        )
    else:
        rows = db.execute("SELECT data FROM postings WHERE term = ? ORDER BY segment", (term,))
    for (data,) in rows:
        for posting in _postings(data):
            yield posting >> 32, posting >> 16 & 0xFFFF, posting & 0xFFFF


def find_forms(db: sqlite3.Connection, word: str) -> tuple[str, ...]:
    """Return the other forms of a word that stand in some text, such as its plural."""
    root = stem(word)
    if root == word and len(root) < _SHORTEST_ROOT:
        return ()
    # A last y is an i in the stem.
    begin = root.removesuffix("i")
    rows = db.execute(
        "SELECT DISTINCT term FROM postings WHERE term >= ? AND term < ? AND length(term) <= ? ORDER BY term",
        (begin, f"{begin}{{", len(word) + _LONGEST_ENDING),
    )
    return tuple(term for (term,) in rows if term != word and stem(term) == root)


def texts_with(db: sqlite3.Connection, terms: Iterable[str]) -> set[int]:
    """Return the texts that hold any of the terms; some of them may be gone."""
    found: set[int] = set()
    for term in terms:
        for (data,) in db.execute("SELECT data FROM postings WHERE term = ?", (term,)):
            found.update(posting >> 32 for posting in _postings(data))
    return found


def merge_segments(db: sqlite3.Connection, live: set[int]) -> None:
    """Bring the number of segments down when there are many, and leave out the texts that are not live.

    To be called within a transaction.
    """
    sizes = dict(db.execute("SELECT id, texts FROM segments").fetchall())
    if len(sizes) <= _MOST_SEGMENTS and sum(sizes.values()) <= 2 * len(live) + _MOST_SEGMENTS:
        return
    limit = max(sum(sizes.values()) // _SMALL_SHARE, 1)
    small = [segment for segment, texts in sizes.items() if texts < limit]
    chosen = small if len(sizes) > _MOST_SEGMENTS and len(small) > 1 else sorted(sizes)
    _merge(db, chosen, live)


def _merge(db: sqlite3.Connection, segments: list[int], live: set[int]) -> None:
    marks = ",".join("?" * len(segments))
    rows = db.execute(f"SELECT term, data FROM postings WHERE segment IN ({marks}) ORDER BY term", segments)
    merged: list[tuple[str, bytes]] = []
    kept: set[int] = set()
    for term, group in groupby(rows, key=lambda row: row[0]):
        live_ones = [each for _, data in group for each in _postings(data) if each >> 32 in live]
        if live_ones:
            kept.update(each >> 32 for each in live_ones)
            merged.append((term, array("Q", live_ones).tobytes()))
    db.execute(f"DELETE FROM postings WHERE segment IN ({marks})", segments)
    db.execute(f"DELETE FROM segments WHERE id IN ({marks})", segments)
    segment = db.execute("INSERT INTO segments (texts) VALUES (?)", (len(kept),)).lastrowid
    db.executemany("INSERT INTO postings VALUES (?, ?, ?)", ((term, segment, data) for term, data in merged))
