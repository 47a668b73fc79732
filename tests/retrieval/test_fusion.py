from __future__ import annotations

from flowloom.retrieval.fusion import fuse_ranks


def test_what_both_lists_hold_comes_first() -> None:
    scores = fuse_ranks([["a", "b", "c"], ["b", "d"]])
    assert max(scores, key=lambda item: scores[item]) == "b"
    assert scores["a"] == 1 / 61
    assert scores["b"] == 1 / 62 + 1 / 61


def test_an_item_counts_once_a_list() -> None:
    assert fuse_ranks([["a", "a", "b"]]) == {"a": 1 / 61, "b": 1 / 62}


def test_no_lists_give_no_scores() -> None:
    assert fuse_ranks([[], []]) == {}
