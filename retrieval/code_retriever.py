"""The Retriever over a workspace's code: named definitions first, then full-text and vector hits, and the map.

Built by app/ and called by context blocks, tools and `flow search`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..core.hits import Hit, Source
from ..core.ports import Embedder, TokenCounter
from .code_index import CodeIndex, RefreshReport, ignore_notice
from .code_snapshot import CodeSnapshot, Definition, Passage
from .files import MAX_FILE_BYTES, MAX_FILES
from .fusion import fuse_ranks
from .query_names import FileMention, QueryNames, read_names, resolve_file
from .repo_map import MapQuery, RepoMap
from .spans import Span, SpanFitter
from .tokenise import query_terms
from .vectors import OnEmbedded, VectorIndex

_CANDIDATES = 50
_MOST_SPANS = 30
_MOST_DEFINITIONS = 8
_MOST_OF_A_NAME = 3
_MOST_OF_A_PLAIN_NAME = 2
_FILE_PASSAGES = 2
_LINES_AROUND = 15
# Of a budget that map and code share.
_MAP_SHARE = 1 / 3
_NAMED_SCORE = 1.0
# A plain word that is also the name of one of these is most often just a word.
_VALUE_KINDS = frozenset({"constant", "variable", "property"})
_COMMON_KINDS = _VALUE_KINDS | frozenset({"method", "prototype", "local", "impl"})


class CodeRetriever:
    """Retrieves from the code of one workspace.

    Args:
        cache_dir: folder of index files, outside the workspace.
        embedder: adds vector hits; None = full text only, and nothing of the vector libraries is loaded.
        notify: told in one line what a person should know.

    Raises:
        ConfigError: the cache folder cannot be used.
    """

    def __init__(
        self,
        workspace: Path,
        cache_dir: Path,
        counter: TokenCounter,
        embedder: Embedder | None = None,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_files: int = MAX_FILES,
        notify: Callable[[str], None] = ignore_notice,
    ) -> None:
        self.index = CodeIndex(
            workspace, cache_dir, max_file_bytes=max_file_bytes, max_files=max_files, notify=notify
        )
        self._counter = counter
        self._vectors: VectorIndex | None = None
        if embedder is not None:
            self._vectors = VectorIndex(self.index.path.with_suffix(".vectors"), embedder, notify=notify)
        self._map: tuple[int, RepoMap] | None = None

    def prepare(self) -> RefreshReport:
        """Bring the index in step with the files; return what changed. Worth doing before a run's first turn.

        Of vectors a few are made at once; where many are missing, it is told that `embed` makes them.

        Raises:
            FlowError: the index cannot be written.
        """
        report = self.index.refresh()
        if self._vectors is not None:
            self._vectors.catch_up(self.index)
        return report

    def embed(self, on_progress: OnEmbedded | None = None) -> int:
        """Embed every passage that has no vector yet, and check Chroma's files; return how many were embedded.

        It takes long for the first time, and goes on where it was when it is broken off. 0 without an embedder.

        Raises:
            FlowError: the index or the vectors cannot be written, or the embedder cannot be used.
        """
        self.index.refresh()
        return self._vectors.sync(self.index, on_progress) if self._vectors is not None else 0

    def close(self) -> None:
        """Give the vectors free for another process. The retriever goes on with full text."""
        if self._vectors is not None:
            self._vectors.close()
            self._vectors = None

    def retrieve(self, query: str, budget: int, sources: Sequence[Source]) -> list[Hit]:
        """Return the best hits for each source in the order of `sources`, their texts together within the budget.

        "map" gives outlines of files; beside "code" it takes a third of the budget, and "code" what is left. "code"
        gives definitions that the query names, then the passages that match best; when nothing matches, the
        beginnings of the files that most others refer to. "docs" gives nothing here: documents are no part of a
        code index. Files that changed since the last call are indexed first.

        Args:
            budget: tokens; 0 or less gives no hits.

        Raises:
            FlowError: the index cannot be read or written.
        """
        if budget <= 0 or not {"map", "code"} & set(sources):
            return []
        self.index.refresh()
        return self.index.read(lambda snapshot: self._retrieve(snapshot, query, budget, sources))

    def _retrieve(self, snapshot: CodeSnapshot, query: str, budget: int, sources: Sequence[Source]) -> list[Hit]:
        names = read_names(query)
        hits: dict[Source, list[Hit]] = {}
        left = budget
        if "map" in sources:
            share = int(budget * _MAP_SHARE) if "code" in sources else budget
            hits["map"] = self._load_map(snapshot).render(_map_query(snapshot, query, names), share, self._counter)
            left -= sum(self._counter.count(f"{hit.text}\n") for hit in hits["map"])
        if "code" in sources:
            hits["code"] = self._retrieve_code(snapshot, query, names, left)
        return [hit for source in dict.fromkeys(sources) for hit in hits.get(source, [])]

    def _retrieve_code(self, snapshot: CodeSnapshot, query: str, names: QueryNames, budget: int) -> list[Hit]:
        named = _named_spans(snapshot, query, names)
        matching = self._matching_spans(snapshot, query)[:_MOST_SPANS]
        # The rest of a named definition that was cut comes last: it must not take the room that the cut made.
        rest = [span for span in matching if any(span.lies_in(other) for other in named)]
        spans = [*named, *(span for span in matching if span not in rest), *rest]
        fitter = SpanFitter(snapshot, self._counter, budget)
        fitter.add_all(spans or self._first_spans(snapshot))
        return fitter.hits()

    def _matching_spans(self, snapshot: CodeSnapshot, query: str) -> list[Span]:
        """Return passages by full text and, with an embedder, by vector, fused by rank; ties by path and line."""
        rankings = [snapshot.search_passages(query, _CANDIDATES)]
        if self._vectors is not None:
            text_shas = self._vectors.rank(self.index, query, _CANDIDATES)
            by_sha: dict[str, list[Passage]] = {}
            for passage in snapshot.find_passages(text_shas):
                by_sha.setdefault(passage.text_sha, []).append(passage)
            rankings.append([passage for sha in text_shas for passage in by_sha.get(sha, [])])
        keys = [
            [(each.path, each.start_line, each.end_line, each.heading) for each in ranking] for ranking in rankings
        ]
        fused = sorted(fuse_ranks(keys).items(), key=lambda pair: (-pair[1], pair[0]))
        return [Span(*key, score=score) for key, score in fused]

    def _first_spans(self, snapshot: CodeSnapshot) -> Iterator[Span]:
        """Yield the first passage of each of the files that most others refer to."""
        for outline, score in self._load_map(snapshot).rank_files(MapQuery())[:_FILE_PASSAGES]:
            for passage in snapshot.list_passages(outline.path)[:1]:
                yield Span(passage.path, passage.start_line, passage.end_line, passage.heading, score)

    def _load_map(self, snapshot: CodeSnapshot) -> RepoMap:
        generation = snapshot.generation()
        if self._map is None or self._map[0] != generation:
            self._map = (generation, RepoMap(snapshot.outlines()))
        return self._map[1]


def _map_query(snapshot: CodeSnapshot, query: str, names: QueryNames) -> MapQuery:
    paths = snapshot.paths()
    plain = [each.symbol.name for each in _plain_definitions(snapshot, names)]
    return MapQuery(
        terms=frozenset(query_terms(query)),
        names=frozenset([*names.marked, *plain]),
        files=frozenset(path for mention in names.files for path in resolve_file(mention.text, paths)),
        scores=snapshot.search_files(query),
    )


def _named_spans(snapshot: CodeSnapshot, query: str, names: QueryNames) -> list[Span]:
    """Return the definitions and files that the query names, in order of appearance: lines, definitions, files."""
    paths = snapshot.paths() if names.files else []
    files = [(mention, path) for mention in names.files for path in resolve_file(mention.text, paths)]
    spans = [_span_at(snapshot, path, mention) for mention, path in files if mention.line]
    for each in [*_marked_definitions(snapshot, names), *_plain_definitions(snapshot, names)][:_MOST_DEFINITIONS]:
        symbol = each.symbol
        spans.append(Span(each.path, symbol.start_line, symbol.end_line, symbol.qualified_name, 0.0, named=True))
    for path in dict.fromkeys(path for mention, path in files if not mention.line):
        found = snapshot.search_passages(query, _FILE_PASSAGES, path) or snapshot.list_passages(path)[:1]
        spans += [Span(path, each.start_line, each.end_line, each.heading, 0.0, named=True) for each in found]
    count = len(spans)
    return [
        Span(each.path, each.start_line, each.end_line, each.heading, _NAMED_SCORE + (count - at) / count, named=True)
        for at, each in enumerate(spans)
    ]


def _marked_definitions(snapshot: CodeSnapshot, names: QueryNames) -> list[Definition]:
    """Return up to three definitions of each name that is written as code.

    When one of a name lies within a type that is named too ("Type.method"), it alone is meant: neither the name's
    others nor the type as a whole.
    """
    found = snapshot.find_definitions(names.marked)
    words = {*names.marked, *names.plain}
    chosen: list[Definition] = []
    parents: set[tuple[str, str]] = set()
    for name in names.marked:
        same = _without_common(sorted((each for each in found if each.symbol.name == name), key=_definition_order))
        meant = [each for each in same if each.symbol.parent.rsplit(".", 1)[-1] in words]
        parents |= {(each.path, each.symbol.parent) for each in meant}
        chosen += (meant or same)[:_MOST_OF_A_NAME]
    return [each for each in chosen if (each.path, each.symbol.qualified_name) not in parents]


def _without_common(same: list[Definition]) -> list[Definition]:
    """Return the definitions without those of values, when so many values have the name that none is meant."""
    values = [each for each in same if each.symbol.kind in _VALUE_KINDS]
    return same if len(values) <= _MOST_OF_A_NAME else [each for each in same if each not in values]


def _definition_order(each: Definition) -> tuple[bool, bool, str, int]:
    lesser = each.symbol.kind in ("prototype", "local")
    in_tests = any(part.startswith("test") for part in each.path.lower().split("/"))
    return (lesser, in_tests, each.path, each.symbol.start_line)


def _plain_definitions(snapshot: CodeSnapshot, names: QueryNames) -> list[Definition]:
    """Return the definitions of plain words that are names of one or two functions or types, so hardly by chance."""
    found = [each for each in snapshot.find_definitions(names.plain) if each.symbol.kind not in _COMMON_KINDS]
    chosen: list[Definition] = []
    for name in names.plain:
        same = [each for each in found if each.symbol.name == name]
        chosen += same if len(same) <= _MOST_OF_A_PLAIN_NAME else []
    return chosen


def _span_at(snapshot: CodeSnapshot, path: str, mention: FileMention) -> Span:
    """Return the innermost passage around a line that the query gives, or the lines around it."""
    for passage in snapshot.list_passages(path):
        if passage.start_line <= mention.line <= passage.end_line and passage.heading:
            return Span(path, passage.start_line, passage.end_line, passage.heading, 0.0)
    last = len(snapshot.read_file(path).lines)
    line = min(mention.line, last)
    return Span(path, max(line - _LINES_AROUND, 1), min(line + _LINES_AROUND, last), "", 0.0)
