from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from flowloom.core.errors import ModelFault, ReplyCut, ReplyInvalid
from flowloom.core.events import Phase
from flowloom.core.messages import Message, ToolCall, ToolDef
from flowloom.llm.ollama_server import Call, Fault, RawReply, Reply
from flowloom.llm.whole_reply import split_thinking

from .conftest import Connect, Serve, ask, ignore

READ = ToolDef("read_file", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
NESTED = ToolDef(
    "plan",
    "Plan.",
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "target": {"type": "object", "properties": {"path": {"type": "string", "maxLength": 5}}},
            "lines": {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 3},
        },
    },
)


def raw(message: dict[str, Any], **last: Any) -> RawReply:
    return RawReply([{"message": {"role": "assistant", **message}, "done": True, "done_reason": "stop", **last}])


async def test_reply_carries_text_calls_and_counts(serve: Serve, connect: Connect) -> None:
    server = serve(
        [Reply("見ます。", calls=[Call("read_file", {"path": "a.py"})], prompt_tokens=90, completion_tokens=7)]
    )
    reply = await connect(server).complete(ask(tools=(READ,)), ignore)
    assert reply.text == "見ます。"
    assert reply.calls == (ToolCall("t0.0", "read_file", {"path": "a.py"}),)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (90, 7)
    assert reply.usage.load_s == pytest.approx(0.001)
    assert reply.model == "scripted"


async def test_counts_that_are_not_reported_are_none(serve: Serve, connect: Connect) -> None:
    reply = await connect(serve([raw({"content": "ok"})])).complete(ask(), ignore)
    assert reply.usage.prompt_tokens is None
    assert reply.usage.decode_s is None


@pytest.mark.parametrize("text", ['{"a": 1}', "[1,2]", "{'a': 1}", '{\n  "name": "x"\n}\n', "null", "3", '"q"', ""])
async def test_json_looking_string_arguments_stay_strings(serve: Serve, connect: Connect, text: str) -> None:
    arguments = {"path": "package.json", "content": text, "functionName": "write_file"}
    server = serve([Reply(calls=[Call("write_file", arguments)])])
    reply = await connect(server).complete(ask(), ignore)
    assert reply.calls[0].args == arguments


async def test_values_that_are_no_strings_stay_what_they_are(serve: Serve, connect: Connect) -> None:
    arguments = {"n": 3, "deep": {"list": [1, "2", None, 1.5, True]}, "日本": "語"}
    reply = await connect(serve([Reply(calls=[Call("t", arguments)])])).complete(ask(), ignore)
    assert reply.calls[0].args == arguments


async def test_absent_arguments_are_an_empty_object(serve: Serve, connect: Connect) -> None:
    server = serve([raw({"content": "", "tool_calls": [{"id": "call_x", "function": {"name": "todo"}}]})])
    reply = await connect(server).complete(ask(), ignore)
    assert reply.calls == (ToolCall("t0.0", "todo", {}),)


async def test_call_ids_are_made_of_turn_and_place(serve: Serve, connect: Connect) -> None:
    server = serve([Reply(calls=[Call("a"), Call("b"), Call("a")])])
    reply = await connect(server).complete(ask(turn=4), ignore)
    assert [(call.id, call.name) for call in reply.calls] == [("t4.0", "a"), ("t4.1", "b"), ("t4.2", "a")]


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\x0bb\x1cc", "🎉" * 9, "line\r\nline\n"])
async def test_text_arrives_byte_for_byte(serve: Serve, connect: Connect, text: str) -> None:
    server = serve([Reply(text, calls=[Call("t", {"x": text})], piece_chars=2)])
    reply = await connect(server).complete(ask(), ignore)
    assert reply.text == text
    assert reply.calls[0].args["x"] == text


async def test_half_a_surrogate_pair_can_be_sent_again(serve: Serve, connect: Connect) -> None:
    server = serve([raw({"content": "x \ud83d y"}), Reply("ok")])
    chat = connect(server)
    reply = await chat.complete(ask(), ignore)
    assert reply.text == "x \ufffd y"
    await chat.complete(ask(Message("user", reply.text)), ignore)


