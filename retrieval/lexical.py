"""Ranks files by the words of a query: BM25 over three fields, the path, the names of definitions and the body.

Called by snapshots of the code index.
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from .code_terms import FORM_WEIGHT, QueryTerm
from .postings import read_postings

FIELDS = ("path", "definitions", "body")
# Set on the tuning repositories of bench/code_search.py.
FIELD_WEIGHTS = (3.0, 2.0, 1.0)
_LENGTH_NORMS = (0.3, 0.3, 0.75)
_SATURATION = 2.0
_NONE = (0.0, 0.0, 0.0)

Counts = tuple[float, float, float]
"""How often a term stands in each of the FIELDS of a file; another form of its word counts less."""


@dataclass(frozen=True, slots=True)
class FileTable:
    """All indexed files of one state of the index, sorted by path; a file is named by its place.

    Attributes:
        text_ids: the text of each file.
        lengths: terms in each of the FIELDS.
        of_text: the files that hold a text, several when it stands at several paths.
        in_paths: the files whose path holds a term.
        averages: of the lengths, for each file those of its kind: code, or other text, which is often much longer.
    """

    ids: list[int]
    paths: list[str]
    text_ids: list[int]
    lengths: list[Counts]
    of_text: dict[int, list[int]]
    in_paths: dict[str, list[int]]
    averages: list[tuple[float, float, float]]


@dataclass(slots=True)
class WordMatches:
    """Which files match a query by words.

    Attributes:
        scores: by the file's place; files without any of the words are left out.
        counts: for each term of the query, by the file's place.
        weights: the inverse document frequency of each term.
    """

    scores: dict[int, float] = field(default_factory=dict)
    counts: list[dict[int, Counts]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


def read_file_table(db: sqlite3.Connection, before: FileTable | None = None) -> FileTable:
    """Return all files. `before`: an earlier table, whose paths are kept when they are the same."""
    rows = db.execute(
        """SELECT files.id, path, text_id, definition_length, body_length, lang <> ''
           FROM files JOIN texts ON texts.id = files.text_id ORDER BY path"""
    ).fetchall()
    ids = [row[0] for row in rows]
    in_path: Sequence[float]
    if before is not None and before.ids == ids:
        in_paths, in_path = before.in_paths, [each[0] for each in before.lengths]
    else:
        in_paths, in_path = _read_path_terms(db)
    of_text: dict[int, list[int]] = {}
    lengths: list[Counts] = []
    for at, (_, _, text_id, definitions, body, _) in enumerate(rows):
        of_text.setdefault(text_id, []).append(at)
        lengths.append((in_path[at], definitions, body))
    is_code = [bool(row[5]) for row in rows]
    of_kind = {
        kind: _averages([each for each, it in zip(lengths, is_code, strict=True) if it == kind])
        for kind in (True, False)
    }
    averages = [of_kind[kind] for kind in is_code]
    return FileTable(
        ids,
        [row[1] for row in rows],
        [row[2] for row in rows],
        lengths,
        of_text,
        in_paths,
        averages,
    )


def _read_path_terms(db: sqlite3.Connection) -> tuple[dict[str, list[int]], list[int]]:
    """Return the files whose path holds a term, and how many terms the path of each file holds."""
    in_paths: dict[str, list[int]] = defaultdict(list)
    counts: list[int] = []
    rows = db.execute("SELECT words FROM files JOIN texts ON texts.id = files.text_id ORDER BY path")
    for at, (words,) in enumerate(rows):
        terms = words.split()
        for term in terms:
            in_paths[term].append(at)
        counts.append(len(terms))
    return dict(in_paths), counts


def _averages(lengths: Sequence[Counts]) -> tuple[float, float, float]:
    count = max(len(lengths), 1)
    path, definitions, body = (max(sum(each[at] for each in lengths) / count, 1.0) for at in range(len(FIELDS)))
    return path, definitions, body


def match_words(db: sqlite3.Connection, table: FileTable, terms: Sequence[QueryTerm]) -> WordMatches:
    """Return the files that hold any of the terms, with their scores (higher is better).

    Source: Robertson, Zaragoza and Taylor, "Simple BM25 Extension to Multiple Weighted Fields", CIKM 2004.
    """
    found = WordMatches()
    norms = [_norms(table, at) for at in range(len(table.paths))] if terms else []
    for term in terms:
        counts = _count(db, table, term)
        weight = inverse_frequency(len(table.paths), len(counts))
        found.counts.append(counts)
        found.weights.append(weight)
        for at, of_fields in counts.items():
            norm = norms[at]
            weighted = sum(of_fields[place] * norm[place] for place in range(len(FIELDS)) if of_fields[place])
            found.scores[at] = found.scores.get(at, 0.0) + weight * weighted / (_SATURATION + weighted)
    return found


def inverse_frequency(count: int, holding: int) -> float:
    """Return how much a term tells that `holding` of `count` files hold; above 0."""
    return math.log(1.0 + (count - holding + 0.5) / (holding + 0.5))


def _norms(table: FileTable, at: int) -> tuple[float, float, float]:
    """Return what one occurrence in each field counts, less in a longer field."""
    lengths, averages = table.lengths[at], table.averages[at]
    path, definitions, body = (
        FIELD_WEIGHTS[place] / (1.0 - _LENGTH_NORMS[place] + _LENGTH_NORMS[place] * lengths[place] / averages[place])
        for place in range(len(FIELDS))
    )
    return path, definitions, body


def _count(db: sqlite3.Connection, table: FileTable, term: QueryTerm) -> dict[int, Counts]:
    counts: dict[int, Counts] = {}
    _add(db, table, term.text, 1.0, counts, prefix=term.prefix)
    for form in term.forms:
        _add(db, table, form, FORM_WEIGHT, counts)
    return counts


def _add(
    db: sqlite3.Connection,
    table: FileTable,
    text: str,
    share: float,
    counts: dict[int, Counts],
    *,
    prefix: bool = False,
) -> None:
    """Add the share of a term's counts to what is counted so far."""
    of_text = table.of_text
    for text_id, in_definitions, in_body in read_postings(db, text, prefix=prefix):
        for at in of_text.get(text_id, ()):
            path, definitions, body = counts.get(at, _NONE)
            counts[at] = (path, definitions + share * in_definitions, body + share * in_body)
    if prefix:
        paths = sorted({at for word, files in table.in_paths.items() if word.startswith(text) for at in files})
    else:
        paths = table.in_paths.get(text, [])
    for at in paths:
        path, definitions, body = counts.get(at, _NONE)
        counts[at] = (max(path, share), definitions, body)
