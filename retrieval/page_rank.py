"""Personalised PageRank over a small weighted graph. Called by the map.

Written out because networkx hands the work to scipy, which a base installation does not have; the tests hold the
result against networkx.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Edges = Mapping[int, Sequence[tuple[int, float]]]


def rank_pages(
    count: int, edges: Edges, start: Sequence[float], damping: float = 0.85, rounds: int = 40
) -> list[float]:
    """Return the rank of each node; they sum to 1. The same input gives the same floats.

    Args:
        count: number of nodes, named 0 .. count - 1.
        edges: for a node its targets with weights > 0; a missing or empty list is a dead end, whose rank goes to
            the start nodes.
        start: weights >= 0 of the nodes where a walk begins anew, their sum above 0.
        rounds: of power iteration; the error falls below damping ** rounds.

    Source: Page, Brin, Motwani and Winograd, "The PageRank Citation Ranking: Bringing Order to the Web", 1999.
    """
    total = sum(start)
    home = [weight / total for weight in start]
    flows = [(source, _normalise(edges.get(source, ()))) for source in range(count)]
    ranks = list(home)
    for _ in range(rounds):
        stuck = sum(ranks[source] for source, targets in flows if not targets)
        back = 1.0 - damping + damping * stuck
        following = [back * share for share in home]
        for source, targets in flows:
            passed = damping * ranks[source]
            for target, weight in targets:
                following[target] += passed * weight
        ranks = following
    return ranks


def _normalise(targets: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    total = sum(weight for _, weight in targets)
    return [(target, weight / total) for target, weight in targets]