async def test_request_has_the_documented_fields_and_no_others(serve: Serve, connect: Connect) -> None:
    server = serve([Reply("done")])
    messages = (
        Message("user", "Go."),
        Message(
            "assistant", "", calls=(ToolCall("t0.0", "read_file", {"path": '{"a": 1}'}),), thinking="secret thought"
        ),
        Message("tool", "", call_id="t0.0", tool_name="read_file"),
    )
    await connect(server, keep_alive="5m").complete(ask(*messages, turn=1, tools=(NESTED,), max_tokens=77), ignore)
    function = {"name": "plan", "description": "Plan.", "parameters": NESTED.parameters}
    assert server.requests[0].body == {
        "model": "scripted",
        "messages": [
            {"role": "system", "content": "You code."},
            {"role": "user", "content": "Go."},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "read_file", "arguments": {"path": '{"a": 1}'}}}],
            },
            {"role": "tool", "content": "", "tool_name": "read_file"},
        ],
        "tools": [{"type": "function", "function": function}],
        "stream": True,
        "truncate": False,
        "options": {"num_ctx": 8192, "num_predict": 77, "temperature": 0.0},
        "keep_alive": "5m",
    }


async def test_schema_goes_out_as_format(serve: Serve, connect: Connect) -> None:
    server = serve([Reply("{}")])
    await connect(server).complete(ask(schema={"type": "object"}), ignore)
    assert server.requests[0].body["format"] == {"type": "object"}
    assert "tools" not in server.requests[0].body


async def test_schema_and_tools_together_are_refused(serve: Serve, connect: Connect) -> None:
    server = serve([])
    with pytest.raises(ValueError, match="schema and tools"):
        await connect(server).complete(ask(schema={"type": "object"}, tools=(READ,)), ignore)
    assert server.requests == []


async def test_think_is_sent_only_when_set(serve: Serve, connect: Connect) -> None:
    server = serve([Reply("a"), Reply("b")])
    await connect(server).complete(ask(), ignore)
    await connect(server, think=False).complete(ask(), ignore)
    assert [request.body.get("think") for request in server.requests] == [None, False]


async def test_equal_requests_are_equal_bytes_and_keep_one_window(serve: Serve, connect: Connect) -> None:
    server = serve(lambda request: Reply("ok"))
    chat = connect(server)
    for limit in (100, 100, 4096):
        await chat.complete(ask(max_tokens=limit), ignore)
    first, second, third = (json.dumps(request.body) for request in server.requests)
    assert first == second
    assert first.replace("100", "4096") == third


async def test_thinking_is_kept_apart_whatever_way_it_comes(serve: Serve, connect: Connect) -> None:
    server = serve([Reply("Answer.", thinking="hm, hm"), Reply("<think>\nwell\n</think>\n\nAnswer.")])
    chat = connect(server)
    apart, inside = await chat.complete(ask(), ignore), await chat.complete(ask(), ignore)
    assert (apart.text, apart.thinking) == ("Answer.", "hm, hm")
    assert (inside.text, inside.thinking) == ("Answer.", "well")


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("plain", ("", "plain")),
        ("say <think>x</think>", ("", "say <think>x</think>")),
        ("<think>never closed", ("never closed", "")),
        ("[THINK]a[/THINK]b", ("a", "b")),
        ("<think></think>b", ("", "b")),
        ("", ("", "")),
    ],
)
def test_only_a_leading_thinking_block_is_split_off(text: str, split: tuple[str, str]) -> None:
    assert split_thinking(text) == split


async def test_progress_goes_from_waiting_to_generating(serve: Serve, connect: Connect) -> None:
    seen: list[tuple[Phase, int]] = []
    server = serve([Reply("x" * 60, piece_chars=20)])
    await connect(server).complete(ask(), lambda phase, amount, fault="": seen.append((phase, amount)))
    assert seen[0] == ("waiting for model", 0)
    assert [amount for phase, amount in seen if phase == "generating"][:4] == [1, 2, 3, 4]


async def test_model_that_is_being_loaded_is_told_until_it_is_ready(serve: Serve, connect: Connect) -> None:
    seen: list[Phase] = []
    loading: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.05, loading.set_result, None)
    chat = connect(serve([Reply("one", delay_s=0.2), Reply("two")]), loading=loading)
    for _ in range(2):
        await chat.complete(ask(), lambda phase, amount, *_: seen.append(phase))
    waits = [phase for phase in seen if phase != "generating"]
    assert waits == ["loading model", "waiting for model", "waiting for model"]


async def test_reply_cut_at_the_limit_is_never_used(serve: Serve, connect: Connect) -> None:
    server = serve([Fault("length"), Reply(calls=[Call("bash", {"command": "rm -rf b"})], done_reason="length")])
    chat = connect(server)
    for _ in range(2):
        with pytest.raises(ReplyCut, match="limit of 50 tokens"):
            await chat.complete(ask(max_tokens=50), ignore)
    assert len(server.requests) == 2


