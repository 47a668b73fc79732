"""The Retriever over documents: the project's collections and the user's own. Built by app/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import FlowError
from ..core.hits import Hit, Source
from ..core.ports import TokenCounter
from .doc_finder import DocFinder, Rerank, Scope
from .doc_index import DocumentIndex

if TYPE_CHECKING:
    from .vectors import VectorIndex

_MOST_HITS = 50
_PREPARE_S = 5.0
"""Seconds that a run waits for documents that changed."""


class DocumentRetriever:
    """Retrieves from the documents that a project may see.

    Attributes:
        finder: what it searches with, without budgets.

    Args:
        workspace: that the paths of hits are relative to, where they lie in it.
        indexes: each with its vectors; None = it is searched by words alone.
        notify: told in one line what a person should know.
        rerank: as for DocFinder.
    """

    def __init__(
        self,
        workspace: Path,
        indexes: Sequence[tuple[DocumentIndex, VectorIndex | None]],
        counter: TokenCounter,
        *,
        notify: Callable[[str], None] = lambda text: None,
        rerank: Rerank | None = None,
    ) -> None:
        self._indexes = tuple(indexes)
        scopes = [Scope(index.store, _nearest(index, vectors)) for index, vectors in self._indexes]
        self.finder = DocFinder(workspace, scopes, rerank)
        self._counter = counter
        self._notify = notify
        self._told: set[str] = set()

    def prepare(self) -> None:
        """Bring small changes of the files into the index before a run; what takes longer is told, and left alone."""
        for index, vectors in self._indexes:
            try:
                report = index.sync(limit_s=_PREPARE_S)
                if vectors is not None:
                    vectors.catch_up(index)
            except FlowError as err:
                self._tell_once(f"the documents are as they were: {err.message}")
                continue
            if report.left:
                self._tell_once(f"{report.left:,} documents changed and are not read yet; `flow docs sync` does it")

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        """Return the best passages of documents whose texts together stay within the budget; [] for other sources.

        An index that cannot be read is told once and gives nothing: a run does not end for it.

        Args:
            budget: tokens; 0 or less gives no hits.
            within: globs of paths or names of collections, one of which a hit fits; () = all.
        """
        if budget <= 0 or "docs" not in sources:
            return []
        try:
            found = self.finder.search(query, _MOST_HITS, within)
        except FlowError as err:
            self._tell_once(f"the documents are not searched: {err.message}")
            return []
        hits: list[Hit] = []
        for each in found:
            cost = self._counter.count(f"{each.hit.text}\n")
            if cost <= budget:
                hits.append(each.hit)
                budget -= cost
        return hits

    def close(self) -> None:
        """Give the vectors free for another process."""
        for _, vectors in self._indexes:
            if vectors is not None:
                vectors.close()

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._notify(text)


def _nearest(index: DocumentIndex, vectors: VectorIndex | None) -> Callable[[str, int], list[str]] | None:
    if vectors is None:
        return None
    return lambda query, limit: vectors.rank(index, query, limit)
