from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from flowloom.core.errors import LimitReached, WallTimeReached
from flowloom.core.events import ModelCalled, NodeEnded, NodeStarted, ToolStarted
from flowloom.core.prices import Price, Prices
from flowloom.core.run_ports import PlannedCall
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


PLANNED = PlannedCall("m", 100, 2000)


async def cap(gate: RunLimits, planned: PlannedCall = PLANNED, *, visit: str = "code#1", key: str = "") -> int:
    """Return the output cap of a call that is made and ends at once."""
    async with gate.model_call(visit, planned, key) as granted:
        return granted


def call(
    store: RunStore, row: RunRow, prompt: int, completion: int | None, *, node: str = "code", estimated: int = 0
) -> None:
    called = ModelCalled(f"{node}.0", "m", 1.0, prompt, completion, estimated_tokens=estimated)
    store.append_event(row.id, node, called)


def run_node(store: RunStore, row: RunRow, label: str) -> None:
    store.append_event(row.id, label, NodeStarted("set", 1))
    store.append_event(row.id, label, NodeEnded(1, 0.1))


async def test_run_without_limits_goes_on(gate: Gate, store: RunStore, row: RunRow) -> None:
    unlimited = gate(Limits())
    for _ in range(50):
        run_node(store, row, "a#1")
        call(store, row, 10**9, 10**9)
        unlimited.before_node("a")
        assert await cap(unlimited) == 2000


def test_node_over_the_limit_is_not_started(gate: Gate, store: RunStore, row: RunRow) -> None:
    two = gate(Limits(node_runs=2))
    for _ in range(2):
        two.before_node("a")
        run_node(store, row, "a#1")
    with pytest.raises(LimitReached, match=r"2 of at most 2 node runs; stopped before 'b'") as caught:
        two.before_node("b")
    assert caught.value.exit_code == 3
    assert f"flow resume {row.id} --max-node-runs N" in caught.value.hint


async def test_model_call_over_the_limit_is_not_made(gate: Gate, store: RunStore, row: RunRow) -> None:
    one = gate(Limits(model_calls=1))
    await cap(one)
    call(store, row, 1, 1)
    with pytest.raises(LimitReached, match="1 of at most 1 model calls"):
        await cap(one)
    one.before_node("check")


async def test_tokens_of_prompt_and_reply_reported_or_estimated_count(
    gate: Gate, store: RunStore, row: RunRow
) -> None:
    budget = gate(Limits(tokens=5000))
    call(store, row, 1000, 400)
    call(store, row, 99, None, estimated=1)
    assert await cap(budget) == 2000
    call(store, row, 2300, 100)
    with pytest.raises(LimitReached) as caught:
        await cap(budget)
    assert caught.value.message == (
        "The run has used 3,900 of at most 5,000 tokens; the next request of 'code#1' needs about 100 tokens and at "
        "least 1,024 for its answer, so it was not sent."
    )
    assert caught.value.exit_code == 3
    assert f"flow resume {row.id} --max-tokens N" in caught.value.hint


@pytest.mark.parametrize(("left", "granted"), [(5000, 2000), (1500, 1400), (1124, 1024), (1123, None)])
async def test_output_cap_is_lowered_to_what_is_left_but_not_below_a_useful_answer(
    gate: Gate, store: RunStore, row: RunRow, left: int, granted: int | None
) -> None:
    call(store, row, 700, 300)
    budget = gate(Limits(tokens=1000 + left))
    if granted is not None:
        assert await cap(budget) == granted
        return
    with pytest.raises(LimitReached, match="so it was not sent"):
        await cap(budget)


async def test_small_output_cap_needs_no_more_than_itself(gate: Gate) -> None:
    assert await cap(gate(Limits(tokens=150)), PlannedCall("m", 100, 50)) == 50


async def test_what_an_earlier_process_used_counts(gate: Gate, store: RunStore, row: RunRow) -> None:
    call(store, row, 1000, 0)
    with pytest.raises(LimitReached):
        await cap(gate(Limits(tokens=2000)))


async def test_calls_side_by_side_do_not_pass_a_limit_together(gate: Gate, store: RunStore, row: RunRow) -> None:
    budget = gate(Limits(tokens=4000))
    async with budget.model_call("a#1", PLANNED) as first:
        async with budget.model_call("b#1", PLANNED) as second:
            assert (first, second) == (2000, 1800)
            third = asyncio.ensure_future(cap(budget))
            await asyncio.sleep(0)
            assert not third.done()
            call(store, row, 100, 200)
        # What the second call left over is the third one's.
        assert await third == 1500


async def test_calls_under_way_count_as_made(gate: Gate) -> None:
    one = gate(Limits(model_calls=1))
    async with one.model_call("a#1", PLANNED):
        with pytest.raises(LimitReached, match="1 of at most 1 model calls"):
            await cap(one)
    assert await cap(one) == 2000


