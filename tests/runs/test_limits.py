from __future__ import annotations

from collections.abc import Callable

import pytest

from flowloom.core.errors import LimitReached, WallTimeReached
from flowloom.core.events import ModelCalled, NodeEnded, NodeStarted
from flowloom.graphs.spec import Limits
from flowloom.runs.limits import RunLimits
from flowloom.runs.store import RunRow, RunStore

Gate = Callable[[Limits], RunLimits]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(store: RunStore, row: RunRow, clock: Clock) -> Gate:
    return lambda limits: RunLimits(store, row.id, limits, clock=clock)


def call(store: RunStore, row: RunRow, prompt: int, completion: int | None) -> None:
    store.append_event(row.id, "code", ModelCalled("code#1.0", "m", 1.0, prompt, completion))


def run_node(store: RunStore, row: RunRow, label: str) -> None:
    store.append_event(row.id, label, NodeStarted("set", 1))
    store.append_event(row.id, label, NodeEnded(1, 0.1))


def test_run_without_limits_goes_on(gate: Gate, store: RunStore, row: RunRow) -> None:
    unlimited = gate(Limits())
    for _ in range(50):
        run_node(store, row, "a#1")
        call(store, row, 10**9, 10**9)
        unlimited.before_node("a")
        unlimited.before_model_call("a")


def test_node_over_the_limit_is_not_started(gate: Gate, store: RunStore, row: RunRow) -> None:
    two = gate(Limits(node_runs=2))
    for _ in range(2):
        two.before_node("a")
        run_node(store, row, "a#1")
    with pytest.raises(LimitReached, match=r"2 of at most 2 node runs; stopped before 'b'") as caught:
        two.before_node("b")
    assert caught.value.exit_code == 3
    assert f"flow resume {row.id} --force-graph" in caught.value.hint


def test_model_call_over_the_limit_is_not_made(gate: Gate, store: RunStore, row: RunRow) -> None:
    one = gate(Limits(model_calls=1))
    one.before_model_call("code")
    call(store, row, 1, 1)
    with pytest.raises(LimitReached, match="1 of at most 1 model calls"):
        one.before_model_call("code")
    one.before_node("check")


def test_tokens_count_prompt_and_completion(gate: Gate, store: RunStore, row: RunRow) -> None:
    budget = gate(Limits(tokens=1500))
    call(store, row, 1000, 400)
    call(store, row, 99, None)
    budget.before_model_call("code")
    call(store, row, 1, None)
    with pytest.raises(LimitReached, match=r"used 1,500 of at most 1,500 tokens") as caught:
        budget.before_model_call("code")
    assert f"flow resume {row.id} --max-tokens N" in caught.value.hint


def test_what_an_earlier_process_used_counts(gate: Gate, store: RunStore, row: RunRow) -> None:
    call(store, row, 1000, 0)
    with pytest.raises(LimitReached):
        gate(Limits(tokens=1000)).before_model_call("code")


def test_time_is_used_up_at_the_limit(gate: Gate, clock: Clock, row: RunRow) -> None:
    hour = gate(Limits(wall_s=3600.0))
    clock.now += 3599.0
    hour.before_node("a")
    clock.now += 1.0
    with pytest.raises(WallTimeReached, match="60 min 0 s of at most 60 min 0 s") as caught:
        hour.before_model_call("a")
    assert caught.value.exit_code == 124
    assert "--max-time" in caught.value.hint


def test_time_in_which_a_person_is_asked_does_not_count(gate: Gate, clock: Clock) -> None:
    minute = gate(Limits(wall_s=60.0))
    with minute.paused():
        clock.now += 10_000.0
    clock.now += 59.0
    minute.before_node("a")
    assert minute.active_s() == pytest.approx(59.0, abs=0.5)


def test_call_that_was_counted_before_a_kill_is_let_through(gate: Gate, store: RunStore, row: RunRow) -> None:
    store.append_event(row.id, "code#1", ModelCalled("code#1.0", "m", 1.0, 1, 1))
    one = gate(Limits(model_calls=1, tokens=1))
    one.before_model_call("code#1", "code#1.0")
    with pytest.raises(LimitReached):
        one.before_model_call("code#1", "code#1.1")
    run_node(store, row, "code#1")
    with pytest.raises(LimitReached):
        one.before_model_call("code#1", "code#1.0")


def test_usage_is_that_of_the_table(gate: Gate, store: RunStore, row: RunRow) -> None:
    limits = gate(Limits())
    call(store, row, 5, 6)
    assert limits.usage() == store.usage(row.id)
    call(store, row, 5, 6)
    assert limits.usage() == store.usage(row.id)