@pytest.mark.parametrize("arguments", ['{"path": "a.py"', "text", ["a"], 3, True])
async def test_arguments_that_are_no_object_are_told_to_the_model(
    serve: Serve, connect: Connect, arguments: Any
) -> None:
    server = serve([Reply(calls=[Call("read_file", arguments), Call("glob", {})])])
    with pytest.raises(ReplyInvalid, match=r"'read_file' must be one JSON object, but they are"):
        await connect(server).complete(ask(), ignore)
    assert len(server.requests) == 1


async def test_call_without_a_name_is_told_to_the_model(serve: Serve, connect: Connect) -> None:
    server = serve([raw({"content": "", "tool_calls": [{"function": {"arguments": {}}}]})])
    with pytest.raises(ReplyInvalid, match="without a name"):
        await connect(server).complete(ask(), ignore)


@pytest.mark.parametrize("kind", ["http", "error-line"])
async def test_call_the_server_cannot_parse_is_told_to_the_model(serve: Serve, connect: Connect, kind: Any) -> None:
    text = "error parsing tool call: raw='{\"path\": a}', err=invalid character 'a'"
    server = serve([Fault(kind, text=text)])
    with pytest.raises(ReplyInvalid, match="invalid character 'a'"):
        await connect(server).complete(ask(), ignore)
    assert len(server.requests) == 1


async def test_unknown_end_is_a_fault(serve: Serve, connect: Connect) -> None:
    server = serve([Reply("a", done_reason="unload")])
    with pytest.raises(ModelFault, match="'unload'"):
        await connect(server).complete(ask(), ignore)


async def test_cancel_closes_the_stream(serve: Serve, connect: Connect) -> None:
    server = serve([Fault("stall", delay_s=20), Reply("next")])
    chat = connect(server)
    started = asyncio.Event()
    task = asyncio.create_task(chat.complete(ask(), lambda phase, amount, *_: started.set() if amount else None))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: server.disconnects == 1)
    assert (await chat.complete(ask(), ignore)).text == "next"


async def test_fault_of_the_watcher_closes_the_stream(serve: Serve, connect: Connect) -> None:
    def fail(phase: Phase, amount: int, fault: str = "") -> None:
        if amount:
            raise KeyError("watcher")

    server = serve([Fault("stall", delay_s=20)])
    with pytest.raises(KeyError, match="watcher"):
        await connect(server).complete(ask(), fail)
    await _until(lambda: server.disconnects == 1)


async def test_calls_side_by_side_keep_apart(serve: Serve, connect: Connect) -> None:
    server = serve(lambda request: Reply(f"re: {request.messages[-1]['content']}", piece_chars=2, delay_s=0.05))
    chat = connect(server)
    asked = [chat.complete(ask(Message("user", f"q{n}")), ignore) for n in range(20)]
    assert [reply.text for reply in await asyncio.gather(*asked)] == [f"re: q{n}" for n in range(20)]


def test_importing_the_adapter_loads_neither_langchain_nor_ollama_s_client() -> None:
    code = (
        "import sys, flowloom.llm.ollama as m\n"
        "m.OllamaChat(url='http://127.0.0.1:9', model='m', window=1)\n"
        "print([n for n in ('langchain_core', 'langsmith', 'ollama') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_key_is_sent_as_a_bearer_token(serve: Serve, connect: Connect) -> None:
    server = serve([Reply("ok")])
    await connect(server, api_key="sesame").complete(ask(), ignore)
    assert server.requests[0].headers["authorization"] == "Bearer sesame"


async def test_content_that_is_no_text_breaks_the_reply(serve: Serve, connect: Connect) -> None:
    server = serve([raw({"content": ["a"]}), Reply("whole")])
    assert (await connect(server).complete(ask(), ignore)).text == "whole"


async def test_proxy_of_the_environment_is_not_used_on_the_loopback(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert (await connect(serve([Reply("ok")])).complete(ask(), ignore)).text == "ok"


async def _until(condition: Any) -> None:
    async with asyncio.timeout(3):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("text", ['{"pattern": "v\\\\d+"}', '{"pattern": "v\\d+",}', "{'pattern': 'v\\\\d+'}"])
async def test_arguments_that_come_as_json_text_are_read(serve: Serve, connect: Connect, text: str) -> None:
    server = serve([raw({"content": "", "tool_calls": [{"function": {"name": "grep", "arguments": text}}]})])
    reply = await connect(server).complete(ask(), ignore)
    assert reply.calls == (ToolCall("t0.0", "grep", {"pattern": "v\\d+"}),)
