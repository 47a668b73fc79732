"""An `each` whose items run at once: `parallel` above 1."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from flowloom.core.errors import RunFailed
from flowloom.nodes.call import NodeCall, NodeResult
from flowloom.nodes.deps import NodeDeps

HEAD = (
    "flow: 1\nname: g\ninput: {items: {type: any}, word: {type: any}}\n"
    "state: {out: {type: list, reduce: append}, way: {type: any}}\noutput: {out: state.out, way: state.way}\nnodes:\n"
)
ENDS = "  on: {type: set, value: {way: on}}\n  err: {type: set, value: {way: error}}\n"
EDGES = "edges: [[START, a, on, END], [err, END]]\n"


def items(line: str, more: str = "", parallel: int = 3) -> str:
    """Return a graph that runs a shell line per item, which is its $0, and prints JSON."""
    node = f"run: [sh, -c, {line!r}, '{{{{ item }}}}'], parse: json, each: input.items, parallel: {parallel}"
    return f"{HEAD}  a: {{type: shell, {node}, output: {{to: out}}{more}}}\n{ENDS}{EDGES}"


async def test_results_are_joined_in_the_order_of_the_items(engine: Any) -> None:
    ended = await engine.run(items("sleep 0.$((5 - $0)); echo $0"), items=[1, 2, 3, 4])
    assert ended.output == {"out": [1, 2, 3, 4], "way": "on"}
    assert sorted(engine.started) == ["a[1]#1", "a[2]#1", "a[3]#1", "a[4]#1", "on#1"]


async def test_no_more_items_run_at_once_than_allowed(engine: Any) -> None:
    running, most = set[str](), list[int]()

    async def stub(call: NodeCall, deps: NodeDeps) -> NodeResult:
        running.add(call.label)
        for _ in range(20):
            await asyncio.sleep(0)
        most.append(len(running))
        running.remove(call.label)
        return NodeResult(call.item)

    engine.stubs = {"shell": stub}
    ended = await engine.run(items("unused", parallel=2), items=[1, 2, 3, 4, 5])
    assert max(most) == 2
    assert ended.output["out"] == [1, 2, 3, 4, 5]


async def test_edges_fire_once_after_the_last_item(engine: Any) -> None:
    await engine.run(items("echo $0"), items=[1, 2, 3])
    assert engine.started.count("on#1") == 1


async def test_empty_list_passes_straight_through(engine: Any) -> None:
    ended = await engine.run(items("echo $0"), items=[])
    assert (ended.output, engine.started) == ({"out": [], "way": "on"}, ["on#1"])


async def test_edge_sees_what_all_items_wrote(engine: Any) -> None:
    text = items("echo $0").replace(
        "edges: [[START, a, on, END]",
        "edges: [[START, a], {from: a, when: output == 3 and state.out | length == 3, to: on, else: err}, [on, END]",
    )
    assert (await engine.run(text, items=[1, 2, 3])).output["way"] == "on"


async def test_item_sees_the_state_and_the_inputs_that_its_texts_name(engine: Any) -> None:
    text = (
        f"{HEAD}  s: {{type: set, value: {{way: には}}}}\n"
        "  a: {type: set, each: input.items, as: x, parallel: 2,"
        " value: {out: '{{ input.word }}{{ state.way }}{{ x.v }}'}}\n"
        "edges: [[START, s, a, END]]\n"
    )
    ended = await engine.run(text, items=[{"id": "p", "v": 1}, {"id": "q", "v": 2}], word="w")
    assert ended.output["out"] == ["wには1", "wには2"]


async def test_item_is_not_stored_with_what_its_texts_do_not_name(engine: Any) -> None:
    node = "{type: set, each: input.items, parallel: 2, value: {out: '{{ item }}'}}"
    await engine.run(
        f"{HEAD}  a: {node}\nedges: [[START, a, END]]\n", items=list(range(20)), word=(word := "x" * 10_000)
    )
    for saved in engine.saver.list(None):
        assert json.dumps(saved.checkpoint["channel_values"], default=repr).count(word) <= 1


async def test_failing_item_lets_those_under_way_finish_and_no_other_begin(engine: Any) -> None:
    line = "if [ $0 = 1 ]; then exit 1; fi; sleep 0.3; echo $0 >> log; echo $0"
    with pytest.raises(RunFailed, match=r"a\[1\]: the command failed"):
        await engine.run(items(line, parallel=2), items=[1, 2, 3, 4])
    assert engine.log == ["2"]


async def test_failing_item_waits_for_all_that_are_under_way_however_many_others_wait_to_begin(engine: Any) -> None:
    begun, ended = list[int](), list[int]()

    async def stub(call: NodeCall, deps: NodeDeps) -> NodeResult:
        begun.append(call.item)
        while len(begun) < 3:
            await asyncio.sleep(0)
        if call.item == 1:
            raise RunFailed("broken")
        for _ in range(100 * call.item):
            await asyncio.sleep(0)
        ended.append(call.item)
        return NodeResult(call.item)

    engine.stubs = {"shell": stub}
    with pytest.raises(RunFailed, match="broken"):
        await engine.run(items("unused"), items=[1, 2, 3, 4, 5])
    assert (begun, ended) == ([1, 2, 3], [2, 3])


async def test_items_that_ended_are_not_repeated_after_a_fault(engine: Any) -> None:
    line = "echo $0 >> log; if [ $0 = 2 ]; then cat ready; else echo $0; fi"
    with pytest.raises(RunFailed):
        await engine.run(items(line), items=[1, 2, 3])
    (engine.folder / "ready").write_text("2")
    ended = await engine.go_on()
    assert ended.output["out"] == [1, 2, 3]
    assert sorted(engine.log) == ["1", "2", "2", "3"]


async def test_failing_item_goes_to_the_on_error_node_once_all_have_run(engine: Any) -> None:
    line = "echo $0 >> log; if [ $0 != 3 ]; then exit 1; fi; echo $0"
    ended = await engine.run(items(line, ", on_error: err"), items=[1, 2, 3, 4])
    assert ended.output == {"out": [3], "way": "error"}
    assert sorted(engine.log) == ["1", "2", "3", "4"]
    assert engine.started.count("err#1") == 1


async def test_failed_items_are_tried_again_without_the_others(engine: Any) -> None:
    line = "echo $0 >> log; if [ $0 = 2 ] && [ $(grep -c 2 log) -lt 3 ]; then exit 1; fi; echo $0"
    ended = await engine.run(items(line, ", retry: {max_attempts: 3, backoff: 1ms}"), items=[1, 2, 3])
    assert ended.output["out"] == [1, 2, 3]
    assert sorted(engine.log) == ["1", "2", "2", "2", "3"]
    assert [label for label in engine.started if label.startswith("a[2]")] == ["a[2]#1", "a[2]#2", "a[2]#3"]


FAILS_FIRST = "touch log; if [ $0 -le 2 ] && ! grep -q $0 log; then printf $0 >> log; exit 1; fi; echo $0"
TRIED_TWICE = ", retry: {max_attempts: 2, backoff: 1ms}"


@pytest.mark.parametrize(
    ("key", "results", "out"),
    [
        ("{type: list, reduce: append}", "1 2 3", [1, 2, 3]),
        ("{type: list, reduce: union, key: id}", '{"id":1} {"id":2} {"id":3}', [{"id": 1}, {"id": 2}, {"id": 3}]),
        ("{type: number, reduce: sum}", "1 2 3", 6),
    ],
)
async def test_results_of_items_tried_again_stand_in_the_order_of_the_items(
    engine: Any, key: str, results: str, out: object
) -> None:
    for name, result in zip("123", results.split(), strict=True):
        (engine.folder / name).write_text(result)
    text = items(FAILS_FIRST.replace("echo $0", "cat $0"), TRIED_TWICE)
    ended = await engine.run(text.replace("{type: list, reduce: append}", key), items=[1, 2, 3])
    assert ended.output["out"] == out


async def test_edge_sees_the_last_item_also_where_an_earlier_one_was_tried_again(engine: Any) -> None:
    text = items(FAILS_FIRST, TRIED_TWICE).replace(
        "edges: [[START, a, on, END]",
        "edges: [[START, a], {from: a, when: output == 4 and state.out | length == 4, to: on, else: err}, [on, END]",
    )
    assert (await engine.run(text, items=[1, 2, 3, 4])).output["way"] == "on"


async def test_results_stand_in_the_order_of_the_items_after_a_fault_between_the_tries(engine: Any) -> None:
    line = "echo $0 >> log; if [ $0 = 2 ]; then cat ready; else echo $0; fi"
    with pytest.raises(RunFailed):
        await engine.run(items(line, TRIED_TWICE), items=[1, 2, 3])
    (engine.folder / "ready").write_text("2")
    ended = await engine.go_on()
    assert ended.output["out"] == [1, 2, 3]
    assert sorted(engine.log) == ["1", "2", "2", "2", "3"]


async def test_results_stand_in_the_order_of_the_items_in_every_visit(engine: Any) -> None:
    text = items(FAILS_FIRST, f"{TRIED_TWICE}, max_visits: 3, on_limit: err").replace(
        "edges: [[START, a, on, END]",
        "edges: [[START, a, on], {from: on, when: state.out | length < 6, to: a, else: END}",
    )
    ended = await engine.run(
        text.replace("type: set, value: {way: on}", "type: shell, run: [rm, log]"), items=[1, 2, 3]
    )
    assert ended.output["out"] == [1, 2, 3, 1, 2, 3]


async def test_error_that_is_seen_is_that_of_the_last_item_that_failed_whatever_was_tried_again(engine: Any) -> None:
    line = "echo $0 >> log; if [ $0 != 2 ]; then exit 1; fi; echo $0"
    more = ", on_error: err, retry: {max_attempts: 2, backoff: 1ms}"
    text = items(line, more).replace("{way: error}", "{way: '{{ error.item }}'}")
    assert (await engine.run(text, items=[1, 2, 3, 2])).output == {"out": [2, 2], "way": "3"}


async def test_nothing_is_kept_of_items_that_have_ended(engine: Any) -> None:
    ended = await engine.run(items(FAILS_FIRST, TRIED_TWICE), items=[1, 2, 3])
    assert ended.state["cursor"] == {}


async def test_items_tried_again_do_not_count_against_the_nodes_limit(engine: Any) -> None:
    line = "echo $0 >> log; if [ $(grep -c $0 log) -lt 2 ]; then exit 1; fi; echo $0"
    more = ", retry: {max_attempts: 2, backoff: 1ms}, max_visits: 1, on_limit: err"
    ended = await engine.run(items(line, more), items=[1, 2])
    assert ended.output == {"out": [1, 2], "way": "on"}


ASKING = """\
  a: {type: graph, graph: inner, each: input.items, parallel: 2, with: {w: '{{ item }}'}, output: {to: out}}
