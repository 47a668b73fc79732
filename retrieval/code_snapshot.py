"""Reads of the code index within one transaction, so that all parts of one answer see the same tree."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .code_file import passage_text, unpack_body, unpack_imports, unpack_uses
from .code_history import HistoryMatches, HistoryTable, match_history, read_history_table, stored_head
from .code_store import read_meta
from .code_terms import QueryTerm, count_terms, read_query, whole_term
from .code_writes import resolve_files
from .file_graph import FileGraph, read_graph
from .files import split_lines
from .import_paths import PathTable
from .lexical import FIELD_WEIGHTS, FileTable, WordMatches, match_words, read_file_table
from .parse import Import, Symbol, use_kind, use_line
from .postings import find_forms, read_postings, texts_with

# Passages are looked for in the files that match best; so much of their text is read at most.
_SEARCHED_FILES = 40
_SEARCHED_BYTES = 3_000_000
_SATURATION = 1.2
_USUAL_TERMS = 150
_LENGTH_NORM = 0.5


@dataclass(slots=True)
class Kept:
    """What was read of one generation, for the next snapshot of the same one; `last_*`: of any, to begin with."""

    generation: int = -1
    table: FileTable | None = None
    graph: FileGraph | None = None
    last_table: FileTable | None = None
    last_graph: FileGraph | None = None
    history: HistoryTable | None = None


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
    """What the map needs of a file: its definitions in line order."""

    path: str
    language: str
    lines: int
    sha256: str
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class FileText:
    lines: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a name is used. `kind`: as in parse.Reference; "" = it stands there, in no known role."""

    path: str
    line: int
    kind: str


@dataclass(slots=True)
class _Scored:
    passages: list[Passage] = field(default_factory=list)
    bytes: int = 0


