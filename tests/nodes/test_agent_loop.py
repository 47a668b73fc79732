from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from langgraph.errors import GraphDrained

from flowloom.core.errors import LimitReached, RunFailed
from flowloom.graphs.spec import Limits
from flowloom.llm.answers import Answer, ChatRequest, Fault, RawReply, Reply
from flowloom.nodes.deps import AgentLimits

AGENT = "type: agent, prompt: Look, tools: [read_file, grep, todo, bash, write_file]"
TODO = {"content": "Test", "status": "in_progress", "active_form": "Testing"}
INVALID = Fault("bad-arguments")


async def test_answer_without_a_call_ends_the_visit(bench: Any) -> None:
    run = bench(Reply("見つけました"))
    assert await run.node(AGENT) == "見つけました"
    assert [message["role"] for message in run.conversation()] == ["system", "user"]


async def test_calls_of_one_reply_run_in_their_order(bench: Any, script: Any) -> None:
    calls = [
        script.Call("bash", {"command": "echo 1 >> log"}),
        script.Call("read_file", {"path": "a.py"}),
        script.Call("bash", {"command": "echo 2 >> log"}),
        script.Call("bash", {"command": "cat log"}),
    ]
    run = bench(Reply(calls=calls), Reply("done"))
    await run.node(AGENT)
    assert run.results()[1].startswith("1|x = 1")
    assert run.results()[3] == "1\n2"


async def test_reads_of_one_reply_run_in_one_step_and_keep_their_order(bench: Any, script: Any) -> None:
    names = ["a.py", "b.py", "日本.txt"]
    run = bench(Reply(calls=[script.Call("read_file", {"path": name}) for name in names]), Reply("done"))
    await run.node(AGENT)
    assert [text.partition("\n")[0] for text in run.results()] == ["1|x = 1", "1|y = 2", "1|こんにちは"]
    assert run.kinds("tool_start", "tool_end") == ["tool_start a#1"] * 3 + ["tool_end a#1"] * 3


async def test_error_of_a_tool_goes_back_to_the_model(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="../secret"), Reply("I cannot"))
    assert await run.node(AGENT) == "I cannot"
    assert "secret" in run.results()[0]
    assert [event.data["ok"] for event in run.events if event.type == "tool_end"] == [False]


async def test_unknown_tool_is_told_to_the_model_with_a_near_name(bench: Any, script: Any) -> None:
    run = bench(script.call("read_fle", path="a.py"), Reply("ok"))
    await run.node(AGENT)
    assert "there is no tool 'read_fle'" in run.results()[0]
    assert "read_file" in run.results()[0]


async def test_tool_is_found_by_a_name_in_another_spelling(bench: Any, script: Any) -> None:
    run = bench(script.call("functions.ReadFile:0", file_path="a.py"), Reply("ok"))
    await run.node(AGENT)
    assert run.results()[0].startswith("1|x = 1")
    (told,) = [message for message in run.conversation() if message.get("tool_calls")]
    assert told["tool_calls"][0]["function"] == {"name": "read_file", "arguments": {"path": "a.py"}}


async def test_tool_that_the_node_does_not_offer_never_runs(bench: Any, script: Any) -> None:
    run = bench(script.call("bash", command="touch made"), Reply("ok"))
    await run.node("type: agent, prompt: Look, tools: [read_file]")
    assert not (run.repo / "made").exists()
    assert "there is no tool 'bash'" in run.results()[0]


async def test_malformed_call_is_asked_again_with_what_was_wrong(bench: Any) -> None:
    run = bench(INVALID, INVALID, Reply("fine now"))
    assert await run.node(AGENT) == "fine now"
    roles = [message["role"] for message in run.conversation()]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "must be one JSON object" in run.conversation()[-1]["content"]