async def test_tokens_of_a_visit_are_bounded_with_those_of_its_sub_agents(
    gate: Gate, store: RunStore, row: RunRow
) -> None:
    budget = gate(Limits())
    budget.bound("code#1", 3000)
    call(store, row, 1000, 0, node="other#1")
    call(store, row, 1000, 0, node="code#10")
    call(store, row, 900, 100, node="code#1/agent:t0.0#1")
    assert await cap(budget, visit="code#1") == 1900
    call(store, row, 900, 100, node="code#1")
    for visit in ("code#1", "code#1/agent:t1.0#1"):
        with pytest.raises(LimitReached, match=r"'code#1' has used 2,000 of at most 3,000 tokens") as caught:
            await cap(budget, visit=visit)
    assert "Raise 'tokens' under `limits` of the node" in caught.value.hint
    assert await cap(budget, visit="code#2") == 2000


async def test_visit_counted_anew_by_a_graph_that_runs_again_starts_at_nothing(
    gate: Gate, store: RunStore, row: RunRow
) -> None:
    budget = gate(Limits())
    budget.bound("code#1", 3000)
    for _ in range(2):
        store.append_event(row.id, "code#1", NodeStarted("coder", 1))
        assert await cap(budget, visit="code#1") == 2000
        call(store, row, 2000, 500, node="code#1")
        store.append_event(row.id, "code#1", NodeEnded(1, 0.1))


def test_visit_of_a_graph_holds_what_runs_in_it(gate: Gate, store: RunStore, row: RunRow) -> None:
    limits = gate(Limits())
    store.append_event(row.id, "s#1", NodeStarted("graph", 1))
    limits.bound("s#1", node_runs=2)
    for name in ("a", "b"):
        limits.before_node(f"s/{name}#1")
        run_node(store, row, f"s/{name}#1")
    limits.before_node("s#2/a#1")
    with pytest.raises(LimitReached, match="'s#1' has used 2 of at most 2 node runs; stopped before 's/c#1'"):
        limits.before_node("s/c#1")
    limits.release("s#1")
    limits.before_node("s/c#1")


def test_visit_that_began_before_is_let_through(gate: Gate, store: RunStore, row: RunRow) -> None:
    store.append_event(row.id, "s#1", NodeStarted("graph", 1))
    store.append_event(row.id, "s/a#1", NodeStarted("set", 1))
    again = gate(Limits(node_runs=2))
    again.bound("s#1", node_runs=1)
    again.before_node("s/a#1")


async def test_model_calls_of_a_visit_are_bounded(gate: Gate, store: RunStore, row: RunRow) -> None:
    limits = gate(Limits())
    limits.bound("s#1", model_calls=2)
    call(store, row, 1, 1, node="s/code#1")
    async with limits.model_call("s/plan#1", PLANNED):
        with pytest.raises(LimitReached, match="'s#1' has used 2 of at most 2 model calls"):
            await cap(limits, visit="s/code#1")
    assert await cap(limits, visit="s/code#1") == 2000
    assert limits.calls_left("s/code#1", PLANNED) == 1


def test_tool_calls_of_a_visit_are_bounded_and_one_under_way_is_counted_once(
    gate: Gate, store: RunStore, row: RunRow
) -> None:
    limits = gate(Limits())
    limits.bound("code#1", tool_calls=2)
    for _ in range(2):
        limits.before_tool("code#1", "t0.0")
        store.append_event(row.id, "code#1", ToolStarted("t0.0", "grep", ""))
    limits.before_tool("code#1", "t0.1")
    store.append_event(row.id, "code#1/agent:t0.1#1", ToolStarted("t0.0", "grep", ""))
    with pytest.raises(LimitReached, match="'code#1' has used 2 of at most 2 tool calls"):
        limits.before_tool("code#1", "t0.2")
    limits.before_tool("code#1", "t0.0")
    limits.before_tool("code#2", "t0.0")


def test_narrower_of_two_bounds_holds(gate: Gate, store: RunStore, row: RunRow) -> None:
    limits = gate(Limits())
    limits.bound("s#1", node_runs=5, wall_s=9.0)
    limits.bound("s#1", node_runs=1)
    store.append_event(row.id, "s#1", NodeStarted("graph", 1))
    run_node(store, row, "s/a#1")
    with pytest.raises(LimitReached, match="1 of at most 1 node runs"):
        limits.before_node("s/b#1")
    assert limits.time_left("s#1") == 9.0


def test_time_of_a_visit_is_bounded_from_its_beginning(
    gate: Gate, store: RunStore, row: RunRow, clock: Clock
) -> None:
    limits = gate(Limits())
    store.append_event(row.id, "s#1", NodeStarted("graph", 1))
    limits.bound("s#1", wall_s=60.0)
    assert limits.time_left("s#1") == pytest.approx(60.0, abs=0.5)
    clock.now += 60.0
    with pytest.raises(WallTimeReached, match=r"'s#1' has worked 1 min 0 s of .*; stopped before 's/a#1'"):
        limits.before_node("s/a#1")
    limits.before_node("t#1")


