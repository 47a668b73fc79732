"""Ranks files by the words of the commits that changed them: who asks today asks often as a commit once said.

The code index stores what of the last commits a search needs, and reads it anew when another commit is checked out.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .code_terms import FORM_WEIGHT, QueryTerm, count_terms
from .git_history import Change
from .lexical import FileTable, inverse_frequency
from .sqlite_file import transaction

# A commit that changes more files says little of each: it moves, formats or imports.
_MOST_FILES = 30
# Set on the tuning repositories of bench/code_search.py, as are those above.
_MOST_OF_A_TERM = 3
_LONGEST_MESSAGE = 200
_SATURATION = 1.2
_LENGTH_NORM = 0.75


@dataclass(frozen=True, slots=True)
class HistoryTable:
    """Which indexed files the stored commits changed.

    Attributes:
        head: the last of the commits; "" = none are stored.
        places: the file's place in the file table, by its number in the history.
        norms: what divides a term's count, more for a file of which more is said; by place.
    """

    head: str = ""
    places: dict[int, int] = field(default_factory=dict)
    norms: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class HistoryMatches:
    """Which files match a query by their commits.

    Attributes:
        scores: by the file's place, above 0; 1 would be a file whose commits speak of nothing but all of the terms.
        counts: for each term of the query, by the file's place.
    """

    scores: dict[int, float] = field(default_factory=dict)
    counts: list[dict[int, float]] = field(default_factory=list)


def stored_head(db: sqlite3.Connection) -> str:
    """Return the last commit that is stored; "" = none."""
    row = db.execute("SELECT head FROM history").fetchone()
    return row[0] if row else ""


def write_history(db: sqlite3.Connection, head: str, changes: Sequence[Change]) -> None:
    """Replace what is stored by these commits, in a transaction of its own."""
    numbers: dict[str, int] = {}
    lengths: dict[int, float] = defaultdict(float)
    terms: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for change in changes:
        if not 0 < len(change.paths) <= _MOST_FILES:
            continue
        counts = count_terms(change.message)
        share = 1 / len(change.paths)
        length = min(sum(counts.values()), _LONGEST_MESSAGE)
        for path in change.paths:
            number = numbers.setdefault(path, len(numbers))
            lengths[number] += share * length
            for term, count in counts.items():
                terms[term][number] += share * min(count, _MOST_OF_A_TERM)
    with transaction(db, "IMMEDIATE"):
        for table in ("history", "changed_files", "change_terms"):
            db.execute(f"DELETE FROM {table}")
        db.execute("INSERT INTO history VALUES (?)", (head,))
        db.executemany(
            "INSERT INTO changed_files VALUES (?, ?, ?)",
            ((number, path, lengths[number]) for path, number in numbers.items()),
        )
        db.executemany(
            "INSERT INTO change_terms VALUES (?, ?)", ((term, _pack(terms[term])) for term in sorted(terms))
        )


def _pack(weights: dict[int, float]) -> bytes:
    # Numbers of files are far below what a float holds exactly.
    return array("f", [part for number in sorted(weights) for part in (number, weights[number])]).tobytes()


def read_history_table(db: sqlite3.Connection, table: FileTable) -> HistoryTable:
    at_path = {path: at for at, path in enumerate(table.paths)}
    rows = db.execute("SELECT id, path, length FROM changed_files ORDER BY id")
    found = [(number, at_path[path], length) for number, path, length in rows if path in at_path]
    average = sum(length for _, _, length in found) / len(found) if found else 1.0
    norms = {at: 1.0 - _LENGTH_NORM + _LENGTH_NORM * length / (average or 1.0) for _, at, length in found}
    return HistoryTable(stored_head(db), {number: at for number, at, _ in found}, norms)


def match_history(db: sqlite3.Connection, table: HistoryTable, terms: Sequence[QueryTerm]) -> HistoryMatches:
    """Return the files whose commits hold any of the terms: BM25 over the messages of all commits of a file."""
    found = HistoryMatches()
    whole = 0.0
    for term in terms:
        counts: dict[int, float] = {}
        for number, weight in _weights(db, term):
            if (at := table.places.get(number)) is not None:
                counts[at] = counts.get(at, 0.0) + weight
        found.counts.append(counts)
        rarity = inverse_frequency(len(table.places), len(counts))
        whole += rarity
        for at, count in counts.items():
            share = count / (count + _SATURATION * table.norms[at])
            found.scores[at] = found.scores.get(at, 0.0) + rarity * share
    found.scores = {at: score / whole for at, score in found.scores.items()}
    return found


def _weights(db: sqlite3.Connection, term: QueryTerm) -> Iterator[tuple[int, float]]:
    """Yield (number of a file, how much of the term its commits hold)."""
    if term.prefix:
        rows: Iterable[tuple[bytes]] = db.execute(
            "SELECT data FROM change_terms WHERE term >= ? AND term < ? ORDER BY term",
            (term.text, f"{term.text}\U0010ffff"),
        )
        yield from _unpack(rows, 1.0)
        return
    for text, share in ((term.text, 1.0), *((form, FORM_WEIGHT) for form in term.forms)):
        yield from _unpack(db.execute("SELECT data FROM change_terms WHERE term = ?", (text,)), share)


def _unpack(rows: Iterable[tuple[bytes]], share: float) -> Iterator[tuple[int, float]]:
    for (data,) in rows:
        packed = array("f")
        packed.frombytes(data)
        yield from ((int(number), share * weight) for number, weight in zip(packed[::2], packed[1::2], strict=True))
