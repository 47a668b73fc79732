"""Searches the stored documents of one scope by words. Called by the retriever of documents."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .tokenise import match_terms

# A word of the title or of a heading tells more than one of the text (BM25F weights of title, heading, body); title 4
# is measured in docs/benchmarks.md.
_WEIGHTS = "4.0, 2.0, 1.0"
_LARGE = 10_000
"""Passages from which on words are left out that stand in many of them."""
_COMMON_PART = 6
"""Words are searched for, the rarest first, until they stand in a sixth of all passages together: then 0.1 % fewer
questions of JSQuAD have their paragraph first, over 2,315 passages. With a third, none."""
_LEAST_SCORED, _MOST_SCORED = 4_000, 20_000
_COLUMNS = """chunks.id, collections.name, path, start_line, end_line, page, heading, text, text_sha, sha256, size,
  mtime_ns, read_ns"""
_JOINED = """chunks JOIN documents ON documents.id = document_id JOIN collections ON collections.id = collection_id"""


class DocPassage(NamedTuple):
    """A stored passage of a document, as doc_chunks.DocChunk, with what is known of its file.

    Attributes:
        key: of the passage within its scope.
        path: absolute.
        score: higher is better, comparable within one search; 0 = it was not searched for by words.
    """

    key: int
    collection: str
    path: str
    start_line: int
    end_line: int
    page: int | None
    heading: str
    text: str
    text_sha: str
    sha256: str
    size: int
    mtime_ns: int
    read_ns: int
    score: float = 0.0


class WordFacts(NamedTuple):
    """How the words of a query stand in one scope.

    Attributes:
        total: passages.
        counts: in how many of them a word stands.
        found: the words in each of the passages that were found, by key.
    """

    total: int
    counts: dict[str, int]
    found: dict[int, set[str]]


def merge_by_words(rankings: Sequence[Sequence[DocPassage]], facts: Sequence[WordFacts]) -> list[DocPassage]:
    """Return the passages of several scopes in one order; those of one scope stay in theirs.

    The first that are left are compared by the words in them, each weighed by its rarity over all scopes: scores of
    BM25 are not comparable, since a word's rarity and the usual length differ from scope to scope.
    """
    total = sum(each.total for each in facts)
    words = {word for each in facts for word in each.counts}
    rarity = {word: _rarity(total, sum(each.counts.get(word, 0) for each in facts)) for word in words}
    queues = [
        [(sum(rarity[word] for word in sorted(fact.found[passage.key])), passage) for passage in ranking]
        for ranking, fact in zip(rankings, facts, strict=True)
    ]
    merged: list[DocPassage] = []
    while queues := [queue for queue in queues if queue]:
        merged.append(max(queues, key=lambda queue: queue[0][0]).pop(0)[1])
    return merged


def _rarity(total: int, count: int) -> float:
    """Return the weight of a word as FTS5's bm25 has it."""
    return max(math.log((total - count + 0.5) / (count + 0.5)), 1e-6)


class DocSearch:
    """One steady view of a scope's documents; valid while its connection's transaction is open.

    Args:
        fits: tells from a document's collection and absolute path whether it is searched; None = all are.
    """

    def __init__(self, db: sqlite3.Connection, fits: Callable[[str, str], bool] | None = None) -> None:
        self._db = db
        self._documents = None if fits is None else json.dumps(self._fitting(fits))

    def by_words(self, query: str, limit: int) -> list[DocPassage]:
        """Return the passages that hold words of the query, best first."""
        expression = " OR ".join(self._telling(match_terms(query)))
        if not expression:
            return []
        among = "" if self._documents is None else f"AND rowid IN ({self._allowed()})"
        rows = self._db.execute(
            f"""SELECT {_COLUMNS}, -score FROM (
                  SELECT rowid AS key, bm25(words, {_WEIGHTS}) AS score FROM words WHERE words MATCH ? {among}
                  ORDER BY score LIMIT ?)
                JOIN chunks ON chunks.id = key JOIN documents ON documents.id = document_id
                JOIN collections ON collections.id = collection_id ORDER BY score, path, page, start_line""",
            (expression, *([] if self._documents is None else [self._documents]), limit),
        )
        return [DocPassage(*row) for row in rows]

    def by_texts(self, text_shas: Sequence[str]) -> list[DocPassage]:
        """Return the passages with these texts in the order of the hashes; equal texts give one each."""
        order = {sha: at for at, sha in enumerate(text_shas)}
        among = "" if self._documents is None else "AND document_id IN (SELECT value FROM json_each(?))"
        rows = self._db.execute(
            f"""SELECT {_COLUMNS} FROM {_JOINED} WHERE text_sha IN (SELECT value FROM json_each(?)) {among}
                ORDER BY path, page, start_line""",
            (json.dumps(list(text_shas)), *([] if self._documents is None else [self._documents])),
        )
        return sorted((DocPassage(*row) for row in rows), key=lambda each: order[each.text_sha])

    def word_facts(self, query: str, passages: Sequence[DocPassage]) -> WordFacts:
        """Return what a comparison of these passages with those of another scope needs to know."""
        total = self._count("SELECT count(*) FROM chunks", ())
        counts: dict[str, int] = {}
        found: dict[int, set[str]] = {each.key: set() for each in passages}
        keys = json.dumps([each.key for each in passages])
        for term in match_terms(query):
            counts[term] = self._count("SELECT count(*) FROM words WHERE words MATCH ?", (term,))
            rows = self._db.execute(
                "SELECT rowid FROM words WHERE words MATCH ? AND rowid IN (SELECT value FROM json_each(?))",
                (term, keys),
            )
            for (key,) in rows:
                found[key].add(term)
        return WordFacts(total, counts, found)

    def _telling(self, terms: list[str]) -> list[str]:
        """Return the words that are worth searching for: all, but in a large index only the rarer ones.

        A word that stands in every sixth passage moves none of them by much, yet takes most of the time.
        """
        (passages,) = self._db.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()
        if passages < _LARGE:
            return terms
        room = min(max(passages // _COMMON_PART, _LEAST_SCORED), _MOST_SCORED)
        counts = {term: self._count("SELECT count(*) FROM words WHERE words MATCH ?", (term,)) for term in terms}
        kept: list[str] = []
        for term in sorted((term for term in terms if counts[term]), key=lambda term: counts[term]):
            room -= counts[term]
            if kept and room < 0:
                break
            kept.append(term)
        return kept

    def _count(self, sql: str, values: tuple[str, ...]) -> int:
        return int(self._db.execute(sql, values).fetchone()[0])

    def _allowed(self) -> str:
        return "SELECT id FROM chunks WHERE document_id IN (SELECT value FROM json_each(?))"

    def _fitting(self, fits: Callable[[str, str], bool]) -> list[int]:
        rows = self._db.execute(
            "SELECT documents.id, name, path FROM documents JOIN collections ON collections.id = collection_id"
        )
        return [key for key, collection, path in rows if fits(collection, path)]
