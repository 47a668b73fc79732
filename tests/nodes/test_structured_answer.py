from __future__ import annotations

import json
from typing import Any

import pytest

from flowloom.core.errors import RunFailed
from flowloom.llm.answers import Fault, Reply

PLANNER = "type: planner, prompt: 計画して"
CHAT = Reply("Here is what I would do.")


def format_of(run: Any, request: int) -> Any:
    return run.server.requests[request].body.get("format")


def tools_of(run: Any, request: int) -> Any:
    return run.server.requests[request].body.get("tools")


async def test_answer_that_parses_is_taken_at_once(bench: Any, plan: Any, plan_text: str) -> None:
    run = bench(Reply(plan_text))
    assert await run.node(PLANNER) == plan
    assert len(run.server.requests) == 1
    assert format_of(run, 0) is None and tools_of(run, 0)


async def test_answer_in_a_fence_is_taken_at_once(bench: Any, plan: Any, plan_text: str) -> None:
    run = bench(Reply(f"```json\n{plan_text}\n```"))
    assert await run.node(PLANNER) == plan


async def test_planner_reads_before_it_answers(bench: Any, script: Any, plan: Any, plan_text: str) -> None:
    run = bench(script.call("read_file", path="a.py"), Reply(plan_text))
    assert await run.node(PLANNER) == plan


async def test_free_text_is_asked_for_again_with_format_and_no_tools(bench: Any, plan: Any, plan_text: str) -> None:
    run = bench(CHAT, Reply(plan_text))
    assert await run.node(PLANNER) == plan
    assert format_of(run, 1)["required"] == ["title", "steps"]
    assert not tools_of(run, 1)
    assert run.conversation()[-2]["content"] == CHAT.text
    assert '"steps"' in run.conversation()[-1]["content"]


async def test_structured_answer_gets_one_repair_that_names_the_fault(bench: Any, plan: Any, plan_text: str) -> None:
    run = bench(CHAT, Reply('{"title": "Mend", "steps": []}'), Reply(plan_text))
    assert await run.node(PLANNER) == plan
    assert "steps: List should have at least 1 item" in run.conversation()[-1]["content"]
    assert format_of(run, 2) and not tools_of(run, 2)


async def test_second_invalid_structured_answer_fails_the_run(bench: Any) -> None:
    run = bench(CHAT, Reply('{"title": "Mend"}'), Reply('{"title": "Mend"}'), Reply("never asked"))
    with pytest.raises(RunFailed, match=r"2 replies of 'scripted' in a row could not be used.*Plan"):
        await run.node(PLANNER)
    assert len(run.server.requests) == 3


async def test_structured_answer_cut_by_length_is_never_completed(bench: Any, plan: Any, plan_text: str) -> None:
    run = bench(CHAT, Reply(plan_text[:-2], done_reason="length"), Reply(plan_text))
    assert await run.node(PLANNER) == plan
    assert "cut at its limit" in run.conversation()[-1]["content"]


async def test_call_in_place_of_the_structured_answer_never_runs(
    bench: Any, script: Any, plan: Any, plan_text: str
) -> None:
    run = bench(CHAT, script.call("read_file", path="a.py"), Reply(plan_text))
    assert await run.node(PLANNER) == plan
    assert run.kinds("tool_start") == []
    assert "a tool was called" in run.conversation()[-1]["content"]


async def test_plan_with_a_circle_is_sent_back(bench: Any, plan: Any, plan_text: str) -> None:
    circle = {**plan, "steps": [{**plan["steps"][0], "depends_on": ["s1"]}]}
    run = bench(Reply(json.dumps(circle)), Reply(json.dumps(circle)), Reply(plan_text))
    assert await run.node(PLANNER) == plan
    assert "in a circle" in run.conversation()[-1]["content"]


async def test_reviewer_gives_a_review_of_the_real_diff(bench: Any, script: Any) -> None:
    run = bench(Reply('{"verdict": "approve", "findings": []}'))
    run.write("a.py", "x = 3\n")
    assert await run.node("type: reviewer, prompt: 直す") == {"verdict": "approve", "findings": []}
    first = run.conversation()[1]["content"]
    assert "+x = 3" in first and "-x = 1" in first


async def test_reviewer_is_told_when_nothing_was_changed(bench: Any) -> None:
    run = bench(Reply('{"verdict": "approve"}'))
    await run.node("type: reviewer, prompt: mend")
    assert "(nothing was changed)" in run.conversation()[1]["content"]


async def test_llm_node_is_one_call_without_tools(bench: Any) -> None:
    run = bench(Reply("こたえ"))
    assert await run.node("type: llm, prompt: ask") == "こたえ"
    assert not tools_of(run, 0)
    assert format_of(run, 0) is None


async def test_llm_node_with_a_schema_is_held_to_it_at_once(bench: Any) -> None:
    run = bench(Reply('{"verdict": "revise", "findings": []}'))
    value = await run.run(
        "flow: 1\nname: g\nstate: {out: {schema: Review}}\noutput: state.out\n"
        "nodes: {a: {type: llm, prompt: judge, output: {to: out, schema: Review}}}\nedges: [[START, a, END]]\n"
    )
    assert value == {"verdict": "revise", "findings": []}
    assert format_of(run, 0)
    assert "verdict" in run.conversation()[1]["content"]


async def test_agent_with_a_schema_is_told_it_in_its_first_message(bench: Any, plan: Any, plan_text: str) -> None:
    run = bench(Reply(plan_text))
    await run.run(
        "flow: 1\nname: g\nstate: {out: {schema: Plan}}\noutput: state.out\n"
        "nodes: {a: {type: agent, prompt: p, output: {to: out, schema: Plan}}}\nedges: [[START, a, END]]\n"
    )
    assert '"steps"' in run.conversation()[1]["content"]
    assert format_of(run, 0) is None and tools_of(run, 0)


async def test_broken_call_from_a_planner_is_asked_again_with_its_tools(
    bench: Any, plan: Any, plan_text: str
) -> None:
    run = bench(Fault("bad-arguments"), Reply(plan_text))
    assert await run.node(PLANNER) == plan
    assert tools_of(run, 1) and format_of(run, 1) is None
