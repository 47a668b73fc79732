"""Finds passages of documents by words and, where there are vectors, by meaning, over several scopes at once.

Called by the retriever of documents and by `flow docs query`, for which it loads nothing that takes long.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..configs.project_files import read_project_file
from ..core.hits import Hit, path_fits
from .doc_denied import DeniedPaths, still_there
from .doc_search import DocPassage, DocSearch, WordFacts, merge_by_words
from .doc_store import DocumentStore
from .fusion import fuse_ranks
from .sqlite_file import transaction

_CANDIDATES = 50
"""Of each ranking that is fused with another one."""
_WIDER = 10
_SPARE = 8
_MOST_CANDIDATES = 2000
_DOUBT_NS = 2_000_000_000
_MAX_HASHED_BYTES = 20_000_000


Rerank = Callable[[str, Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True)
class Scope:
    """The stored documents of a project, or of the user.

    Attributes:
        nearest: returns text hashes of so many passages, those nearest to a query by meaning; None = words alone.
    """

    store: DocumentStore
    nearest: Callable[[str, int], list[str]] | None = None


@dataclass(frozen=True, slots=True)
class DocHit:
    """A hit with what is known of its place in the rankings, 1 = the first; None = not in that one."""

    hit: Hit
    collection: str
    lexical_rank: int | None
    dense_rank: int | None


class _Key(NamedTuple):
    """What makes two passages the same one: a file can be in several collections."""

    path: str
    page: int
    start_line: int
    text_sha: str


class DocFinder:
    """Searches the documents that a project may see.

    Args:
        workspace: that the paths of hits are relative to, where they lie in it; its denial files count.
        scopes: in the order in which equal hits come.
        rerank: returns the places of texts, the best for a query first; None = they stay in the order of the ranks.
    """

    def __init__(self, workspace: Path, scopes: Sequence[Scope], rerank: Rerank | None = None) -> None:
        self._root = f"{workspace.resolve()}{os.sep}"
        self._workspace = workspace
        self._scopes = tuple(scopes)
        self._rerank = rerank

    def search(self, query: str, limit: int, within: Sequence[str] = ()) -> list[DocHit]:
        """Return the best passages; one whose file is gone or denied is left out, one that changed is stale.

        Raises:
            FlowError: an index cannot be read, or a denial file cannot be used.
        """
        scopes = [scope for scope in self._scopes if scope.store.exists()]
        if not scopes or not query.strip() or limit <= 0:
            return []
        if self._rerank is not None:
            hits = self._found(scopes, query, max(limit, _CANDIDATES), within)
            return [hits[place] for place in self._rerank(query, [each.hit.text for each in hits])][:limit]
        return self._found(scopes, query, limit, within)

    def _found(self, scopes: Sequence[Scope], query: str, limit: int, within: Sequence[str]) -> list[DocHit]:
        is_hybrid = any(scope.nearest is not None for scope in scopes)
        wanted = max(_CANDIDATES if is_hybrid else limit + _SPARE, limit)
        while True:
            lexical, dense = self._rankings(scopes, query, wanted, within)
            hits = self._shown_hits(lexical, dense, limit)
            # Files that are gone and not forgotten yet may have taken all places.
            if len(hits) >= limit or len(lexical) < wanted or wanted > _MOST_CANDIDATES:
                return hits
            wanted *= 4

    def _shown_hits(
        self, lexical: Sequence[DocPassage], dense: Sequence[Sequence[DocPassage]], limit: int
    ) -> list[DocHit]:
        """Return the fused ranking without what may not be shown."""
        by_key = {_key(each): each for ranking in (*dense, lexical) for each in ranking}
        is_plain = not dense and len(self._scopes) == 1  # else scores of BM25 are not comparable
        places = [_places(lexical), *map(_places, dense)]
        scores = fuse_ranks([list(ranking) for ranking in places])
        nearest = {key: rank for ranks in places[1:] for key, rank in ranks.items()}
        hits: list[DocHit] = []
        files = _Files(self._workspace)
        for key in sorted(scores, key=lambda key: (-scores[key], key)):
            passage = by_key[key]
            stale = files.state(passage)
            if stale is not None:
                hit = self._hit(passage, passage.score if is_plain else scores[key], stale)
                hits.append(DocHit(hit, passage.collection, places[0].get(key), nearest.get(key)))
            if len(hits) >= limit:
                break
        return hits

    def _rankings(
        self, scopes: Sequence[Scope], query: str, limit: int, within: Sequence[str]
    ) -> tuple[list[DocPassage], list[list[DocPassage]]]:
        """Return one ranking by words over all scopes, and one by meaning for each scope that has vectors."""
        fits = self._fitting(within)
        lexical: list[list[DocPassage]] = []
        dense: list[list[DocPassage]] = []
        found_words: list[WordFacts] = []
        for scope in scopes:
            # What does not fit is dropped afterwards, so more of them are asked for.
            wanted = limit * _WIDER if fits is not None else limit
            nearest = scope.nearest(query, wanted) if scope.nearest is not None else []
            with scope.store.connect_again() as db, transaction(db, "DEFERRED"):
                search = DocSearch(db, fits)
                lexical.append(search.by_words(query, limit))
                if len(scopes) > 1:
                    found_words.append(search.word_facts(query, lexical[-1]))
                if scope.nearest is not None:
                    dense.append(search.by_texts(nearest))
        return merge_by_words(lexical, found_words) if found_words else lexical[0], dense

    def _fitting(self, within: Sequence[str]) -> Callable[[str, str], bool] | None:
        if not within:
            return None
        return lambda collection, path: collection in within or path_fits(self._shown(path), within)

    def _shown(self, path: str) -> str:
        """Return a path as agents and people see it: relative to the workspace where it lies in it."""
        return path.removeprefix(self._root).replace(os.sep, "/")

    def _hit(self, passage: DocPassage, score: float, stale: bool) -> Hit:
        path = self._shown(passage.path)
        place = f"{passage.start_line}-{passage.end_line}"
        return Hit(
            id=f"{path}:{place}" if passage.page is None else f"{path}#{passage.page}:{place}",
            path=path,
            start_line=passage.start_line,
            end_line=passage.end_line,
            page=passage.page,
            heading=passage.heading,
            text=passage.text,
            score=score,
            source="docs",
            doc_sha256=passage.sha256,
            stale=stale,
        )


class _Files:
    """What became of the files of one answer's passages, each looked at once."""

    def __init__(self, workspace: Path) -> None:
        self._denied = DeniedPaths(workspace)
        self._states: dict[tuple[str, str], bool | None] = {}

    def state(self, passage: DocPassage) -> bool | None:
        """Return whether a file changed since it was indexed; None = it is gone or denied."""
        key = (passage.path, passage.sha256)
        if key not in self._states:
            self._states[key] = None if self._denied.reason(passage.path) else _is_stale(passage)
        return self._states[key]


def _is_stale(passage: DocPassage) -> bool | None:
    info = still_there(passage.path)
    if info is None:
        return None
    same = (info.st_size, info.st_mtime_ns) == (passage.size, passage.mtime_ns)
    if same and passage.read_ns - passage.mtime_ns > _DOUBT_NS:
        return False
    if info.st_size != passage.size or info.st_size > _MAX_HASHED_BYTES:
        return not same
    try:
        data = read_project_file(Path(passage.path), _MAX_HASHED_BYTES)
    except OSError:
        return None
    return hashlib.sha256(data).hexdigest() != passage.sha256


def _key(passage: DocPassage) -> _Key:
    return _Key(passage.path, passage.page or 0, passage.start_line, passage.text_sha)


def _places(ranking: Sequence[DocPassage]) -> dict[_Key, int]:
    """Return the rank of each passage, best first; of the same passage the better one."""
    ranks: dict[_Key, int] = {}
    for each in ranking:
        ranks.setdefault(_key(each), len(ranks) + 1)
    return ranks
