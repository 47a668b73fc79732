"""`retry`, `timeout`, `on_error: pause` and `limits` of nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowloom.core.errors import (
    LimitReached,
    ModelUnavailable,
    NodePaused,
    ReplyInvalid,
    RunFailed,
    TookTooLong,
    WallTimeReached,
)
from flowloom.graphs.spec import Retry
from flowloom.graphs.visit_bounds import MAX_PAUSE_S, is_tried_again, pause_before
from flowloom.nodes.call import NodeCall, NodeResult
from flowloom.nodes.deps import NodeDeps

HEAD = """\
flow: 1
name: g
state: {out: {type: any}, way: {type: any}}
output: {out: state.out, way: state.way}
nodes:
"""
TAIL = """\
  on: {type: set, value: {way: on}}
  err: {type: set, value: {way: error}}
edges: [[START, a, on, END], [err, END]]
"""
FLAKY = "echo x >> log; [ $(grep -c x log) -ge 3 ] && echo 3"
INNER = """\
---
flow: 1
name: inner
MORE
nodes: {x: {type: set, value: {}}, y: {type: set, value: {}}}
edges: [[START, x, y, END]]
"""


def graph(more: str = "", line: str = FLAKY) -> str:
    return f"{HEAD}  a: {{type: shell, run: [sh, -c, {line!r}], parse: json, output: {{to: out}}{more}}}\n{TAIL}"


def below(more: str, of_graph: str = "description: x") -> str:
    return f"{HEAD}  a: {{type: graph, graph: inner{more}}}\n{TAIL}{INNER.replace('MORE', of_graph)}"


class Slow:
    """A node type that takes for ever, unless it is let go."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ended: list[str] = []
        self.is_slow = True

    async def __call__(self, call: NodeCall, deps: NodeDeps) -> NodeResult:
        self.calls.append(call.label)
        try:
            if self.is_slow:
                await asyncio.sleep(60)
        finally:
            self.ended.append(call.label)
        return NodeResult({"text": "", "files": []})


async def test_failed_visit_is_tried_again_until_it_works(engine: Any) -> None:
    ended = await engine.run(graph(", retry: {max_attempts: 3, backoff: 1ms}"))
    assert ended.output == {"out": 3, "way": "on"}
    assert [label for label in engine.started if label[0] == "a"] == ["a#1", "a#2", "a#3"]
    assert [event.type for event in engine.events if event.node == "a#1"][-1] == "node_fail"


async def test_visit_fails_when_its_tries_are_used_up(engine: Any) -> None:
    with pytest.raises(RunFailed, match="a: the command failed"):
        await engine.run(graph(", retry: {max_attempts: 2, backoff: 1ms}"))
    assert engine.log == ["x", "x"]


async def test_used_up_tries_lead_to_on_error(engine: Any) -> None:
    ended = await engine.run(graph(", retry: {max_attempts: 2, backoff: 1ms}, on_error: err"))
    assert ended.output["way"] == "error"


async def test_tries_do_not_count_against_the_nodes_visits(engine: Any) -> None:
    more = ", retry: {max_attempts: 3, backoff: 1ms}, max_visits: 1, on_limit: err"
    assert (await engine.run(graph(more))).output["way"] == "on"


async def test_try_that_a_stop_interrupts_goes_on_where_it_was(engine: Any) -> None:
    with pytest.raises(RunFailed):
        await engine.run(graph(", retry: {max_attempts: 2, backoff: 1ms}"))
    ended = await engine.go_on()
    assert ended.output["out"] == 3


async def test_only_the_kinds_that_are_named_are_tried_again(engine: Any) -> None:
    with pytest.raises(RunFailed):
        await engine.run(graph(", retry: {max_attempts: 3, backoff: 1ms, retry_on: [timeout, server]}"))
    assert engine.log == ["x"]


@pytest.mark.parametrize(
    ("err", "on", "again"),
    [
        (RunFailed("f"), ("failure",), True),
        (RunFailed("f"), ("timeout", "reply", "server"), False),
        (TookTooLong("t"), ("timeout",), True),
        (TookTooLong("t"), ("failure",), False),
        (ReplyInvalid("r"), ("reply",), True),
        (ModelUnavailable("m"), ("server",), True),
        (ModelUnavailable("m"), ("failure", "reply"), False),
        (LimitReached("l"), ("failure", "timeout", "reply", "server"), False),
    ],
)
def test_what_is_tried_again_follows_the_kind_of_failure(err: Any, on: tuple[str, ...], again: bool) -> None:
    assert is_tried_again(Retry(2, on=on), 1, err) is again
    assert not is_tried_again(Retry(2, on=on), 2, err)


@pytest.mark.parametrize(
    ("on", "again"), [(("ConnectionError",), True), (("OSError",), True), (("KeyError",), False)]
)
def test_exception_that_a_function_raised_is_known_by_its_name_or_a_base(on: tuple[str, ...], again: bool) -> None:
    err = RunFailed("a: it raised")
    err.__cause__ = ConnectionResetError()
    assert is_tried_again(Retry(2, on=on), 1, err) is again