async def test_third_malformed_reply_in_a_row_fails_the_run(bench: Any) -> None:
    run = bench(INVALID, INVALID, INVALID, Reply("too late"))
    with pytest.raises(RunFailed, match="3 replies of 'scripted' in a row could not be used") as failed:
        await run.node(AGENT)
    assert "flow resume" in failed.value.hint
    assert len(run.server.requests) == 3


async def test_run_that_failed_on_malformed_replies_asks_again_when_it_goes_on(bench: Any) -> None:
    run = bench(INVALID, INVALID, INVALID, Reply("better"))
    with pytest.raises(RunFailed):
        await run.node(AGENT)
    run.process()
    assert await run.go_on() == "better"


async def test_usable_reply_starts_the_count_of_faults_again(bench: Any, script: Any) -> None:
    good = script.call("read_file", path="a.py")
    run = bench(INVALID, INVALID, good, INVALID, INVALID, Reply("done"))
    assert await run.node(AGENT) == "done"


async def test_reply_cut_by_length_runs_no_tool(bench: Any, script: Any) -> None:
    cut = Reply(calls=[script.Call("bash", {"command": "touch made"})], done_reason="length")
    run = bench(cut, Reply("short"))
    assert await run.node(AGENT) == "short"
    assert not (run.repo / "made").exists()
    assert "cut at its limit of 1638 tokens" in run.conversation()[-1]["content"]


async def test_empty_reply_is_asked_again(bench: Any) -> None:
    run = bench(Reply(" \n"), Reply(thinking="hm"), Reply("there"))
    assert await run.node(AGENT) == "there"
    assert "it was empty" in run.conversation()[-1]["content"]


async def test_correction_after_a_tool_result_keeps_the_order_of_roles(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="a.py"), Reply(""), Reply("done"))
    assert await run.node(AGENT) == "done"
    assert [message["role"] for message in run.conversation()][-3:] == ["tool", "assistant", "user"]


async def test_each_request_only_appends_to_the_one_before(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="a.py"), INVALID, script.call("grep", pattern="y"), Reply("done"))
    await run.node(AGENT)
    bodies = [request.body for request in run.server.requests]
    for before, after in pairwise(bodies):
        assert after["messages"][: len(before["messages"])] == before["messages"]
        assert after["tools"] == before["tools"]


async def test_thinking_is_never_sent_back(bench: Any, script: Any) -> None:
    thought = Reply(calls=[script.Call("read_file", {"path": "a.py"})], thinking="SECRET THOUGHT")
    run = bench(thought, Reply("done"))
    await run.node(AGENT)
    assert "SECRET THOUGHT" not in json.dumps(run.server.requests[-1].body)


async def test_model_calls_of_a_visit_are_limited(bench: Any, script: Any) -> None:
    run = bench(*[script.call("grep", pattern=f"x{n}") for n in range(5)], limits=AgentLimits(model_calls=3))
    with pytest.raises(LimitReached, match="a#1 used all of its 3 model calls") as reached:
        await run.node(AGENT)
    assert reached.value.exit_code == 3
    assert len(run.server.requests) == 3


async def test_limit_of_the_node_stands_before_the_setting(bench: Any, script: Any) -> None:
    run = bench(*[script.call("read_file", path="a.py")] * 5)
    with pytest.raises(LimitReached, match="2 model calls"):
        await run.node(f"{AGENT}, limits: {{model_calls: 2}}")


async def test_malformed_replies_count_as_model_calls(bench: Any, script: Any) -> None:
    run = bench(INVALID, INVALID, Reply("ok"), limits=AgentLimits(model_calls=2))
    with pytest.raises(LimitReached):
        await run.node(AGENT)


async def test_pause_at_a_limit_is_no_failure_of_the_node(bench: Any, script: Any) -> None:
    run = bench(*[script.call("read_file", path="a.py")] * 2, limits=AgentLimits(model_calls=1))
    with pytest.raises(LimitReached):
        await run.node(AGENT)
    assert run.kinds("node_fail") == []


