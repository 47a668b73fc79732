from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from typing import Any

import pytest

from flowloom.core.errors import LimitReached, ModelFault, ModelUnavailable, ReplyCut, ReplyInvalid
from flowloom.core.events import Phase
from flowloom.core.messages import Message, ToolCall, ToolDef
from flowloom.llm.answers import Call, Fault, RawReply, Reply

from .conftest import ConnectOpenAI, ServeOpenAI, ask, ignore

READ = ToolDef("read_file", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
CALLED = (
    Message("user", "Go."),
    Message("assistant", "", calls=(ToolCall("t0.0", "read_file", {"path": "日本"}),), thinking="secret thought"),
    Message("tool", "text", call_id="t0.0", tool_name="read_file"),
)


@pytest.mark.parametrize("kind", ["llama.cpp", "vllm", "lmstudio", "openai"])
async def test_reply_carries_text_calls_and_counts(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, kind: str
) -> None:
    calls = [Call("read_file", {"path": "a.py"}), Call("grep", {"pattern": '"日"'})]
    server = serve_openai([Reply("見ます。", calls=calls, prompt_tokens=90, completion_tokens=7)], kind=kind)
    reply = await connect_openai(server).complete(ask(tools=(READ,), turn=2), ignore)
    assert reply.text == "見ます。"
    assert reply.calls == (
        ToolCall("t2.0", "read_file", {"path": "a.py"}),
        ToolCall("t2.1", "grep", {"pattern": '"日"'}),
    )
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.model) == (90, 7, "scripted")


