"""One Retriever for a run: documents from one, map and code from another. Built by app/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.hits import Hit, Source
from .code_retriever import FIRST_WAIT_S, CodeRetriever

if TYPE_CHECKING:
    from .doc_retriever import DocumentRetriever


class BySource:
    """Asks the retriever of each source.

    Args:
        code: of the map and of code.
        docs: of documents; None = there are none.
    """

    def __init__(self, code: CodeRetriever, docs: DocumentRetriever | None) -> None:
        self._code = code
        self._docs = docs

    def prepare(self, wait_s: float = FIRST_WAIT_S) -> None:
        """Bring both in step with the files; worth doing before a run's first turn.

        Args:
            wait_s: how long a first index of code is waited for.

        Raises:
            FlowError: the index of code cannot be written.
        """
        self._code.prepare(wait_s)
        if self._docs is not None:
            self._docs.prepare()

    def close(self) -> None:
        """Give the vectors free for another process."""
        self._code.close()
        if self._docs is not None:
            self._docs.close()

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        """Return the hits of each source, in the order of `sources`; documents beside others get a third.

        Raises:
            FlowError: an index cannot be read or written.
        """
        others = [source for source in sources if source != "docs"]
        docs = len(others) < len(sources)
        share = budget // 3 if others and docs else budget
        hits: list[Hit] = []
        if docs and self._docs is not None:
            hits += self._docs.retrieve(query, share, ("docs",), within=within)
        if others:
            left = budget - share if docs else budget
            hits += self._code.retrieve(query, left, others, within=within)
        order = {source: at for at, source in enumerate(dict.fromkeys(sources))}
        return sorted(hits, key=lambda hit: order[hit.source])
