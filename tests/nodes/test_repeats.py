from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.errors import RunFailed
from flowloom.core.messages import Message, ToolCall
from flowloom.llm.answers import Reply
from flowloom.nodes.repeats import times_in_a_row

AGENT = "type: agent, prompt: Look, tools: [read_file, grep, bash]"
HINT = "the very call you made just before"


def said(*calls: ToolCall) -> dict[str, Any]:
    return Message("assistant", "", calls).to_dict()


def call(turn: int, name: str, place: int = 0, **args: Any) -> ToolCall:
    return ToolCall(f"t{turn}.{place}", name, args)


def test_calls_count_in_a_row_only() -> None:
    talk = [said(call(0, "a", x=1)), said(call(1, "b")), said(call(2, "a", x=1), call(2, "a", 1, x=2))]
    assert times_in_a_row(talk, call(0, "a", x=1)) == 1
    assert times_in_a_row(talk, call(3, "a", x=2)) == 2
    assert times_in_a_row(talk, call(3, "a", x=1)) == 1


def test_order_of_arguments_makes_no_difference() -> None:
    talk = [said(call(0, "a", x=1, y=2)), said(call(1, "a", y=2, x=1))]
    assert times_in_a_row(talk, call(1, "a", y=2, x=1)) == 2


async def test_second_equal_call_runs_with_a_hint_in_its_result(bench: Any, script: Any) -> None:
    again = script.call("read_file", path="a.py")
    run = bench(again, again, script.call("read_file", path="b.py"), Reply("done"))
    assert await run.node(AGENT) == "done"
    first, second, third = run.results()
    assert HINT not in first
    assert second.startswith(first) and HINT in second
    assert HINT not in third


async def test_third_equal_call_in_a_row_does_not_run_and_fails_the_node(bench: Any, script: Any) -> None:
    again = script.call("bash", command="echo 1 >> log")
    run = bench(again, again, again, Reply("too late"))
    with pytest.raises(RunFailed, match="made the same call 3 times in a row") as failed:
        await run.node(AGENT)
    assert "bash echo 1 >> log" in failed.value.message
    assert "flow resume" in failed.value.hint
    assert run.read("log") == "1\n1\n"


async def test_on_error_takes_over_from_a_loop(bench: Any, script: Any) -> None:
    again = script.call("read_file", path="a.py")
    run = bench(again, again, again)
    out = await run.run(
        "flow: 1\nname: g\nstate: {out: {type: any}}\noutput: state.out\nnodes:\n"
        f"  a: {{{AGENT}, on_error: b, output: {{to: out}}}}\n"
        "  b: {type: set, value: {out: stopped}}\nedges: [[START, a], [a, END], [b, END]]\n"
    )
    assert out == "stopped"


async def test_run_that_failed_in_a_loop_asks_again_when_it_goes_on(bench: Any, script: Any) -> None:
    again = script.call("read_file", path="a.py")
    run = bench(again, again, again, Reply("found"))
    with pytest.raises(RunFailed):
        await run.node(AGENT)
    run.process()
    assert await run.go_on() == "found"


async def test_same_call_after_another_one_is_no_loop(bench: Any, script: Any) -> None:
    check = script.call("bash", command="cat a.py")
    other = script.call("grep", pattern="x")
    run = bench(check, other, check, other, check, Reply("done"))
    assert await run.node(AGENT) == "done"
    assert not any(HINT in text for text in run.results())


async def test_call_repeated_inside_one_reply_runs_once(bench: Any, script: Any) -> None:
    call = script.Call("bash", {"command": "echo 1 >> log"})
    run = bench(Reply(calls=[call, call, call]), Reply("done"))
    assert await run.node(AGENT) == "done"
    assert run.read("log") == "1\n"
