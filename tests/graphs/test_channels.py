from __future__ import annotations

from typing import Any

import pytest

from flowloom.graphs.channels import (
    add,
    append,
    applied,
    first,
    merge,
    moved,
    needed_channels,
    reducers_of,
    replaced,
    schema_of,
    state_values,
    union_by,
    written,
)
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import GraphSpec, StateKey

TEXT = """\
flow: 1
name: g
state:
  all: {type: list, reduce: append}
  some: {type: list, reduce: union, key: id}
  total: {type: number, reduce: sum}
  visits: {type: any}
nodes:
  s: {type: human, show: s, choices: [x]}
  f: {type: fail, message: f}
edges: [[START, s], {from: s, switch: output.choice, cases: {x: END}, default: f}]
"""


@pytest.fixture
def spec() -> GraphSpec:
    return read_text(TEXT, "g.yaml")["g"]


def test_append_puts_new_items_behind() -> None:
    assert append(None, [1]) == [1]
    assert append([1], [1, 2]) == [1, 1, 2]


def test_union_keeps_the_first_item_of_each_key() -> None:
    union = union_by("id")
    first, other = {"id": 1, "v": "a"}, {"id": 2, "v": "b"}
    assert union([first], [{"id": 1, "v": "c"}, other, other]) == [first, other]


def test_union_compares_whole_items_that_have_no_such_key() -> None:
    assert union_by("id")(["a"], ["a", "b", {"v": 1}]) == ["a", "b", {"v": 1}]


def test_sum_counts_from_zero() -> None:
    assert add(None, 2) == 2
    assert add(2, 0.5) == 2.5


def test_merge_lets_the_newer_value_win() -> None:
    assert merge({"a": 1, "b": 1}, {"b": 2}) == {"a": 1, "b": 2}
    assert merge(None, {"a": 1}) == {"a": 1}


def test_first_failure_stays() -> None:
    assert first({}, {"exit": 1}) == {"exit": 1}
    assert first({"exit": 1}, {"exit": 2}) == {"exit": 1}


def test_moves_are_counted_and_what_came_to_nothing_is_left_out() -> None:
    assert moved({"a": 1, "b": 1}, {"a": -1, "c": 2, "b": 0}) == {"b": 1, "c": 2}


@pytest.mark.parametrize(
    ("node", "edges", "channels"),
    [
        ("{type: set, value: {}}", "[START, a, END]", ["visits", "ended"]),
        ("{type: set, value: {}, each: '[1]'}", "[START, a, END]", ["visits", "cursor", "ended"]),
        (
            "{type: set, value: {}, retry: {max_attempts: 2}}",
            "[START, a, END]",
            ["visits", "forgiven", "cursor", "ended"],
        ),
        ("{type: agent, prompt: p, history: continue}", "[START, a, END]", ["visits", "histories", "ended"]),
        ("{type: set, value: {}, on_error: b}", "[START, a, END]", ["visits", "diverted", "ended"]),
        ("{type: set, value: {}}", "[START, [a, b], END]", ["visits", "cursor", "under_way"]),
    ],
)
def test_graph_has_the_channels_that_it_needs(node: str, edges: str, channels: list[str]) -> None:
    more = "" if ", b" in edges else ", [b, END]"
    text = f"flow: 1\nname: g\nnodes: {{a: {node}, b: {{type: set, value: {{}}}}}}\nedges: [{edges}{more}]\n"
    assert needed_channels(read_text(text, "g.yaml")["g"]) == channels


def test_reducers_leave_their_arguments_alone() -> None:
    old: list[Any] = [{"id": 1}]
    append(old, [2])
    union_by("id")(old, [{"id": 2}])
    assert old == [{"id": 1}]


@pytest.mark.parametrize(
    ("reduce", "value", "write"),
    [
        ("append", [1, 2], [[1, 2]]),
        ("append", None, [None]),
        ("union", [1, 2], [1, 2]),
        ("union", 1, [1]),
        ("sum", 3, 3),
        ("replace", [1], [1]),
    ],
)
def test_value_of_a_node_becomes_a_write_of_its_key(reduce: Any, value: Any, write: Any) -> None:
    assert written(StateKey("any", reduce=reduce, key="id"), value) == write


def test_state_key_may_be_called_like_a_channel_of_the_engine(spec: GraphSpec) -> None:
    names = schema_of(spec).__annotations__
    assert {"visits", "state_visits"} <= set(names)
    assert state_values(spec, {"visits": {"s": 1}, "state_visits": 7})["visits"] == 7


def test_unwritten_keys_are_empty(spec: GraphSpec) -> None:
    assert state_values(spec, {}) == {"all": [], "some": [], "total": 0, "visits": None}


async def test_foreseen_channels_are_those_that_langgraph_makes(spec: GraphSpec) -> None:
    from langgraph.graph import END, START, StateGraph

    start = {"input": {}, "path": "", "visits": {"s": 1}, "failed": None, "state_all": ["a"]}
    update = {
        "visits": {"t": 2},
        "forgiven": {"s": 1},
        "out": {"s": 3},
        "state_all": replaced(spec.state["all"], ["b"]),
        "state_some": [{"id": 1}, {"id": 1}],
        "state_total": 2,
        "state_visits": {"deep": 1},
        "failed": {"message": "m", "exit": 1},
    }
    graph: Any = StateGraph(schema_of(spec))
    graph.add_node("s", lambda state: update)
    graph.add_edge(START, "s")
    graph.add_edge("s", END)
    made = await graph.compile().ainvoke(start)
    foreseen = applied(reducers_of(spec), start, update)
    assert {name: made[name] for name in foreseen} == foreseen
    assert made["state_all"] == ["b"]