async def test_raised_limit_lets_the_visit_go_on_where_it_was(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="a.py"), Reply("done"), limits=AgentLimits(model_calls=1))
    with pytest.raises(LimitReached):
        await run.node(AGENT)
    run.limits = AgentLimits(model_calls=2)
    run.process()
    assert await run.go_on() == "done"
    assert len(run.server.requests) == 2


async def test_last_node_run_that_is_allowed_may_use_its_tools(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="a.py"), Reply("done"))
    run.run_limits = Limits(node_runs=1)
    assert await run.node(AGENT) == "done"


async def test_stop_before_a_tool_call_leaves_it_for_later(bench: Any, script: Any) -> None:
    def stopping(request: ChatRequest) -> Answer:
        if request.index == 0:
            run.stop.set()
            answer: Answer = script.call("bash", command="echo x >> log")
            return answer
        return Reply("done")

    run = bench(serve=stopping)
    with pytest.raises(GraphDrained):
        await run.node(AGENT)
    assert not (run.repo / "log").exists()
    run.stop.clear()
    run.process()
    assert await run.go_on() == "done"
    assert run.read("log") == "x\n"
    assert len(run.server.requests) == 2


async def test_todo_list_is_kept_in_the_state(bench: Any, script: Any) -> None:
    run = bench(script.call("todo", todos=[TODO]), script.call("read_file", path="a.py"), Reply("done"))
    await run.node(AGENT)
    assert run.results()[0] == "[>] Test"
    states = [saved.checkpoint["channel_values"] for saved in run.saver.list(None)]
    assert [TODO] in [state.get("todos") for state in states]


async def test_todo_list_with_two_items_in_progress_is_refused(bench: Any, script: Any) -> None:
    run = bench(script.call("todo", todos=[TODO, TODO]), Reply("done"))
    await run.node(AGENT)
    assert "only one may be" in run.results()[0]


async def test_finished_model_and_tool_steps_are_not_repeated_after_a_fault(bench: Any, script: Any) -> None:
    run = bench(script.call("bash", command="echo x >> log"), Fault("http", status=400, text="broken"), Reply("done"))
    with pytest.raises(Exception, match="broken"):
        await run.node(AGENT)
    run.process()
    assert await run.go_on() == "done"
    assert run.read("log") == "x\n"
    assert len(run.server.requests) == 3


async def test_stored_state_is_plain_data(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="日本.txt"), Reply("done"))
    await run.node(AGENT)
    for saved in run.saver.list(None):
        values = saved.checkpoint["channel_values"]
        json.dumps({name: value for name, value in values.items() if name != "__pregel_tasks"})


async def test_model_call_is_named_by_path_visit_and_turn(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="a.py"), Reply("done"))
    await run.node(AGENT)
    calls = [event.data for event in run.events if event.type == "model_call"]
    assert [call["key"] for call in calls] == ["a#1.0", "a#1.1"]
    assert calls[0]["calls"] == ["read_file"]


async def test_calls_with_the_same_id_from_the_server_are_told_apart(bench: Any) -> None:
    function = {"name": "read_file", "arguments": {"path": "a.py"}}
    other = {"name": "read_file", "arguments": {"path": "b.py"}}
    part = {
        "model": "scripted",
        "message": {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "same", "function": function}, {"id": "same", "function": other}],
        },
        "done": True,
        "done_reason": "stop",
    }
    run = bench(RawReply([part]), Reply("done"))
    await run.node(AGENT)
    assert [text.partition("\n")[0] for text in run.results()] == ["1|x = 1", "1|y = 2"]


async def test_secrets_of_the_first_message_never_reach_the_model_nor_the_checkpoint(bench: Any) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    run = bench(Reply("done"))
    run.write("a.py", f'x = "{token}"\n')
    await run.node("type: coder, prompt: 'use {{ input.key }}'", key=f"password={token[4:20]}")
    sent = str(run.conversation())
    assert token not in sent and token[4:20] not in sent
    assert sent.count("<secret:") == 2
