from __future__ import annotations

import json
from typing import Any

import pytest

from flowloom.core.errors import LimitReached
from flowloom.graphs.spec import Limits
from flowloom.llm.answers import Fault, Reply
from flowloom.nodes.deps import AgentLimits

CODER = "type: coder, prompt: 直す"


def wants_summary(request: Any) -> bool:
    return "The conversation is getting too long" in request.messages[-1]["content"]


def spawn(script: Any, task: str = "who uses x", **args: Any) -> Any:
    return script.call("spawn_agent", task=task, **args)


async def test_only_the_report_returns_to_the_parent(bench: Any, script: Any) -> None:
    run = bench(spawn(script), script.call("grep", pattern="HIDDEN|x ="), Reply("a.py:1 uses x"), Reply("done"))
    await run.node(CODER)
    assert run.results() == ["a.py:1 uses x"]
    assert "HIDDEN" not in json.dumps(run.server.requests[-1].body)


async def test_sub_agent_starts_with_a_context_of_its_own(bench: Any, script: Any) -> None:
    run = bench(spawn(script), Reply("report"), Reply("done"))
    await run.node(CODER)
    child = run.server.requests[1]
    assert [message["role"] for message in child.messages] == ["system", "user"]
    assert "who uses x" in child.messages[1]["content"] and "直す" not in child.messages[1]["content"]
    assert child.messages[0] == run.conversation(0)[0]


async def test_sub_agent_gets_reading_tools_only(bench: Any, script: Any) -> None:
    run = bench(spawn(script), Reply("report"), Reply("done"))
    await run.node(CODER)
    tools = [tool["function"]["name"] for tool in run.server.requests[1].body["tools"]]
    assert tools == ["read_file", "grep", "glob"]


async def test_sub_agent_that_asks_for_a_writing_tool_is_refused(bench: Any, script: Any) -> None:
    run = bench(spawn(script, tools=["bash"]), Reply("done"))
    await run.node(CODER)
    assert "can not have bash" in run.results()[0]
    assert len(run.server.requests) == 2


async def test_sub_agent_may_be_given_fewer_tools(bench: Any, script: Any) -> None:
    run = bench(spawn(script, tools=["grep"]), Reply("report"), Reply("done"))
    await run.node(CODER)
    assert [tool["function"]["name"] for tool in run.server.requests[1].body["tools"]] == ["grep"]


async def test_depth_of_sub_agents_is_limited(bench: Any, script: Any) -> None:
    run = bench(spawn(script), Reply("done"), limits=AgentLimits(spawn_depth=0))
    await run.node(CODER)
    assert "cannot start another one" in run.results()[0]
    assert len(run.server.requests) == 2


async def test_items_of_a_node_called_agent_do_not_count_as_depth(bench: Any, script: Any) -> None:
    run = bench(spawn(script), Reply("report"), Reply("done"))
    await run.run(
        "flow: 1\nname: g\ninput: {items: {type: list}}\nstate: {out: {type: list, reduce: append}}\n"
        "nodes: {s: {type: graph, graph: inner, with: {items: '{{ input.items }}'}}}\nedges: [[START, s, END]]\n"
        "---\nflow: 1\nname: inner\ninput: {items: {type: list}}\nstate: {out: {type: list, reduce: append}}\n"
        "nodes: {agent: {type: coder, each: input.items, prompt: p, output: {to: out}}}\n"
        "edges: [[START, agent, END]]\n",
        items=["one"],
    )
    assert run.results() == ["report"]


async def test_number_of_sub_agents_is_limited(bench: Any, script: Any) -> None:
    two = Reply(calls=[script.Call("spawn_agent", {"task": "one"}), script.Call("spawn_agent", {"task": "two"})])
    run = bench(two, Reply("first report"), Reply("done"), limits=AgentLimits(spawn_count=1))
    await run.node(CODER)
    assert run.results()[0] == "first report"
    assert "already started 1 sub-agents" in run.results()[1]