def test_reply_that_could_not_be_used_is_known_by_its_cause() -> None:
    err = RunFailed("3 replies in a row could not be used")
    err.__cause__ = ReplyInvalid("no JSON")
    assert is_tried_again(Retry(2, on=("reply",)), 1, err)


def test_pauses_double_up_to_a_bound() -> None:
    pauses = [pause_before(Retry(99, 2.0), attempt) for attempt in (1, 2, 3, 4, 50)]
    assert pauses == [0.0, 2.0, 4.0, 8.0, MAX_PAUSE_S]


async def test_visit_over_its_timeout_fails_and_its_work_is_ended(engine: Any) -> None:
    engine.stubs = {"tool": (slow := Slow())}
    with pytest.raises(TookTooLong, match=r"a#1 took longer than its timeout of 0\.05 s"):
        await engine.run(f"{HEAD}  a: {{type: tool, call: glob, timeout: 50ms}}\n{TAIL}")
    assert slow.ended == ["a#1"]


async def test_visit_over_its_timeout_can_be_tried_again_or_lead_on(engine: Any) -> None:
    engine.stubs = {"tool": (slow := Slow())}
    more = "timeout: 50ms, retry: {max_attempts: 2, backoff: 1ms, retry_on: [timeout]}, on_error: err"
    ended = await engine.run(f"{HEAD}  a: {{type: tool, call: glob, {more}}}\n{TAIL}")
    assert (ended.output["way"], slow.calls) == ("error", ["a#1", "a#2"])


async def test_timeout_of_a_graph_ends_what_runs_in_it(engine: Any) -> None:
    text = below(", timeout: 500ms").replace("x: {type: set, value: {}}", "x: {type: shell, run: [sleep, '60']}")
    with pytest.raises(TookTooLong, match="a#1 took longer"):
        await engine.run(text)
    assert [event.node for event in engine.events if event.type == "node_end"] == []


async def test_failed_node_pauses_the_run_and_is_tried_again_by_a_resume(engine: Any) -> None:
    text = graph(", on_error: pause", line="echo x >> log; cat ready")
    with pytest.raises(NodePaused, match="a#1 failed, and the run waits: a: the command failed") as paused:
        await engine.run(text)
    assert paused.value.exit_code == 4
    assert "`flow resume` tries it again" in paused.value.hint
    (engine.folder / "ready").write_text("1")
    assert (await engine.go_on()).output == {"out": 1, "way": "on"}


async def test_pause_inside_a_graph_goes_on_inside_it(engine: Any) -> None:
    inner = (
        "---\nflow: 1\nname: inner\nnodes:\n  x: {type: shell, run: [sh, -c, echo x >> log]}\n"
        "  y: {type: shell, run: [sh, -c, cat ready], parse: json, on_error: pause}\nedges: [[START, x, y, END]]\n"
    )
    text = f"{HEAD}  a: {{type: graph, graph: inner, on_error: err}}\n{TAIL}{inner}"
    with pytest.raises(NodePaused):
        await engine.run(text)
    assert "node_fail" not in [event.type for event in engine.events if event.node == "a#1"]
    (engine.folder / "ready").write_text("1")
    assert (await engine.go_on()).output["way"] == "on"
    assert engine.log == ["x"]


async def test_graphs_own_limits_hold_when_another_graph_runs_it(engine: Any) -> None:
    with pytest.raises(
        LimitReached, match=r"'a#1' has used 1 of at most 1 node runs; stopped before 'a/y#1'"
    ) as caught:
        await engine.run(below("", "limits: {node_runs: 1}"))
    assert "--force-graph" in caught.value.hint


async def test_limits_of_a_graph_are_counted_once_an_invocation(engine: Any) -> None:
    text = below(", each: '[1, 2]'", "limits: {node_runs: 2}")
    assert (await engine.run(text)).output["way"] == "on"


async def test_limit_of_a_node_never_goes_to_on_error(engine: Any) -> None:
    with pytest.raises(LimitReached):
        await engine.run(below(", on_error: err", "limits: {node_runs: 1}"))


async def test_time_of_a_node_is_limited_and_resumed_only_with_more(engine: Any) -> None:
    engine.stubs = {"tool": (slow := Slow())}
    text = f"{HEAD}  a: {{type: tool, call: glob, limits: {{wall: 50ms}}}}\n{TAIL}"
    with pytest.raises(WallTimeReached, match="'a#1' has worked") as caught:
        await engine.run(text)
    assert caught.value.exit_code == 124
    slow.is_slow = False
    engine.change("wall: 50ms", "wall: 60s")
    assert (await engine.go_on()).output["way"] == "on"


async def test_time_of_a_graph_is_looked_at_between_its_nodes(engine: Any) -> None:
    inner = INNER.replace("x: {type: set, value: {}}", "x: {type: shell, run: [sleep, '0.3']}").replace(
        "MORE", "description: x"
    )
    text = f"{HEAD}  a: {{type: graph, graph: inner, limits: {{wall: 200ms}}}}\n{TAIL}{inner}"
    with pytest.raises(WallTimeReached, match=r"'a#1' has worked .* stopped before 'a/y#1'"):
        await engine.run(text)
