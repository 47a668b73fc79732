"""Reads of the code index within one transaction, so that all parts of one answer see the same tree."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .files import split_lines
from .parse import Symbol
from .tokenise import match_expression

# A word in a path or in the name of a definition tells more than one in a body (BM25F weights of the three columns).
_WEIGHTS = "3.0, 2.0, 1.0"


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a file, lines 1-indexed and inclusive; a higher `score` is a better match, 0 = not searched for."""

    path: str
    start_line: int
    end_line: int
    heading: str
    text_sha: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Definition:
    path: str
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class FileOutline:
    """What the map needs of a file: its definitions in line order, and how often each identifier stands in it."""

    path: str
    language: str
    lines: int
    sha256: str
    symbols: tuple[Symbol, ...]
    identifiers: dict[str, int]


@dataclass(frozen=True, slots=True)
class FileText:
    lines: tuple[str, ...]
    sha256: str


class CodeSnapshot:
    """One steady view of the index; valid while its connection's transaction is open. All orders are fixed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def generation(self) -> int:
        """Return a number that grows with every change of the indexed tree."""
        return int(self._db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])

    def paths(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT path FROM files WHERE skipped = '' ORDER BY path")]

    def search_passages(self, query: str, limit: int, path: str | None = None) -> list[Passage]:
        """Return the passages that hold words of the query, best first. `path`: of this file only."""
        if not (expression := match_expression(query)):
            return []
        rows = self._db.execute(
            f"""SELECT path, start_line, end_line, heading, text_sha, -score FROM (
                  SELECT rowid AS id, bm25(chunk_words, {_WEIGHTS}) AS score FROM chunk_words
                  WHERE chunk_words MATCH ?)
                JOIN chunks USING (id) JOIN files ON files.id = file_id
                WHERE ? IS NULL OR path = ? ORDER BY score, path, start_line LIMIT ?""",
            (expression, path, path, limit),
        )
        return [Passage(*row) for row in rows]

    def search_files(self, query: str) -> dict[str, float]:
        """Return the files that hold words of the query with their scores (higher is better), best first."""
        if not (expression := match_expression(query)):
            return {}
        rows = self._db.execute(
            f"""SELECT files.path, -score FROM (
                  SELECT rowid AS id, bm25(file_words, {_WEIGHTS}) AS score FROM file_words
                  WHERE file_words MATCH ?)
                JOIN files USING (id) ORDER BY score, files.path""",
            (expression,),
        )
        return dict(rows)

    def find_definitions(self, names: Sequence[str]) -> list[Definition]:
        """Return the definitions of exactly these names, ordered by path and line."""
        marks = ",".join("?" * len(names))
        rows = self._db.execute(
            f"""SELECT path, name, kind, line, start_line, end_line, signature, parent FROM symbols
                JOIN files ON files.id = file_id WHERE name IN ({marks}) ORDER BY path, start_line, name""",
            list(names),
        )
        return [Definition(row[0], Symbol(*row[1:])) for row in rows]

    def read_file(self, path: str) -> FileText:
        """Return the lines of an indexed file as they were indexed, and the hash of its bytes.

        Raises:
            KeyError: the file is not indexed.
        """
        row = self._db.execute(
            "SELECT body, sha256 FROM contents JOIN files ON files.id = file_id WHERE path = ?", (path,)
        ).fetchone()
        if row is None:
            raise KeyError(path)
        return FileText(tuple(split_lines(zlib.decompress(row[0]).decode())), row[1])

    def list_passages(self, path: str) -> list[Passage]:
        """Return the passages of one file in line order."""
        return self._select_passages("path = ?", [path])

    def find_passages(self, text_shas: Sequence[str]) -> list[Passage]:
        """Return the passages with these text hashes, ordered by path and line; equal texts give one each."""
        return self._select_passages(f"text_sha IN ({','.join('?' * len(text_shas))})", list(text_shas))

    def _select_passages(self, condition: str, values: list[str]) -> list[Passage]:
        rows = self._db.execute(
            f"""SELECT path, start_line, end_line, heading, text_sha FROM chunks
                JOIN files ON files.id = file_id WHERE {condition} ORDER BY path, start_line""",
            values,
        )
        return [Passage(*row) for row in rows]

    def text_shas(self) -> set[str]:
        """Return the hashes of all passages' texts."""
        return {row[0] for row in self._db.execute("SELECT DISTINCT text_sha FROM chunks")}

    def passage_texts(self, text_shas: set[str]) -> Iterator[tuple[str, str]]:
        """Yield (text hash, text to embed) once for each of the hashes, ordered by path and line."""
        left = set(text_shas)
        text = FileText((), "")
        path = ""
        for row in self._select_passages("1", []):
            if row.text_sha not in left:
                continue
            left.remove(row.text_sha)
            if row.path != path:
                path, text = row.path, self.read_file(row.path)
            yield row.text_sha, passage_text(row.heading, text.lines[row.start_line - 1 : row.end_line])

    def outlines(self) -> list[FileOutline]:
        """Return all indexed files for the map, ordered by path."""
        symbols: dict[int, list[Symbol]] = {}
        for row in self._db.execute(
            """SELECT file_id, name, kind, line, start_line, end_line, signature, parent FROM symbols
               ORDER BY file_id, start_line, line, rowid"""
        ):
            symbols.setdefault(row[0], []).append(Symbol(*row[1:]))
        rows = self._db.execute(
            """SELECT id, path, lang, lines, sha256, names FROM files JOIN contents ON file_id = id
               WHERE skipped = '' ORDER BY path"""
        )
        return [
            FileOutline(path, lang, lines, sha, tuple(symbols.get(key, ())), json.loads(zlib.decompress(names)))
            for key, path, lang, lines, sha, names in rows
        ]


def passage_text(heading: str, lines: Sequence[str]) -> str:
    """Return the text that is embedded for a passage; its hash is the vector's key, so it names no path."""
    return "\n".join([heading, *lines] if heading else lines)
