"""The repository map: files ranked for a query, each as an outline of its definitions. Called by the retriever."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from ..core.hits import Hit
from ..core.ports import TokenCounter
from .code_snapshot import FileOutline
from .fitting import find_most
from .page_rank import rank_pages
from .parse import Symbol
from .tokenise import split_identifier

MOST_RANKED_FILES = 2000
_MOST_DEFINERS = 5
_MOST_EDGES_A_FILE = 40
_MOST_LINES_A_FILE = 16
_SHARES = 5
_MOST_MISSES = 8  # so many files of which not even the path fits: the budget is used up
_DAMPING = 0.7
_ROUNDS = 25  # 0.7 ** 25 is 1e-4, below what changes an order that is worth anything
_REFERENCE_WEIGHT = 0.35
_VALUE_KINDS = frozenset({"constant", "variable", "property"})


@dataclass(frozen=True, slots=True)
class MapQuery:
    """What the map is asked for.

    Attributes:
        terms: the query's words as the index knows them.
        names: identifiers that the query names.
        files: indexed paths that the query names.
        scores: full-text score of each file that holds words of the query.
    """

    terms: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    scores: Mapping[str, float] | None = None


class RepoMap:
    """The files of one state of the index and how they refer to each other; made once, asked many times.

    Args:
        outlines: all indexed files, sorted by path.
    """

    def __init__(self, outlines: Sequence[FileOutline]) -> None:
        self.outlines = tuple(outlines)

    def rank_files(self, query: MapQuery) -> list[tuple[FileOutline, float]]:
        """Return all files with their scores, best first, ties by path.

        A score adds up whether the query names the file or a definition of it, its full-text score, and how much the
        files that matter refer to it. In a repository of more than 2,000 files references count for nothing.
        """
        scores = query.scores or {}
        top = max(scores.values(), default=0.0) or 1.0
        wanted = [self._named(outline, query) + scores.get(outline.path, 0.0) / top for outline in self.outlines]
        references = self._rank_references(wanted)
        ranked = [
            (outline, round(wanted[at] + _REFERENCE_WEIGHT * references[at], 9))
            for at, outline in enumerate(self.outlines)
        ]
        return sorted(ranked, key=lambda pair: (-pair[1], pair[0].path))

    def render(self, query: MapQuery, budget: int, counter: TokenCounter) -> list[Hit]:
        """Return outlines of the best files whose texts together stay within the budget (tokens), best first.

        No file takes more than a fifth of the budget. The same files and query give the same bytes, wherever the
        workspace lies.
        """
        hits: list[Hit] = []
        left = budget
        misses = 0
        share = max(budget // _SHARES, 1)
        for outline, score in self.rank_files(query):
            if left <= 0 or misses == _MOST_MISSES:
                break
            text = self._render_file(outline, query, min(share, left), counter)
            cost = counter.count(f"{text}\n") if text else 0
            if not text or cost > left:
                misses += 1
                continue
            left -= cost
            hits.append(_map_hit(outline, text, score))
        return hits

    def _render_file(self, outline: FileOutline, query: MapQuery, budget: int, counter: TokenCounter) -> str:
        """Return the path and as many of the most telling definitions as fit; "" = not even the path fits."""
        chosen = self._choose(outline, query)[:_MOST_LINES_A_FILE]

        def render(keep: int) -> str:
            return "\n".join([outline.path, *_outline_lines(outline, sorted(chosen[:keep]))])

        keep = find_most(len(chosen), lambda keep: counter.count(f"{render(keep)}\n") <= budget)
        text = render(keep)
        return text if keep or counter.count(f"{text}\n") <= budget else ""

    def _choose(self, outline: FileOutline, query: MapQuery) -> list[int]:
        """Return positions of the definitions worth showing, the most telling first."""
        header = PurePosixPath(outline.path).suffix.lower().startswith(".h")
        worth: list[tuple[float, int]] = []
        for at, symbol in enumerate(outline.symbols):
            if symbol.kind == "local" or (symbol.kind == "prototype" and not header):
                continue
            worth.append((-self._worth(symbol, query), at))
        return [at for _, at in sorted(worth)]

    def _worth(self, symbol: Symbol, query: MapQuery) -> float:
        worth = math.log1p(self._users.get(symbol.name, 0))
        worth += 4.0 * (symbol.name in query.names)
        worth += 2.0 * bool(query.terms.intersection(split_identifier(symbol.name)))
        worth += 1.0 * (not symbol.parent) - 1.0 * symbol.name.startswith("_")
        return worth - 1.5 * (symbol.kind in _VALUE_KINDS)

    def _named(self, outline: FileOutline, query: MapQuery) -> float:
        if outline.path in query.files:
            return 2.0
        return 1.5 * any(symbol.name in query.names for symbol in outline.symbols if symbol.kind != "local")

    def _rank_references(self, wanted: Sequence[float]) -> list[float]:
        """Return each file's PageRank from the wanted files on, the highest scaled to 1."""
        count = len(self.outlines)
        if not 0 < count <= MOST_RANKED_FILES:
            return [0.0] * count
        start = [0.1 + weight for weight in wanted]
        ranks = rank_pages(count, self._edges, start, damping=_DAMPING, rounds=_ROUNDS)
        top = max(ranks)
        return [rank / top for rank in ranks]

    @cached_property
    def _definers(self) -> dict[str, list[int]]:
        """Names with the files that define them; names of more than five files tell nothing and are left out."""
        definers: dict[str, list[int]] = {}
        for at, outline in enumerate(self.outlines):
            for name in sorted({symbol.name for symbol in outline.symbols if symbol.kind != "local"}):
                definers.setdefault(name, []).append(at)
        return {name: files for name, files in definers.items() if len(files) <= _MOST_DEFINERS}

    @cached_property
    def _users(self) -> dict[str, int]:
        """How many files besides its definers mention a name."""
        users: dict[str, int] = {}
        for at, outline in enumerate(self.outlines):
            for name in outline.identifiers:
                if (files := self._definers.get(name)) and at not in files:
                    users[name] = users.get(name, 0) + 1
        return users

    @cached_property
    def _edges(self) -> dict[int, list[tuple[int, float]]]:
        """For each file the files that define what it mentions, weighted; what it defines itself is its own."""
        edges: dict[int, list[tuple[int, float]]] = {}
        for at, outline in enumerate(self.outlines):
            weights: dict[int, float] = {}
            for name in sorted(outline.identifiers):
                files = self._definers.get(name)
                if not files or at in files:
                    continue
                weight = math.sqrt(outline.identifiers[name]) / len(files)
                for target in files:
                    weights[target] = weights.get(target, 0.0) + weight
            best = sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))
            edges[at] = best[:_MOST_EDGES_A_FILE]
        return edges


def _outline_lines(outline: FileOutline, shown: Sequence[int]) -> list[str]:
    """Return a line for each definition: line number, signature indented by nesting."""
    lines = []
    for at in shown:
        symbol = outline.symbols[at]
        depth = symbol.parent.count(".") + 1 if symbol.parent else 0
        lines.append(f"{symbol.line}:{' ' * (depth + 1)}{symbol.signature}")
    return lines


def _map_hit(outline: FileOutline, text: str, score: float) -> Hit:
    return Hit(
        id=outline.path,
        path=outline.path,
        start_line=1,
        end_line=max(outline.lines, 1),
        page=None,
        heading="",
        text=text,
        score=score,
        source="map",
        doc_sha256=outline.sha256,
    )