class CodeSnapshot:
    """One steady view of the index; valid while its connection's transaction is open. All orders are fixed."""

    def __init__(self, db: sqlite3.Connection, kept: Kept | None = None) -> None:
        self._db = db
        self._kept = kept or Kept()

    def generation(self) -> int:
        """Return a number that grows with every change of the indexed tree."""
        return read_meta(self._db, "generation")

    def is_complete(self) -> bool:
        """Tell whether all files of the last refresh are indexed; False while a first one goes on."""
        return bool(read_meta(self._db, "complete"))

    def files(self) -> FileTable:
        """Return all indexed files."""
        kept = self._current()
        if kept.table is None:
            kept.table = kept.last_table = read_file_table(self._db, kept.last_table)
        return kept.table

    def graph(self) -> FileGraph:
        """Return what leads from file to file, by the places of `files`."""
        kept = self._current()
        if kept.graph is None:
            kept.graph = kept.last_graph = read_graph(self._db, self.files().ids, kept.last_graph)
        return kept.graph

    def _current(self) -> Kept:
        generation = self.generation()
        if self._kept.generation != generation:
            self._kept.generation, self._kept.table, self._kept.graph = generation, None, None
            self._kept.history = None
        return self._kept

    def paths(self) -> list[str]:
        return self.files().paths

    def read_query(self, query: str) -> list[QueryTerm]:
        """Return the terms of a query with those other forms of their words that the index knows."""
        return [replace(term, forms=find_forms(self._db, term.text)) for term in read_query(query)]

    def match_words(self, terms: Sequence[QueryTerm]) -> WordMatches:
        """Return the files that hold any of the terms, by the places of `files`."""
        return match_words(self._db, self.files(), terms)

    def match_history(self, terms: Sequence[QueryTerm]) -> HistoryMatches:
        """Return the files whose last commits hold any of the terms, by the places of `files`."""
        kept = self._current()
        if kept.history is None or kept.history.head != stored_head(self._db):
            kept.history = read_history_table(self._db, self.files())
        return match_history(self._db, kept.history, terms)

    def search_passages(
        self, query: str, limit: int, path: str | None = None, files: Sequence[str] | None = None
    ) -> list[Passage]:
        """Return the passages that hold words of the query, best first; equal ones by path and line.

        Args:
            path: of this file only.
            files: of these files, the best first; None = of those that match best by their words.
        """
        terms = self.read_query(query)
        if not terms:
            return []
        matches = self.match_words(terms)
        if path is not None:
            chosen: Sequence[str] = [path]
        elif files is not None:
            chosen = files[:_SEARCHED_FILES]
        else:
            paths = self.files().paths
            scores = matches.scores
            chosen = [paths[at] for at in sorted(scores, key=lambda at: (-scores[at], at))[:_SEARCHED_FILES]]
        found = _Scored()
        for each in chosen:
            if found.bytes <= _SEARCHED_BYTES:
                self._score_passages(each, terms, matches.weights, found)
        return sorted(found.passages, key=lambda each: (-each.score, each.path, each.start_line))[:limit]

    def _score_passages(
        self, path: str, terms: Sequence[QueryTerm], weights: Sequence[float], found: _Scored
    ) -> None:
        try:
            text = self.read_file(path)
        except KeyError:
            return
        found.bytes += sum(map(len, text.lines))
        path_terms = count_terms(path)
        in_path = [FIELD_WEIGHTS[0] * min(term.count_in(path_terms), 1) for term in terms]
        symbols = self.outline(path).symbols
        for passage in self.list_passages(path):
            names = [symbol.name for symbol in symbols if passage.start_line <= symbol.line <= passage.end_line]
            defined = count_terms(" ".join([passage.heading, *names]))
            body = count_terms("\n".join(text.lines[passage.start_line - 1 : passage.end_line]))
            score = _passage_score(terms, weights, in_path, defined, body)
            if score > 0:
                found.passages.append(
                    Passage(path, passage.start_line, passage.end_line, passage.heading, passage.text_sha, score)
                )

    def find_definitions(self, names: Sequence[str]) -> list[Definition]:
        """Return the definitions of exactly these names, ordered by path and line."""
        marks = ",".join("?" * len(names))
        rows = self._db.execute(
            f"""SELECT path, name, kind, line, start_line, end_line, signature, parent FROM symbols
                JOIN files ON files.text_id = symbols.text_id WHERE name IN ({marks})
                ORDER BY path, start_line, name""",
            list(names),
        )
        return [Definition(row[0], Symbol(*row[1:])) for row in rows]

    def find_uses(self, name: str) -> list[Use]:
        """Return the places where a name is used or stands otherwise, ordered by path and line; one a line.

        Lines that define the name are no uses.
        """
        table = self.files()
        term = whole_term(name)
        texts = texts_with(self._db, [term]) if term else set(table.of_text)
        found: list[Use] = []
        for text_id in texts:
            for at in table.of_text.get(text_id, ()):
                found += self._uses_in(table.paths[at], text_id, name)
        return sorted(found, key=lambda each: (each.path, each.line))

    def _uses_in(self, path: str, text_id: int, name: str) -> list[Use]:
        body, uses = self._db.execute("SELECT body, uses FROM contents WHERE text_id = ?", (text_id,)).fetchone()
        kinds = {use_line(code): use_kind(code) for code in reversed(unpack_uses(uses).get(name, []))}
        defined = {
            row[0]
            for row in self._db.execute("SELECT line FROM symbols WHERE text_id = ? AND name = ?", (text_id, name))
        }
        lines = [number for number, line in enumerate(split_lines(unpack_body(body)), 1) if _stands_in(name, line)]
        return [Use(path, line, kinds.get(line, "")) for line in lines if line not in defined]

    def count_users(self, names: Sequence[str]) -> dict[str, int]:
        """Return for each name how many texts hold it, at most; names are told apart by their letters alone."""
        return {name: sum(1 for _ in read_postings(self._db, whole_term(name))) for name in names}

    def read_file(self, path: str) -> FileText:
        """Return the lines of an indexed file as they were indexed, and the hash of its bytes.

        Raises:
            KeyError: the file is not indexed.
        """
        row = self._db.execute(
            "SELECT body, sha256 FROM contents JOIN files USING (text_id) WHERE path = ?", (path,)
        ).fetchone()
        if row is None:
            raise KeyError(path)
        return FileText(tuple(split_lines(unpack_body(row[0]))), row[1])

    def imports_of(self, path: str) -> list[Import]:
        """Return the imports of an indexed file in line order; [] also when it is not indexed."""
        row = self._db.execute(
            "SELECT imports FROM contents JOIN files USING (text_id) WHERE path = ?", (path,)
        ).fetchone()
        return unpack_imports(row[0]) if row else []

    def list_passages(self, path: str) -> list[Passage]:
        """Return the passages of one file in line order."""
        return self._select_passages("path = ?", [path])

    def find_passages(self, text_shas: Sequence[str]) -> list[Passage]:
        """Return the passages with these text hashes, ordered by path and line; equal texts give one each."""
        return self._select_passages(f"text_sha IN ({','.join('?' * len(text_shas))})", list(text_shas))

    def _select_passages(self, condition: str, values: list[str]) -> list[Passage]:
        rows = self._db.execute(
            f"""SELECT path, start_line, end_line, heading, text_sha FROM chunks
                JOIN files USING (text_id) WHERE {condition} ORDER BY path, start_line""",
            values,
        )
        return [Passage(*row) for row in rows]

    def text_shas(self) -> set[str]:
        """Return the hashes of all passages' texts."""
        return {row[0] for row in self._db.execute("SELECT DISTINCT text_sha FROM chunks JOIN files USING (text_id)")}

    def passage_texts(self, text_shas: set[str]) -> Iterator[tuple[str, str]]:
        """Yield (text hash, text to embed) once for each of the hashes, ordered by path and line."""
        left = set(text_shas)
        text = FileText((), "")
        path = ""
        rows = self._db.execute(
            """SELECT path, start_line, end_line, heading, context, text_sha FROM chunks
               JOIN files USING (text_id) ORDER BY path, start_line"""
        )
        for row_path, start_line, end_line, heading, context, text_sha in rows:
            if text_sha not in left:
                continue
            left.remove(text_sha)
            if row_path != path:
                path, text = row_path, self.read_file(row_path)
            yield text_sha, passage_text(heading, context, text.lines[start_line - 1 : end_line])

    def outline(self, path: str) -> FileOutline:
        """Return a file for the map. Raises: KeyError: it is not indexed."""
        row = self._db.execute(
            "SELECT text_id, lang, lines, files.sha256 FROM files JOIN texts ON texts.id = text_id WHERE path = ?",
            (path,),
        ).fetchone()
        if row is None:
            raise KeyError(path)
        symbols = self._db.execute(
            """SELECT name, kind, line, start_line, end_line, signature, parent FROM symbols
               WHERE text_id = ? ORDER BY start_line, line, rowid""",
            (row[0],),
        )
        return FileOutline(path, row[1], row[2], row[3], tuple(Symbol(*each) for each in symbols))

    def defining_paths(self) -> set[str]:
        """Return the files that define anything which others may use."""
        rows = self._db.execute("SELECT DISTINCT path FROM files JOIN symbols USING (text_id) WHERE kind <> 'local'")
        return {row[0] for row in rows}

    def definition_names(self) -> list[str]:
        """Return all names that are defined, each once, in order."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT name FROM symbols ORDER BY name")]

    def count_definitions(self) -> int:
        """Return how many definitions the files hold."""
        rows = self._db.execute("SELECT count(*) FROM symbols JOIN files USING (text_id)")
        return int(rows.fetchone()[0])

    def names_between(self, paths: Sequence[str]) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return by which names each of these files uses other files: (user, used) with the weightiest first."""
        table = self.files()
        places = {path: at for at, path in enumerate(table.paths)}
        wanted = {table.ids[places[path]] for path in paths}
        path_of = dict(zip(table.ids, table.paths, strict=True))
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for uses, edges in resolve_files(self._db, wanted, PathTable(table.paths)):
            for target, names in edges.names.items():
                ordered = sorted(names, key=lambda name: (-round(names[name], 6), name))
                found[(uses.path, path_of[target])] = tuple(ordered)
        return found

    def languages(self) -> dict[str, int]:
        """Return how many files each language has; "" stands for what is no code."""
        rows = self._db.execute("SELECT lang, count(*) FROM files JOIN texts ON texts.id = text_id GROUP BY lang")
        return dict(rows.fetchall())


def _passage_score(
    terms: Sequence[QueryTerm],
    weights: Sequence[float],
    in_path: Sequence[float],
    defined: Mapping[str, int],
    body: Mapping[str, int],
) -> float:
    """Return how well a passage matches; `in_path`: what each term counts in the path, weighted."""
    _, definition_weight, body_weight = FIELD_WEIGHTS
    per_body = body_weight / (1.0 - _LENGTH_NORM + _LENGTH_NORM * sum(body.values()) / _USUAL_TERMS)
    score = 0.0
    for term, weight, weighted in zip(terms, weights, in_path, strict=True):
        weighted += definition_weight * term.count_in(defined) + per_body * term.count_in(body)
        score += weight * weighted / (_SATURATION + weighted)
    return score


def _stands_in(name: str, line: str) -> bool:
    """Tell whether a name stands in a line as a whole word."""
    at = line.find(name)
    while at >= 0:
        end = at + len(name)
        before, after = line[at - 1 : at], line[end : end + 1]
        if not (_is_name_part(before) or _is_name_part(after)):
            return True
        at = line.find(name, at + 1)
    return False


def _is_name_part(char: str) -> bool:
    return char == "_" or char.isalnum()
