"""An agent whose model knows the tools under other names: what it is shown, what it may call, what is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langgraph.errors import GraphDrained

from flowloom.core.errors import RunFailed
from flowloom.core.tool_names import OWN_NAMES
from flowloom.llm.answers import Answer, ChatRequest, Reply
from flowloom.tools.profiles import tool_names

CODER = "type: coder, prompt: Make x two"
EDIT = {"file_path": "a.py", "old_string": "x = 1", "new_string": "x = 2"}
VIBE = tool_names("vibe")


def bare(request: ChatRequest) -> dict[str, Any]:
    """Return what a request says of tools: the offered names, and its conversation."""
    return {"tools": [tool["function"]["name"] for tool in request.body["tools"]], "messages": request.messages}


async def test_the_model_reads_and_calls_the_tools_by_its_names_and_ours_are_kept(bench: Any, script: Any) -> None:
    run = bench(script.call("edit", **EDIT), Reply("x is two"))
    run.names = VIBE
    await run.node(CODER)
    assert run.read("a.py") == "x = 2\n"
    first, second = map(bare, run.server.requests)
    assert first["tools"] == ["read", "edit", "write_file", "bash", "grep", "glob", "task"]
    assert "Delegate a long search to\ntask." in first["messages"][1]["content"]
    # The conversation goes on from the bytes it began with, the model's own call as it made it.
    assert second["messages"][:2] == first["messages"]
    assert second["messages"][2]["tool_calls"] == [{"function": {"name": "edit", "arguments": EDIT}}]
    assert second["messages"][3]["tool_name"] == "edit"
    told = {event.type: event.data for event in run.events}
    assert (told["model_call"]["calls"], told["tool_start"]["name"]) == ([], "edit_file")
    kept = json.dumps([event.data for event in run.events])
    assert "old_string" not in kept


@pytest.mark.parametrize(
    "answer",
    [
        '[TOOL_CALLS]edit[ARGS]{"file_path": "a.py", "old_string": "x = 1", "new_string": "x = 2"}',
        '{"name": "edit", "arguments": {"path": "a.py", "old_text": "x = 1", "new_str": "x = 2"}}',
    ],
)
async def test_a_call_in_text_is_read_by_the_shown_names_and_what_else_models_call_them(
    bench: Any, answer: str
) -> None:
    run = bench(Reply(answer), Reply("x is two"))
    run.names = VIBE
    await run.node(CODER)
    assert run.read("a.py") == "x = 2\n"


async def test_a_call_by_our_own_names_runs_as_well(bench: Any, script: Any) -> None:
    run = bench(script.call("edit_file", path="a.py", old_text="x = 1", new_text="x = 2"), Reply("x is two"))
    run.names = VIBE
    await run.node(CODER)
    assert run.read("a.py") == "x = 2\n"
    assert run.conversation()[2]["tool_calls"] == [{"function": {"name": "edit", "arguments": EDIT}}]


async def test_a_refused_call_is_told_in_the_model_s_words(bench: Any, script: Any) -> None:
    run = bench(
        script.call("edit", file_path="a.py", old_string="x = 1"),
        script.call("edit", **{**EDIT, "old_string": "z = 1"}),
        script.call("reed", file_path="a.py"),
        Reply('<tool_call>{"name": "edit", "arguments": {"file_path": "a.py"}}</tool_call>'),
        Reply("I give up"),
    )
    run.names = VIBE
    await run.node(CODER)
    lacking, unlike, unknown = run.results()
    assert lacking == (
        "edit was not run: argument 'new_string' is missing. "
        "Its arguments: file_path, old_string, new_string, near_line (optional)."
    )
    assert "a.py was not changed: old_string does not stand in the file" in unlike
    assert "there is no tool 'reed'. Did you mean 'read'? Tools: read, edit, write_file" in unknown
    assert "the call of 'edit' lacks the arguments 'old_string', 'new_string'." in run.conversation()[-1]["content"]


async def test_the_loop_breaker_counts_calls_by_what_they_are(bench: Any, script: Any) -> None:
    look = script.call("read", file_path="a.py")
    run = bench(look, script.call("read_file", path="a.py"), look, Reply("too late"))
    run.names = VIBE
    with pytest.raises(RunFailed, match=r"the same call 3 times in a row.* read_file a.py"):
        await run.node(CODER)
    assert "very call you made just before" in run.results()[-1]


async def test_a_run_that_goes_on_with_another_model_is_told_everything_in_that_one_s_words(
    bench: Any, script: Any
) -> None:
    def stopping(request: ChatRequest) -> Answer:
        if request.index == 0:
            run.stop.set()
            answer: Answer = script.call("edit", **EDIT)
            return answer
        return Reply("x is two")

    run = bench(serve=stopping)
    run.names = VIBE
    with pytest.raises(GraphDrained):
        await run.node(CODER)
    run.stop.clear()
    run.names = OWN_NAMES
    run.process()
    await run.go_on()
    assert run.read("a.py") == "x = 2\n"
    call = {"name": "edit_file", "arguments": {"path": "a.py", "old_text": "x = 1", "new_text": "x = 2"}}
    assert run.conversation()[2]["tool_calls"] == [{"function": call}]
    assert run.conversation()[3]["tool_name"] == "edit_file"


async def test_a_sub_agent_gets_the_tools_that_its_parent_named(bench: Any, script: Any) -> None:
    run = bench(
        serve=script.conversation(
            script.Agent(
                (script.CODER,), [script.call("task", task="who uses x", tools=["read"]), Reply("nobody uses x")]
            ),
            script.Agent((script.SUB_AGENT,), [script.call("read", file_path="a.py"), Reply("nobody")]),
        )
    )
    run.names = VIBE
    await run.node(CODER)
    offered = [bare(request)["tools"] for request in run.server.requests]
    assert offered[1:3] == [["read"], ["read"]]
    assert run.results() == ["nobody"]
