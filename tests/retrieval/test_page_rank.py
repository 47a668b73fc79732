from __future__ import annotations

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowloom.retrieval.page_rank import push_ranks, rank_pages

pytest.importorskip("scipy", reason="networkx computes the reference with scipy")

COUNT = 12
PAIRS = st.dictionaries(
    st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)), st.floats(0.1, 9.0), max_size=40
)


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.lists(st.floats(0.1, 5.0), min_size=COUNT, max_size=COUNT))
def test_ranks_are_those_of_networkx(pairs: dict[tuple[int, int], float], start: list[float]) -> None:
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(COUNT))
    edges: dict[int, list[tuple[int, float]]] = {}
    for (source, target), weight in pairs.items():
        graph.add_edge(source, target, weight=weight)
        edges.setdefault(source, []).append((target, weight))
    expected = networkx.pagerank(graph, alpha=0.7, personalization=dict(enumerate(start)), tol=1e-12, max_iter=500)
    ranks = rank_pages(COUNT, edges, start, damping=0.7, rounds=80)
    assert ranks == pytest.approx([expected[at] for at in range(COUNT)], abs=1e-9)


def test_a_graph_without_edges_ranks_by_the_start() -> None:
    assert rank_pages(2, {}, [1.0, 3.0]) == pytest.approx([0.25, 0.75])


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.dictionaries(st.integers(0, COUNT - 1), st.floats(0.1, 5.0), min_size=1, max_size=3))
def test_ranks_pushed_from_few_nodes_are_those_of_networkx(
    pairs: dict[tuple[int, int], float], start: dict[int, float]
) -> None:
    # A ring, so that there are no dead ends, whose rank is lost.
    ring = {(at, (at + 1) % COUNT): 1.0 for at in range(COUNT)}
    graph = networkx.DiGraph()
    edges: dict[int, list[tuple[int, float]]] = {}
    for (source, target), weight in (ring | pairs).items():
        graph.add_edge(source, target, weight=weight)
        edges.setdefault(source, []).append((target, weight))
    expected = networkx.pagerank(graph, alpha=0.7, personalization=start, tol=1e-12, max_iter=500)
    ranks = push_ranks(lambda node: edges[node], start, damping=0.7, tolerance=1e-10)
    assert [ranks.get(at, 0.0) for at in range(COUNT)] == pytest.approx(
        [expected[at] for at in range(COUNT)], abs=1e-7
    )


def test_pushing_from_nowhere_reaches_nothing() -> None:
    assert push_ranks(lambda node: [], {}) == {}
    assert push_ranks(lambda node: [], {3: 2.0}, damping=0.7) == pytest.approx({3: 0.3})
