"""The Retriever over a workspace's code: named definitions first, then hits by words and meaning, and the map.

Built by app/ and called by context blocks, tools and `flow search`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.hits import Hit, Source, path_fits
from ..core.ports import Embedder, TokenCounter
from .background_refresh import BackgroundRefresh
from .code_index import CodeIndex, RefreshReport, ignore_notice
from .code_search import SEARCH_SIGNALS, RankedFile, Signals, marked_definitions, plain_definitions, rank_files
from .code_snapshot import CodeSnapshot, Passage
from .code_symbols import find_symbol, reference_hits
from .code_terms import read_query
from .code_update import OnIndexed
from .files import MAX_FILE_BYTES, MAX_FILES
from .fusion import fuse_ranks
from .parse_pool import ParsePool
from .query_names import FileMention, QueryNames, read_names, resolve_file
from .repo_map import MapWishes, most_used_files, render_map
from .spans import Span, SpanFitter
from .stems import stem
from .vectors import OnEmbedded, VectorIndex

FIRST_WAIT_S = 2.0
"""What a run's first model call waits at most for the index; until it is complete, what is ready is searched."""

_CANDIDATES = 50
_MOST_SPANS = 30
_FEW_FILES = 40
_MOST_DEFINITIONS = 8
_FILE_PASSAGES = 2
_LINES_AROUND = 15
# Of a budget that map and code share.
_MAP_SHARE = 1 / 3
_NAMED_SCORE = 1.0
_SOURCES = frozenset({"map", "code", "symbol", "references"})