edges: [[START, a, END]]
---
flow: 1
name: inner
input: {w: {type: any}}
state: {said: {type: object}}
output: state.said.choice
nodes:
  h: {type: human, show: '{{ input.w }}?', choices: [yes, no], output: {to: said}}
edges: [[START, h, END]]
"""


async def test_items_may_be_subgraphs_with_questions_of_their_own(engine: Any) -> None:
    assert await engine.run(HEAD + ASKING, items=["p", "q", "r"]) is None
    by_text = {question.text: name for name, question in engine.questions.items()}
    assert sorted(by_text) == ["p?", "q?", "r?"]
    assert await engine.answer_one(by_text["q?"], "no") is None
    assert sorted(question.text for question in engine.questions.values()) == ["p?", "r?"]
    assert await engine.answer_one(by_text["r?"], "yes") is None
    ended = await engine.answer_one(by_text["p?"], "yes")
    assert ended.output["out"] == ["yes", "no", "yes"]


async def test_node_visited_again_has_items_with_new_labels(engine: Any) -> None:
    text = items("echo $0").replace(
        "edges: [[START, a, on, END]",
        "edges: [[START, a, on], {from: on, when: state.out | length < 4, to: a, else: END}",
    )
    text = text.replace("output: {to: out}}", "output: {to: out}, max_visits: 3, on_limit: err}")
    ended = await engine.run(text, items=[1, 2])
    assert ended.output["out"] == [1, 2, 1, 2]
    assert sorted(label for label in engine.started if label[0] == "a") == ["a[1]#1", "a[1]#2", "a[2]#1", "a[2]#2"]


async def test_skipped_node_runs_no_item(engine: Any) -> None:
    ended = await engine.run(items("echo $0 >> log", ", if: 'false'"), items=[1])
    assert (ended.output["way"], engine.log) == ("on", [])