async def test_sub_agents_of_an_earlier_visit_do_not_count(bench: Any, script: Any) -> None:
    run = bench(
        spawn(script),
        Reply("report 1"),
        Reply("first"),
        spawn(script),
        Reply("report 2"),
        Reply("second"),
        limits=AgentLimits(spawn_count=1),
    )
    await run.run(
        "flow: 1\nname: g\nstate: {n: {type: number, reduce: sum}}\nnodes:\n"
        "  a: {type: coder, history: continue, prompt: p, max_visits: 2, on_limit: end}\n"
        "  n: {type: set, value: {n: 1}}\n  end: {type: set, value: {}}\n"
        "edges: [[START, a, n, a], [end, END]]\n"
    )
    assert run.results() == ["report 1", "report 2"]


async def test_sub_agent_that_fails_is_told_to_its_parent(bench: Any, script: Any) -> None:
    run = bench(spawn(script), *[Fault("bad-arguments")] * 3, Reply("done without it"))
    assert (await run.node(CODER))["summary"] == "done without it"
    assert "The sub-agent came to nothing" in run.results()[0]
    assert run.kinds("node_fail") == ["node_fail a#1/agent:t0.0#1"]


async def test_sub_agent_out_of_model_calls_is_told_to_its_parent(bench: Any, script: Any) -> None:
    looks = [script.call("glob", pattern="*")] * 2
    run = bench(spawn(script), *looks, Reply("done"), limits=AgentLimits(model_calls=2))
    await run.node(CODER)
    assert "used all of its 2 model calls" in run.results()[0]


async def test_budget_of_the_run_ends_a_sub_agent_as_any_node(bench: Any, script: Any) -> None:
    run = bench(spawn(script), Reply("report"), Reply("done"))
    run.run_limits = Limits(model_calls=1)
    with pytest.raises(LimitReached, match="model calls"):
        await run.node(CODER)


async def test_sub_agent_goes_on_from_its_own_last_step_after_a_fault(bench: Any, script: Any) -> None:
    run = bench(
        spawn(script),
        script.call("grep", pattern="x"),
        Fault("http", status=400, text="broken"),
        Reply("report"),
        Reply("done"),
    )
    with pytest.raises(Exception, match="broken"):
        await run.node(CODER)
    run.process()
    assert (await run.go_on())["summary"] == "done"
    assert len(run.server.requests) == 5
    assert run.results(3)[0].startswith("a.py:1")


async def test_events_name_the_sub_agent_below_its_call(bench: Any, script: Any) -> None:
    run = bench(spawn(script), Reply("report"), Reply("done"))
    await run.node(CODER)
    nodes = run.kinds("node_start", "node_end")
    assert nodes == [
        "node_start a#1",
        "node_start a#1/agent:t0.0#1",
        "node_end a#1/agent:t0.0#1",
        "node_end a#1",
    ]


async def test_long_report_is_cut_and_the_parent_is_told_how_to_read_it_all(bench: Any, script: Any) -> None:
    report = "".join(f"a.py:{number} uses x\n" for number in range(600))
    run = bench(spawn(script), Reply(report), Reply("done"))
    await run.node(CODER)
    (shown,) = run.results()
    assert shown.startswith("a.py:0 uses x\n") and "a.py:599 uses x" in shown
    assert len(shown) < 5_000 and "bytes left out here; all of it: read_file, path 'output:" in shown


async def test_sub_agent_makes_its_own_conversation_smaller(bench: Any, script: Any) -> None:
    looks = [script.call("read_file", path=f"m{number}.py") for number in range(9)]
    turns = iter([spawn(script), *looks, Reply("report"), Reply("done")])
    run = bench(serve=lambda request: Reply("found: little") if wants_summary(request) else next(turns))
    for number in range(9):
        run.write(f"m{number}.py", f"value_{number} = 'a line of some length to fill the window'\n" * 60)
    await run.node(CODER)
    assert set(run.kinds("compacted")) == {"compacted a#1/agent:t0.0#1"}
    assert run.results() == ["report"]
    assert "value_3" not in json.dumps(run.conversation())
