"""Reciprocal-rank fusion of ranked lists. Called by the retriever."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

RRF_K = 60


def fuse_ranks(rankings: Sequence[Sequence[K]]) -> dict[K, float]:
    """Return each item's fused score, the sum of 1 / (60 + rank) over the lists that hold it (rank from 1).

    Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
    Methods", SIGIR 2009.
    """
    scores: dict[K, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(dict.fromkeys(ranking), start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (RRF_K + rank)
    return scores
