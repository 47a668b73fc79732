"""Calls over OpenAI's API in a cassette: recorded and answered from through the real wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import CassetteMismatch, ReplyInvalid
from flowloom.core.messages import Message, ModelReply, ToolCall
from flowloom.llm.answers import Call, Reply
from flowloom.llm.cassette import Cassette, Recorder
from flowloom.llm.normalise import Normaliser

from .conftest import Connect, ConnectOpenAI, Serve, ServeOpenAI, ask, ignore

TWO = (ToolCall("t0.0", "read", {"path": "a"}), ToolCall("t0.1", "read", {"path": "b"}))
LATER = (
    Message("user", "Do it."),
    Message("user", "And well."),
    Message("assistant", "both", calls=TWO),
    Message("tool", "1", call_id="t0.0", tool_name="read"),
    Message("tool", "2", call_id="t0.1", tool_name="read"),
)


async def record(
    tmp_path: Path, serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, *replies: Any, grammar: Any = ""
) -> tuple[Path, list[ModelReply]]:
    path = tmp_path / "run.jsonl"
    server = serve_openai(list(replies), grammar=grammar)
    chat = connect_openai(server, grammar=grammar, recorder=Recorder(path, normalise=Normaliser(tmp_path)))
    first = await chat.complete(ask(Message("user", "Do it.")), ignore)
    second = await chat.complete(ask(*LATER, turn=1), ignore)
    return path, [first, second]


REPLIES = (
    Reply("Reading.", calls=[Call("read", {"path": "a"}), Call("read", {"json": '{"a": [1]}'})], thinking="hm"),
    Reply("Done with 日本."),
)


@pytest.mark.parametrize("grammar", ["", "mistral", "llama"])
async def test_replay_gives_the_recorded_replies(
    tmp_path: Path, serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI, grammar: str
) -> None:
    path, before = await record(tmp_path, serve_openai, connect_openai, *REPLIES, grammar=grammar)
    cassette = Cassette.load(path)
    assert cassette.wire == "openai"
    server = serve_openai(cassette.answers(Normaliser(tmp_path)), models=cassette.models)
    chat = connect_openai(server, tag_calls=True)
    after = [
        await chat.complete(ask(Message("user", "Do it.")), ignore),
        await chat.complete(ask(*LATER, turn=1), ignore),
    ]
    assert [(r.text, r.calls, r.thinking) for r in after] == [(r.text, r.calls, r.thinking) for r in before]
    assert [r.usage.completion_tokens for r in after] == [r.usage.completion_tokens for r in before]


async def test_the_same_cassette_answers_over_ollamas_wire(
    tmp_path: Path, serve: Serve, connect: Connect, serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    path, before = await record(tmp_path, serve_openai, connect_openai, *REPLIES)
    chat = connect(serve(Cassette.load(path).answers(Normaliser(tmp_path))), tag_calls=True)
    after = await chat.complete(ask(*LATER, turn=1), ignore)
    assert after.text == before[1].text


async def test_other_request_is_a_mismatch(
    tmp_path: Path, serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    path, _ = await record(tmp_path, serve_openai, connect_openai, *REPLIES)
    server = serve_openai(Cassette.load(path).answers(Normaliser(tmp_path)))
    with pytest.raises(CassetteMismatch, match=r"recorded 'Do it\.', now 'Do more\.'"):
        await connect_openai(server, tag_calls=True).complete(ask(Message("user", "Do more.")), ignore)


async def test_workspace_and_secrets_do_not_stand_in_the_file(
    tmp_path: Path, serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    where = Reply(f"see {tmp_path}/a.py", calls=[Call("read", {"path": f"{tmp_path}/a.py"})], piece_chars=3)
    path, _ = await record(tmp_path, serve_openai, connect_openai, where, Reply("ok"))
    assert str(tmp_path) not in path.read_text("utf-8")
    server = serve_openai(Cassette.load(path).answers(Normaliser(tmp_path / "elsewhere")))
    reply = await connect_openai(server, tag_calls=True).complete(ask(Message("user", "Do it.")), ignore)
    assert reply.calls[0].args == {"path": f"{tmp_path}/elsewhere/a.py"}


async def test_broken_arguments_are_repeated_by_the_replay(
    tmp_path: Path, serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    path = tmp_path / "run.jsonl"
    server = serve_openai([Reply(calls=[Call("read", '{"path": ')])])
    chat = connect_openai(server, recorder=Recorder(path, normalise=Normaliser()))
    with pytest.raises(ReplyInvalid) as before:
        await chat.complete(ask(), ignore)
    replaying = serve_openai(Cassette.load(path).answers(Normaliser()))
    with pytest.raises(ReplyInvalid) as after:
        await connect_openai(replaying, tag_calls=True).complete(ask(), ignore)
    assert str(after.value) == str(before.value)
