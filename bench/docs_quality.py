"""How often the paragraph that a question was written from is found, by the product's own code and by plain FTS5."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowloom.core.ports import Embedder
from flowloom.retrieval.doc_finder import DocFinder, Scope
from flowloom.retrieval.doc_index import DocumentIndex
from flowloom.retrieval.doc_store import DocumentStore
from flowloom.retrieval.vectors import VectorIndex

Ranker = Callable[[str], list[int]]
"""Returns the numbers of paragraphs for a question, best first, each once."""

LIMITS: Mapping[str, Mapping[int, float]] = {
    "JSQuAD 1.3 valid": {1: 90, 5: 96, 10: 97},
    "XQuAD en": {1: 92.5, 10: 99},
}
"""Least percentage of questions whose paragraph is among the first so many, by words alone."""
_DEPTH = 10
_SPLIT = " [SEP] "


@dataclass(frozen=True, slots=True)
class Questions:
    """Paragraphs as (title, text), and questions as (text, number of its paragraph)."""

    name: str
    paragraphs: list[tuple[str, str]]
    questions: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Score:
    """What a search came to: `recall` in percent by rank, `mrr` over the first ten."""

    questions: str
    name: str
    recall: Mapping[int, float]
    mrr: float
    limits: Mapping[int, float]

    @property
    def ok(self) -> bool:
        """False when a limit is not met."""
        return all(self.recall[rank] >= limit for rank, limit in self.limits.items())


def read_questions(name: str, path: Path, every: int) -> Questions:
    """Return a set in the format of SQuAD; of JSQuAD the title in front of a text is split off.

    Args:
        every: only every so many-th question.
    """
    paragraphs: list[tuple[str, str]] = []
    questions: list[tuple[str, int]] = []
    for article in json.loads(path.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            title, mark, text = paragraph["context"].partition(_SPLIT)
            number = len(paragraphs)
            paragraphs.append((title, text) if mark else (article["title"], paragraph["context"]))
            questions += [(each["question"], number) for each in paragraph["qas"]]
    return Questions(name, paragraphs, questions[::every])


def measure(name: str, questions: Questions, ranker: Ranker, limits: Mapping[int, float]) -> Score:
    """Return how well a ranker finds the paragraphs."""
    ranks = []
    for text, wanted in questions.questions:
        found = ranker(text)[:_DEPTH]
        ranks.append(found.index(wanted) + 1 if wanted in found else 0)
    count = len(ranks)
    recall = {depth: 100 * sum(0 < rank <= depth for rank in ranks) / count for depth in (1, 5, 10)}
    mrr = sum(1 / rank for rank in ranks if rank) / count
    return Score(f"{questions.name}, n={count}", name, recall, mrr, limits)


def naive(questions: Questions) -> Ranker:
    """Return what FTS5 finds as it comes: its own words, any of those of the question."""
    return _fts5(questions, "unicode61", lambda text: re.findall(r"\w+", text))


def trigram(questions: Questions) -> Ranker:
    """Return what FTS5 finds by runs of three characters, any of those of the question."""
    return _fts5(questions, "trigram", lambda text: [text[at : at + 3] for at in range(len(text) - 2)])


def _fts5(questions: Questions, tokenizer: str, words: Callable[[str], list[str]]) -> Ranker:
    db = sqlite3.connect(":memory:")
    db.execute(f"CREATE VIRTUAL TABLE texts USING fts5 (body, tokenize = '{tokenizer}')")
    rows = [(number, f"{title}\n{text}") for number, (title, text) in enumerate(questions.paragraphs)]
    db.executemany("INSERT INTO texts (rowid, body) VALUES (?, ?)", rows)

    def rank(text: str) -> list[int]:
        expression = " OR ".join('"{}"'.format(word.replace('"', '""')) for word in dict.fromkeys(words(text)))
        sql = "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank LIMIT ?"
        return [row[0] for row in db.execute(sql, (expression, _DEPTH))] if expression else []

    return rank


def product(questions: Questions, folder: Path, embedder: Embedder | None, *, words: bool = True) -> Ranker:
    """Return what `flow docs query` finds: each paragraph is a Markdown file under its title.

    Args:
        folder: empty; holds the files and the index.
        embedder: None = by words alone.
        words: False = by meaning alone.
    """
    files = folder / "paragraphs"
    files.mkdir()
    for number, (title, text) in enumerate(questions.paragraphs):
        (files / f"{number:05}.md").write_text(f"# {title}\n\n{text}\n", "utf-8")
    index = DocumentIndex(folder / "documents.sqlite3", None)
    index.add("paragraphs", [str(files)])
    index.sync()
    finder = DocFinder(folder, [Scope(index.store, _nearest(index, embedder, folder))])
    if not words:
        return _by_meaning(index.store, finder, _nearest(index, embedder, folder))

    def rank(text: str) -> list[int]:
        return _numbers([each.hit.path for each in finder.search(text, 2 * _DEPTH)])

    return rank


def _nearest(index: DocumentIndex, embedder: Embedder | None, folder: Path) -> Callable[[str, int], list[str]] | None:
    if embedder is None:
        return None
    vectors = VectorIndex(folder / "vectors", embedder, what="paragraphs")
    vectors.sync(index)
    return lambda query, limit: vectors.rank(index, query, limit)


def _by_meaning(store: DocumentStore, finder: DocFinder, nearest: Callable[[str, int], list[str]] | None) -> Ranker:
    if nearest is None:
        raise ValueError("there is no embedder")
    with store.connect() as db:
        sql = "SELECT text_sha, path FROM chunks JOIN documents ON documents.id = document_id"
        paths: dict[str, str] = dict(db.execute(sql).fetchall())
    return lambda text: _numbers([paths[sha] for sha in nearest(text, 2 * _DEPTH)])


def _numbers(paths: list[str]) -> list[int]:
    return list(dict.fromkeys(int(Path(path).stem) for path in paths))