class CodeRetriever:
    """Retrieves from the code of one workspace.

    Args:
        cache_dir: folder of index files, outside the workspace.
        embedder: adds vector hits; None = by words only, and nothing of the vector libraries is loaded.
        notify: told in one line what a person should know.
        signals: what counts for the order of files; for that of the map the graph does as well.
        on_indexed: told how far the indexing is, from another thread.
        pool: parses; None = the one of the process.
        like: as for CodeIndex.

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
        signals: Signals = SEARCH_SIGNALS,
        on_indexed: OnIndexed | None = None,
        pool: ParsePool | None = None,
        like: Path | None = None,
    ) -> None:
        self.index = CodeIndex(
            workspace,
            cache_dir,
            max_file_bytes=max_file_bytes,
            max_files=max_files,
            notify=notify,
            pool=pool,
            like=like,
        )
        self._counter = counter
        self._notify = notify
        self._signals = signals
        self._refresh = BackgroundRefresh(self.index, on_indexed)
        self._told = False
        self._vectors: VectorIndex | None = None
        if embedder is not None:
            self._vectors = VectorIndex(self.index.path.with_suffix(".vectors"), embedder, notify=notify)

    def prepare(self, wait_s: float = FIRST_WAIT_S) -> RefreshReport | None:
        """Bring the index in step with the files; return what changed. Worth doing before a run's first turn.

        None = it takes longer than `wait_s` and goes on beside other work. Of vectors a few are made at once; where
        many are missing, it is told that `embed` makes them.

        Raises:
            FlowError: the index cannot be written.
        """
        report = self._refresh.wait(wait_s)
        if report is not None and self._vectors is not None:
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

    def vectors_missing(self) -> int | None:
        """Return how many passages have no vector yet; None = there is no embedder. Raises: FlowError."""
        return None if self._vectors is None else self._vectors.missing(self.index)

    def close(self) -> None:
        """End the indexing and give the vectors free for another process. The retriever goes on with words."""
        self._refresh.stop()
        if self._vectors is not None:
            self._vectors.close()
            self._vectors = None

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        """Return the best hits for each source in the order of `sources`, their texts together within the budget.

        "map" gives outlines of files; beside "code" it takes a third of the budget, and "code" what is left. "code"
        gives definitions that the query names, then the passages that match best; when nothing matches, the
        beginnings of the files that most others refer to. "symbol" and "references" take the query for a name. "docs"
        gives nothing here: documents are no part of a code index. Files that changed since the last call are indexed
        first; while a first indexing takes longer than two seconds, what is ready answers, and that is told once.

        Args:
            budget: tokens; 0 or less gives no hits.
            within: globs of paths, one of which a hit fits; () = all.

        Raises:
            FlowError: the index cannot be read or written.
        """
        if budget <= 0 or not _SOURCES & set(sources):
            return []
        self.bring_up()
        return self.index.read(lambda snapshot: self._retrieve(snapshot, query, budget, sources, within))

    def search(
        self, query: str, limit: int, *, focus: Sequence[str] = (), within: Sequence[str] = ()
    ) -> list[RankedFile]:
        """Return the files that answer a query, best first, each with its reasons.

        Raises:
            FlowError: the index cannot be read or written.
        """
        self.bring_up()
        return self.index.read(lambda snapshot: self._rank(snapshot, query, within, limit=limit, focus=focus))

    def bring_up(self, wait_s: float = FIRST_WAIT_S) -> None:
        """Bring the index up to date as far as that takes no longer than `wait_s`; what is not done is told once.

        Raises:
            FlowError: the index cannot be written.
        """
        if self._refresh.wait(wait_s) is None and not self._told:
            self._told = True
            count = self.index.read(lambda snapshot: len(snapshot.paths()))
            self._notify(f"the code index is being built, {count:,} files so far; what is not in it yet is not found")

    def map(self, query: str, budget: int, *, focus: Sequence[str] = (), within: Sequence[str] = ()) -> list[Hit]:
        """Return the map for a query, "" = of the whole, with more weight on the files in focus.

        Raises:
            FlowError: the index cannot be read or written.
        """
        self.bring_up()
        return self.index.read(lambda snapshot: self._map(snapshot, query, budget, within, focus))

    def _retrieve(
        self, snapshot: CodeSnapshot, query: str, budget: int, sources: Sequence[Source], within: Sequence[str]
    ) -> list[Hit]:
        hits: dict[Source, list[Hit]] = {}
        left = budget
        if "map" in sources:
            share = int(budget * _MAP_SHARE) if "code" in sources else budget
            hits["map"] = self._map(snapshot, query, share, within)
            left -= sum(self._counter.count(f"{hit.text}\n") for hit in hits["map"])
        if "code" in sources:
            hits["code"] = self._retrieve_code(snapshot, query, read_names(query), left, within)
        if "symbol" in sources:
            hits["symbol"] = self._retrieve_symbol(snapshot, query, left, within)
        if "references" in sources:
            found = reference_hits(snapshot, query, left, self._counter)
            hits["references"] = [hit for hit in found if _fits(hit.path, within)]
        return [hit for source in dict.fromkeys(sources) for hit in hits.get(source, [])]

    def _map(
        self, snapshot: CodeSnapshot, query: str, budget: int, within: Sequence[str], focus: Sequence[str] = ()
    ) -> list[Hit]:
        names = read_names(query)
        files: list[RankedFile] = []
        if query.strip() or focus:
            files = self._rank(snapshot, query, within, focus=focus, signals=replace(self._signals, graph=True))
        if len(files) < _FEW_FILES:
            # Also where the query says nothing of this repository, its most used files are worth knowing.
            known = {each.path for each in files}
            used = [each for each in most_used_files(snapshot) if each.path not in known and _fits(each.path, within)]
            defining = snapshot.defining_paths()
            # A bare path says little, so it takes no room where there are outlines to show.
            files += [each for each in used if each.path in defining] or used
        plain = [each.symbol.name for each in plain_definitions(snapshot, names)]
        wishes = MapWishes(
            stems=frozenset(stem(term.text) for term in read_query(query)), names=frozenset([*names.marked, *plain])
        )
        return render_map(snapshot, files, wishes, budget, self._counter)

    def _rank(
        self,
        snapshot: CodeSnapshot,
        query: str,
        within: Sequence[str] = (),
        *,
        limit: int | None = None,
        focus: Sequence[str] = (),
        signals: Signals | None = None,
    ) -> list[RankedFile]:
        by_meaning = [passage.path for passage in self._near_passages(snapshot, query)]
        most = None if within else limit
        chosen = signals or self._signals
        found = rank_files(snapshot, query, signals=chosen, focus=focus, by_meaning=by_meaning, limit=most)
        return [each for each in found if _fits(each.path, within)][:limit]

    def _retrieve_code(
        self, snapshot: CodeSnapshot, query: str, names: QueryNames, budget: int, within: Sequence[str]
    ) -> list[Hit]:
        named = [span for span in _named_spans(snapshot, query, names) if _fits(span.path, within)]
        matching = self._matching_spans(snapshot, query, within)[:_MOST_SPANS]
        # The rest of a named definition that was cut comes last: it must not take the room that the cut made.
        rest = [span for span in matching if any(span.lies_in(other) for other in named)]
        spans = [*named, *(span for span in matching if span not in rest), *rest]
        fitter = SpanFitter(snapshot, self._counter, budget)
        fitter.add_all(spans or self._first_spans(snapshot, within))
        return fitter.hits()

    def _retrieve_symbol(self, snapshot: CodeSnapshot, name: str, budget: int, within: Sequence[str]) -> list[Hit]:
        fitter = SpanFitter(snapshot, self._counter, budget)
        found = [each for each in find_symbol(snapshot, name) if _fits(each.path, within)]
        fitter.add_all(
            Span(each.path, each.symbol.start_line, each.symbol.end_line, each.symbol.qualified_name, 1.0, named=True)
            for each in found[:_MOST_DEFINITIONS]
        )
        return [replace(hit, source="symbol") for hit in fitter.hits()]

    def _matching_spans(self, snapshot: CodeSnapshot, query: str, within: Sequence[str]) -> list[Span]:
        """Return passages by words and, with an embedder, by vector, fused by rank; ties by path and line."""
        files = [each.path for each in self._rank(snapshot, query, within)]
        rankings = [snapshot.search_passages(query, _CANDIDATES, files=files)]
        if near := [each for each in self._near_passages(snapshot, query) if _fits(each.path, within)]:
            rankings.append(near)
        keys = [
            [(each.path, each.start_line, each.end_line, each.heading) for each in ranking] for ranking in rankings
        ]
        fused = sorted(fuse_ranks(keys).items(), key=lambda pair: (-pair[1], pair[0]))
        return [Span(*key, score=score) for key, score in fused]

    def _near_passages(self, snapshot: CodeSnapshot, query: str) -> list[Passage]:
        """Return the passages whose meaning is nearest; [] without an embedder."""
        if self._vectors is None or not self._signals.meaning:
            return []
        text_shas = self._vectors.rank(self.index, query, _CANDIDATES)
        by_sha: dict[str, list[Passage]] = {}
        for passage in snapshot.find_passages(text_shas):
            by_sha.setdefault(passage.text_sha, []).append(passage)
        return [passage for sha in text_shas for passage in by_sha.get(sha, [])]

    def _first_spans(self, snapshot: CodeSnapshot, within: Sequence[str]) -> Iterator[Span]:
        """Yield the first passage of each of the files that most others refer to."""
        files = [each for each in most_used_files(snapshot) if _fits(each.path, within)]
        for file in files[:_FILE_PASSAGES]:
            for passage in snapshot.list_passages(file.path)[:1]:
                yield Span(passage.path, passage.start_line, passage.end_line, passage.heading, file.score)


def _fits(path: str, within: Sequence[str]) -> bool:
    return not within or path_fits(path, within)


def _named_spans(snapshot: CodeSnapshot, query: str, names: QueryNames) -> list[Span]:
    """Return the definitions and files that the query names, in order of appearance: lines, definitions, files."""
    paths = snapshot.paths() if names.files else []
    files = [(mention, path) for mention in names.files for path in resolve_file(mention.text, paths)]
    spans = [_span_at(snapshot, path, mention) for mention, path in files if mention.line]
    for each in [*marked_definitions(snapshot, names), *plain_definitions(snapshot, names)][:_MOST_DEFINITIONS]:
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


def _span_at(snapshot: CodeSnapshot, path: str, mention: FileMention) -> Span:
    """Return the innermost passage around a line that the query gives, or the lines around it."""
    for passage in snapshot.list_passages(path):
        if passage.start_line <= mention.line <= passage.end_line and passage.heading:
            return Span(path, passage.start_line, passage.end_line, passage.heading, 0.0)
    last = len(snapshot.read_file(path).lines)
    line = min(mention.line, last)
    return Span(path, max(line - _LINES_AROUND, 1), min(line + _LINES_AROUND, last), "", 0.0)
