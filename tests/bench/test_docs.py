from __future__ import annotations

from flowloom.bench.docs import limit_both
from flowloom.bench.docs_quality import Score


def score(name: str, at_5: float) -> Score:
    return Score("set", name, {1: 0, 5: at_5, 10: 100}, 0, {})


def test_the_search_both_ways_is_held_to_the_better_of_the_two() -> None:
    words, meaning = score("flow, by words", 98), score("flow, by meaning", 97)
    good = limit_both([score("FTS5 trigram", 99), words, meaning, score("flow, both", 98)])
    bad = limit_both([words, meaning, score("flow, both", 97.9)])
    assert [each.ok for each in (*good, *bad)] == [True, True, True, True, True, True, False]
    assert good[-1].limits == {5: 98}