@pytest.mark.parametrize(("max_cost", "granted"), [(2.0, 2000), (0.0182, 1500), (0.0131, None)])
async def test_cost_is_limited_like_tokens(
    store: RunStore, row: RunRow, max_cost: float, granted: int | None
) -> None:
    prices = Prices({"m": Price(prompt=2.0, completion=10.0)})
    store.append_event(row.id, "code#1", ModelCalled("code#1.0", "m", 1.0, 500, 200, cost=0.003))
    gate = RunLimits(store, row.id, Limits(), prices=prices, max_cost=max_cost)
    if granted is not None:
        assert await cap(gate) == granted
        return
    with pytest.raises(LimitReached, match=r"The run has cost 0.0030 of at most 0.0131; .* not sent") as caught:
        await cap(gate)
    assert "--max-cost" in caught.value.hint


async def test_model_that_costs_nothing_is_never_refused_for_its_cost(store: RunStore, row: RunRow) -> None:
    gate = RunLimits(store, row.id, Limits(), prices=Prices({"*": Price(0, 0)}), max_cost=0.01)
    assert await cap(gate) == 2000


async def test_model_without_a_price_is_not_asked_when_the_cost_is_limited(store: RunStore, row: RunRow) -> None:
    gate = RunLimits(store, row.id, Limits(), prices=Prices({"other": Price(1, 1)}), max_cost=1.0)
    with pytest.raises(LimitReached, match="the model 'm' has no price"):
        await cap(gate)


def test_calls_that_the_budgets_hold_are_counted(gate: Gate, store: RunStore, row: RunRow) -> None:
    planned = PlannedCall("m", 976, 4096)  # with the least answer 2,000 tokens
    assert gate(Limits()).calls_left("code#1", planned) is None
    assert gate(Limits(model_calls=3)).calls_left("code#1", planned) == 3
    call(store, row, 900, 100)
    assert gate(Limits(model_calls=3)).calls_left("code#1", planned) == 2
    assert gate(Limits(tokens=7_500)).calls_left("code#1", planned) == 3
    assert gate(Limits(tokens=7_500, model_calls=2)).calls_left("code#1", planned) == 1
    assert gate(Limits(tokens=900)).calls_left("code#1", planned) == 0
    visit = gate(Limits())
    visit.bound("code#1", 4_100)
    assert visit.calls_left("code#1", planned) == 2
    assert visit.calls_left("other#1", planned) is None


def test_calls_that_a_cost_holds_are_counted(store: RunStore, row: RunRow) -> None:
    prices = Prices({"m": Price(prompt=1.0, completion=2.0)})
    costly = RunLimits(store, row.id, Limits(), prices=prices, max_cost=0.01)
    assert costly.calls_left("code#1", PlannedCall("m", 2_952, 4096)) == 2  # each 2,952 + 2 * 1,024 millionths


async def test_time_is_used_up_at_the_limit(gate: Gate, clock: Clock, row: RunRow) -> None:
    hour = gate(Limits(wall_s=3600.0))
    clock.now += 3599.0
    hour.before_node("a")
    clock.now += 1.0
    with pytest.raises(WallTimeReached, match="60 min 0 s of at most 60 min 0 s") as caught:
        await cap(hour)
    assert caught.value.exit_code == 124
    assert "--max-time" in caught.value.hint


def test_time_in_which_a_person_is_asked_does_not_count(gate: Gate, clock: Clock) -> None:
    minute = gate(Limits(wall_s=60.0))
    with minute.paused():
        clock.now += 10_000.0
    clock.now += 59.0
    minute.before_node("a")
    assert minute.active_s() == pytest.approx(59.0, abs=0.5)


async def test_call_that_was_counted_before_a_kill_is_let_through(gate: Gate, store: RunStore, row: RunRow) -> None:
    store.append_event(row.id, "code#1", ModelCalled("code#1.0", "m", 1.0, 1, 1))
    one = gate(Limits(model_calls=1, tokens=1))
    assert await cap(one, key="code#1.0") == 2000
    with pytest.raises(LimitReached):
        await cap(one, key="code#1.1")
    run_node(store, row, "code#1")
    with pytest.raises(LimitReached):
        await cap(one, key="code#1.0")


async def test_call_whose_reply_broke_has_to_pass_the_limits_again(gate: Gate, store: RunStore, row: RunRow) -> None:
    broken = ModelCalled("code#1.0", "m", 1.0, None, None, estimated_tokens=700, fault="broken")
    store.append_event(row.id, "code#1", broken)
    with pytest.raises(LimitReached, match="used 700 of at most 701"):
        await cap(gate(Limits(tokens=701)), key="code#1.0")


def test_usage_is_that_of_the_table(gate: Gate, store: RunStore, row: RunRow) -> None:
    limits = gate(Limits())
    call(store, row, 5, 6)
    assert limits.usage() == store.usage(row.id)
    call(store, row, 5, 6)
    assert limits.usage() == store.usage(row.id)
