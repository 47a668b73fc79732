"""What model calls used, added up from their events."""

from __future__ import annotations

import pytest

from flowloom.core.events import ModelCalled, event_data
from flowloom.core.prices import Price, Prices
from flowloom.runs.usage import ModelUse


def used(*calls: ModelCalled) -> ModelUse:
    total = ModelUse()
    for call in calls:
        total = total.plus(event_data(call))
    return total


def test_counts_are_added_up_and_what_was_not_reported_is_estimated() -> None:
    total = used(
        ModelCalled("k", "m", 1.0, 1000, 50, cached_tokens=800, cost=0.5),
        ModelCalled("k", "m", 1.0, None, None, estimated_tokens=300),
        ModelCalled("k", "m", 1.0, 200, 10, cost=0.25, fault="cut"),
    )
    assert (total.calls, total.prompt_tokens, total.completion_tokens, total.cached_tokens) == (3, 1200, 60, 800)
    assert (total.estimated_tokens, total.tokens, total.cost) == (300, 1560, 0.75)


def test_what_no_call_told_is_unknown_and_not_nothing() -> None:
    total = used(ModelCalled("k", "m", 1.0, 10, 5))
    assert (total.cached_tokens, total.cost, total.prompt_per_s, total.completion_per_s) == (None, None, None, None)
    assert used(ModelCalled("k", "m", 1.0, 10, 5, cached_tokens=0)).cached_tokens == 0


def test_kept_share_is_the_mean_of_the_calls_that_tell_it_and_one_only_when_nothing_is_missing() -> None:
    calls = [ModelCalled("k", "m", 1.0, 10, 5, kept=kept) for kept in (None, 1.0, 0.99999)]
    assert used(*calls[:1]).to_dict()["kept_share"] is None
    assert used(*calls[:2]).to_dict()["kept_share"] == 1.0
    assert used(*calls).to_dict()["kept_share"] == 0.9999


def test_speeds_are_of_the_tokens_that_were_computed_in_the_calls_that_were_timed() -> None:
    total = used(
        ModelCalled("k", "m", 9.0, 1000, 50, cached_tokens=800, prefill_s=2.0, decode_s=5.0),
        ModelCalled("k", "m", 9.0, 100, 50, prefill_s=1.0, decode_s=5.0),
        ModelCalled("k", "m", 9.0, 10_000, 10_000),
    )
    assert (total.prompt_per_s, total.completion_per_s) == (100.0, 10.0)


def test_call_stored_before_there_were_these_fields_is_read() -> None:
    total = ModelUse().plus({"key": "k", "model": "m", "prompt_tokens": 7, "completion_tokens": None, "calls": []})
    assert (total.prompt_tokens, total.tokens, total.cached_tokens) == (7, 7, None)


def test_cached_tokens_have_a_price_of_their_own_when_one_is_set() -> None:
    assert Price(2.0, 10.0).of(1_000_000, 100_000, 500_000) == pytest.approx(3.0)
    assert Price(2.0, 10.0, cached=0.2).of(1_000_000, 100_000, 500_000) == pytest.approx(2.1)


@pytest.mark.parametrize(
    ("model", "prompt"), [("a:1b", 1.0), ("b:latest", 2.0), ("b", 2.0), ("b:7b", 9.0), ("other", 9.0)]
)
def test_price_is_found_by_name_then_without_latest_then_by_the_star(model: str, prompt: float) -> None:
    prices = Prices({"a:1b": Price(1.0, 0), "b": Price(2.0, 0), "*": Price(9.0, 0)})
    found = prices.of(model)
    assert found is not None and found.prompt == prompt
    assert Prices({"a:1b": Price(1.0, 0)}).of("a") is None
