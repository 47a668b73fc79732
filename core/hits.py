"""Hits: what retrieval returns, for context blocks, tools and commands alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .effects import Spans

Source = Literal["map", "code", "docs"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved passage.

    Attributes:
        id: stable name of the passage, "path:start-end" for code.
        path: workspace-relative posix path.
        start_line, end_line: 1-indexed, inclusive.
        page: 1-indexed page of a paged document; None otherwise.
        heading: enclosing definition or heading path; "" when there is none.
        score: higher is better; comparable only within one answer.
        source: "map" for a file's outline, "code" for a piece of code, "docs" for a document passage.
        doc_sha256: hex hash of the whole file when it was indexed.
    """

    id: str
    path: str
    start_line: int
    end_line: int
    page: int | None
    heading: str
    text: str
    score: float
    source: Source
    doc_sha256: str


def hit_spans(hits: Sequence[Hit]) -> dict[str, Spans]:
    """Return which lines the passages show, by path."""
    spans: dict[str, Spans] = {}
    for hit in hits:
        spans[hit.path] = (*spans.get(hit.path, ()), (hit.start_line, hit.end_line))
    return spans