async def test_llama_server_reports_cache_and_times(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    parts = [
        {"message": {"role": "assistant", "content": "ok"}, "done": False},
        {
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_cached_count": 80,
            "prompt_eval_count": 90,
            "prompt_eval_duration": 250_000_000,
            "eval_duration": 500_000_000,
        },
    ]
    reply = await connect_openai(serve_openai([RawReply(parts)])).complete(ask(), ignore)
    assert (reply.usage.cached_tokens, reply.usage.prefill_s, reply.usage.decode_s) == (80, 0.25, 0.5)


async def test_missing_counts_are_none(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    server = serve_openai([Reply("ok")], kind="lmstudio", reports_usage=False)
    reply = await connect_openai(server).complete(ask(), ignore)
    assert (reply.text, reply.usage.prompt_tokens, reply.usage.cached_tokens) == ("ok", None, None)


async def test_request_of_llama_server_has_these_fields_in_this_order(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    server = serve_openai([Reply("done")])
    chat = connect_openai(server, think=False)
    await chat.complete(ask(*CALLED, turn=1, tools=(READ,), max_tokens=77), ignore)
    arguments = '{"path": "日本"}'
    call = {"id": "call00000", "type": "function", "function": {"name": "read_file", "arguments": arguments}}
    function = {"name": "read_file", "description": "Read a file.", "parameters": READ.parameters}
    assert list(server.bodies[0].items()) == [
        ("model", "scripted"),
        (
            "messages",
            [
                {"role": "system", "content": "You code."},
                {"role": "user", "content": "Go."},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "content": "text", "tool_call_id": "call00000"},
            ],
        ),
        ("tools", [{"type": "function", "function": function}]),
        ("stream", True),
        ("stream_options", {"include_usage": True}),
        ("max_tokens", 77),
        ("temperature", 0.0),
        ("cache_prompt", True),
        ("return_progress", True),
        ("chat_template_kwargs", {"enable_thinking": False}),
    ]


async def test_unknown_server_gets_nothing_that_openai_does_not_document(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    server = serve_openai([Reply("done")], kind="openai")
    await connect_openai(server, think=True).complete(ask(), ignore)
    assert list(server.bodies[0]) == ["model", "messages", "stream", "stream_options", "max_tokens", "temperature"]


async def test_schema_goes_out_as_response_format(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    server = serve_openai([Reply("{}")], kind="vllm")
    await connect_openai(server).complete(ask(schema={"type": "object"}), ignore)
    wanted = {"name": "reply", "strict": True, "schema": {"type": "object"}}
    assert server.bodies[0]["response_format"] == {"type": "json_schema", "json_schema": wanted}
    assert server.requests[0].body["format"] == {"type": "object"}


async def test_growing_conversation_keeps_its_front_byte_for_byte(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    server = serve_openai(lambda request: Reply("ok"))
    chat = connect_openai(server)
    more = (Message("assistant", "a", calls=(ToolCall("t1.0", "b", {}),)), Message("tool", "r", tool_name="b"))
    await chat.complete(ask(*CALLED, turn=1), ignore)
    await chat.complete(ask(*CALLED, *more, turn=2), ignore)
    first, second = (json.dumps(body["messages"])[:-1] for body in server.bodies)
    assert second.startswith(first)
    assert server.bodies[1]["messages"][-1]["tool_call_id"] == "call00001"


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\x0bb\x1cc", "🎉" * 9, "line\r\nline\n", " data: x\n\n"])
async def test_text_arrives_byte_for_byte(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, text: str
) -> None:
    server = serve_openai([Reply(text, calls=[Call("t", {"x": text, "json": '{"a": 1}'})], piece_chars=2)])
    reply = await connect_openai(server).complete(ask(), ignore)
    assert reply.text == text
    assert reply.calls[0].args == {"x": text, "json": '{"a": 1}'}


async def test_thinking_is_kept_apart_whatever_way_it_comes(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    server = serve_openai([Reply("Answer.", thinking="hm, hm"), Reply("<think>\nwell\n</think>\n\nAnswer.")])
    chat = connect_openai(server)
    apart, inside = await chat.complete(ask(), ignore), await chat.complete(ask(), ignore)
    assert (apart.text, apart.thinking) == ("Answer.", "hm, hm")
    assert (inside.text, inside.thinking) == ("Answer.", "well")


async def test_progress_goes_from_waiting_over_the_prompt_to_generating(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    seen: list[tuple[Phase, int]] = []
    server = serve_openai([Reply("x" * 60, piece_chars=20)])
    await connect_openai(server).complete(ask(), lambda phase, amount, fault="": seen.append((phase, amount)))
    assert seen[:6] == [
        ("waiting for model", 0),
        ("reading prompt", 50),
        ("reading prompt", 100),
        ("generating", 1),
        ("generating", 2),
        ("generating", 3),
    ]


async def test_reply_cut_at_the_limit_is_never_used(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    cut = Reply(calls=[Call("bash", {"command": "rm -rf b"})], done_reason="length")
    server = serve_openai([Fault("length"), cut])
    chat = connect_openai(server)
    for _ in range(2):
        with pytest.raises(ReplyCut, match="limit of 50 tokens"):
            await chat.complete(ask(max_tokens=50), ignore)
    assert len(server.requests) == 2


@pytest.mark.parametrize("arguments", ['{"path": "a.py"', "text", "[1]", "3"])
async def test_arguments_that_are_no_object_are_told_to_the_model(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, arguments: str
) -> None:
    server = serve_openai([Reply(calls=[Call("glob", {}), Call("read_file", arguments)])])
    with pytest.raises(ReplyInvalid, match=r"'read_file' must be one JSON object, but they are"):
        await connect_openai(server).complete(ask(), ignore)
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["double-done", "slow-drip"])
async def test_whole_reply_with_something_odd_about_it_is_taken(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, kind: Any
) -> None:
    server = serve_openai([Fault(kind, text="whole", delay_s=0.05)])
    assert (await connect_openai(server, stall_timeout_s=1).complete(ask(), ignore)).text == "whole"
    assert len(server.requests) == 1


async def test_unknown_end_is_a_fault(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    server = serve_openai([Reply("a", done_reason="abort")])
    with pytest.raises(ModelFault, match="'abort'"):
        await connect_openai(server).complete(ask(), ignore)


BROKEN = {
    "no-done": "ended without its last part",
    "truncated-json": "no whole JSON",
    "error-line": "CUDA error",
    "empty": "sent nothing",
    "not-json": "no event stream",
    "garbage": "none of an event stream|no whole JSON|without its last part",
    "error-object": "did not keep running",
    "drop": "the connection broke",
    "reset": "the connection broke",
    "endless": "far beyond its limit of 20 tokens",
}


@pytest.mark.parametrize("kind", [*BROKEN, "load", "http-500", "http-503"])
async def test_fault_that_passes_is_asked_again_at_once(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, kind: Any
) -> None:
    server = serve_openai([Fault(kind), Reply("whole")])
    async with asyncio.timeout(4):
        assert (await connect_openai(server).complete(ask(max_tokens=20), ignore)).text == "whole"
    assert len(server.requests) == 2


@pytest.mark.parametrize("kind", BROKEN)
async def test_reply_that_keeps_breaking_is_given_up_after_three_times(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, kind: Any
) -> None:
    server = serve_openai(lambda request: Fault(kind), kind="vllm")
    with pytest.raises(ModelUnavailable, match=BROKEN[kind]):
        await connect_openai(server).complete(ask(max_tokens=20), ignore)
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [429, 503])
async def test_server_that_stays_out_is_given_up_after_the_patience(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, status: int
) -> None:
    server = serve_openai(lambda request: Fault("http", status=status, text="busy"))
    with pytest.raises(ModelUnavailable, match="answers with an error: HTTP"):
        await connect_openai(server, retry_patience_s=0.9).complete(ask(), ignore)
    assert len(server.requests) == 3  # at 0, 0.25 and 0.75 s


async def test_server_that_loads_its_model_is_waited_for_as_long_as_for_a_first_token(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    seen: list[tuple[Phase, int]] = []
    server = serve_openai(lambda request: Fault("load"))
    chat = connect_openai(server, retry_patience_s=0.1, first_token_timeout_s=0.9)
    with pytest.raises(ModelUnavailable, match="still loading its model"):
        await chat.complete(ask(), lambda phase, amount, fault="": seen.append((phase, amount)))
    assert [told for told in seen if told[0] == "loading model"] == [("loading model", 1), ("loading model", 2)]


async def test_dead_server_names_how_its_kind_is_started(connect_openai: ConnectOpenAI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ModelUnavailable, match=r"connection refused\..*llama-server -m"):
        await connect_openai(url, kind="llama.cpp", retry_patience_s=0).complete(ask(), ignore)


@pytest.mark.parametrize(
    ("fault", "kind", "error", "message"),
    [
        (Fault("http-404", text="The model `x` does not exist."), "vllm", ModelUnavailable, "vllm serve scripted"),
        (Fault("http-404", text="File Not Found"), "llama.cpp", ModelUnavailable, "no OpenAI-compatible server"),
        (Fault("http", status=401, text="Invalid API Key"), "vllm", ModelUnavailable, "server.api_key_env"),
        (Fault("http-500", text="tools param requires --jinja flag"), "llama.cpp", ModelFault, "with --jinja"),
        (
            Fault("http", status=400, text='"auto" tool choice requires --enable-auto-tool-choice and more'),
            "vllm",
            ModelFault,
            "--tool-call-parser",
        ),
        (
            Fault("http", status=400, text="the request exceeds the available context size, try increasing it"),
            "llama.cpp",
            LimitReached,
            "does not fit the server's window.*models.num_ctx",
        ),
        (
            Fault("http", status=400, text="This model's maximum context length is 4096 tokens. However, you"),
            "vllm",
            LimitReached,
            "does not fit the server's window",
        ),
        (Fault("http", status=400, text="bad option"), "lmstudio", ModelFault, "HTTP 400.*bad option"),
    ],
)
async def test_refusal_that_stays_is_never_asked_again(
    serve_openai: ServeOpenAI,
    connect_openai: ConnectOpenAI,
    fault: Fault,
    kind: str,
    error: type[Exception],
    message: str,
) -> None:
    server = serve_openai(lambda request: fault, kind=kind)
    with pytest.raises(error, match=message):
        await connect_openai(server).complete(ask(), ignore)
    assert len(server.requests) == 1


async def test_silence_ends_at_its_limits(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    server = serve_openai([Fault("slow-start", delay_s=20), Fault("stall", delay_s=20), Reply("whole")])
    chat = connect_openai(server, first_token_timeout_s=0.3, stall_timeout_s=0.2)
    assert (await chat.complete(ask(), ignore)).text == "whole"
    assert len(server.requests) == 3


async def test_tool_call_held_back_by_the_server_is_waited_for(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    server = serve_openai([Fault("stall", text="held back for a while", delay_s=0.6)])
    chat = connect_openai(server, first_token_timeout_s=9, stall_timeout_s=0.2)
    assert (await chat.complete(ask(tools=(READ,)), ignore)).text == "held back for a while"


async def test_cancel_closes_the_stream(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    server = serve_openai([Fault("stall", delay_s=20), Reply("next")])
    chat = connect_openai(server)
    started = asyncio.Event()
    task = asyncio.create_task(chat.complete(ask(), lambda phase, amount, *_: started.set() if amount else None))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(3):
        while server.disconnects == 0:
            await asyncio.sleep(0.01)
    assert (await chat.complete(ask(), ignore)).text == "next"


async def test_calls_side_by_side_keep_apart(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    server = serve_openai(lambda r: Reply(f"re: {r.messages[-1]['content']}", piece_chars=2, delay_s=0.05))
    chat = connect_openai(server)
    asked = [chat.complete(ask(Message("user", f"q{n}")), ignore) for n in range(20)]
    assert [reply.text for reply in await asyncio.gather(*asked)] == [f"re: q{n}" for n in range(20)]


async def test_key_of_the_server_is_sent(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    server = serve_openai([Reply("ok")], api_key="k-1")
    assert (await connect_openai(server, api_key="k-1").complete(ask(), ignore)).text == "ok"
    with pytest.raises(ModelUnavailable, match="refuses access"):
        await connect_openai(server).complete(ask(), ignore)


async def test_address_may_end_in_v1(serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI) -> None:
    server = serve_openai([Reply("ok")])
    assert (await connect_openai(f"{server.url}/v1").complete(ask(), ignore)).text == "ok"


@pytest.mark.parametrize("grammar", ["mistral", "llama", "gemma", ""])
async def test_templates_that_refuse_get_what_they_take(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, grammar: Any
) -> None:
    server = serve_openai(lambda request: Reply("ok"), grammar=grammar)
    two = (ToolCall("t0.0", "a", {}), ToolCall("t0.1", "b", {}))
    messages = [Message("user", "one"), Message("user", "two")]
    if grammar != "gemma":
        messages += [
            Message("assistant", "both", calls=two),
            Message("tool", "1", call_id="t0.0", tool_name="a"),
            Message("tool", "2", call_id="t0.1", tool_name="b"),
        ]
    reply = await connect_openai(server, grammar=grammar).complete(ask(*messages, turn=1), ignore)
    assert (reply.text, server.refused) == ("ok", [])


async def test_server_with_a_grammar_refuses_what_is_not_fitted(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    server = serve_openai([], grammar="mistral")
    with pytest.raises(ModelFault, match="must alternate"):
        await connect_openai(server).complete(ask(Message("user", "one"), Message("user", "two")), ignore)
    assert len(server.refused) == 1


def test_importing_the_adapter_loads_neither_langchain_nor_openai() -> None:
    code = (
        "import sys, flowloom.llm.openai_compatible as m\n"
        "m.OpenAIChat(url='http://127.0.0.1:9', model='m', window=1)\n"
        "print([n for n in ('langchain_core', 'openai', 'langchain_openai', 'tiktoken') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
