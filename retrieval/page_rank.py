"""Personalised PageRank over a weighted graph, whole or near the start nodes alone. Called by map and search.

Written out because networkx hands the work to scipy, which a base installation does not have; the tests hold the
result against networkx.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

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


def push_ranks(
    targets_of: Callable[[int], Sequence[tuple[int, float]]],
    start: Mapping[int, float],
    damping: float = 0.7,
    tolerance: float = 1e-4,
) -> dict[int, float]:
    """Return about the same ranks as `rank_pages` for the nodes near the start nodes, without a walk over all others.

    A node's rank is too low by less than the tolerance for each edge that leads to it; what is cut off at dead ends
    and far nodes is lost, so the sum is below 1. The same input gives the same floats.

    Args:
        targets_of: targets of a node with weights > 0; asked once for each node.
        start: weights >= 0 of the nodes where a walk begins anew, their sum above 0; {} gives {}.

    Source: Andersen, Chung and Lang, "Local Graph Partitioning using PageRank Vectors", FOCS 2006.
    """
    total = sum(start.values())
    if total <= 0:
        return {}
    ranks: dict[int, float] = {}
    left = {node: weight / total for node, weight in sorted(start.items()) if weight > 0}
    waiting = deque(left)
    queued = set(left)
    flows: dict[int, list[tuple[int, float]]] = {}
    while waiting:
        node = waiting.popleft()
        queued.discard(node)
        amount = left.pop(node, 0.0)
        ranks[node] = ranks.get(node, 0.0) + (1.0 - damping) * amount
        if node not in flows:
            flows[node] = _normalise(targets_of(node))
        for target, weight in flows[node]:
            grown = left.get(target, 0.0) + damping * amount * weight
            left[target] = grown
            if grown > tolerance and target not in queued:
                queued.add(target)
                waiting.append(target)
    for node, amount in left.items():
        ranks[node] = ranks.get(node, 0.0) + (1.0 - damping) * amount
    return ranks


def _normalise(targets: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    total = sum(weight for _, weight in targets)
    return [(target, weight / total) for target, weight in targets]
