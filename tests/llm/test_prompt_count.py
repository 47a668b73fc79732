"""A whole prompt is counted by the server's own tokenizer, and a cassette keeps what it counted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.messages import CallKey, Message, ModelRequest, ToolCall, ToolDef
from flowloom.llm.cassette import Cassette, Recorder
from flowloom.llm.normalise import Normaliser
from flowloom.llm.ollama import OllamaChat
from flowloom.llm.openai_compatible import OpenAIChat
from flowloom.llm.openai_server import OpenAIServer, count_words, prompt_text
from flowloom.llm.openai_wire import plain_messages

Connect = Callable[..., OpenAIChat]
READ = ToolDef("read_file", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}})


def request(text: str = "Mend the total.", turn: int = 0) -> ModelRequest:
    messages = (
        Message("system", "You code."),
        Message("user", text),
        Message("assistant", "", (ToolCall("t0.0", "read_file", {"path": "a.py"}),)),
        Message("tool", "1|x = 1", call_id="t0.0", tool_name="read_file"),
    )
    return ModelRequest(messages, CallKey("code", 1, turn), (READ,))


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Return a function that makes a chat for a server."""
    made: list[OpenAIChat] = []

    def make(server: OpenAIServer, **options: Any) -> OpenAIChat:
        url = f"{server.url}{options.pop('path', '')}"
        made.append(OpenAIChat(url=url, model="scripted", window=8192, kind=server.kind, **options))
        return made[-1]

    yield make
    for chat in made:
        await chat.aclose()


@pytest.mark.parametrize("kind", ["llama.cpp", "vllm"])
@pytest.mark.parametrize("path", ["", "/v1"])
async def test_messages_calls_and_tools_are_counted(
    serve_openai: Any, connect: Connect, kind: str, path: str
) -> None:
    server = serve_openai([], kind=kind)
    counted = await connect(server, path=path).count(request())
    sent = connect(server)._body(request())
    assert counted == count_words(prompt_text(sent)) > 40
    assert server.bodies == [] and server.tokenized == 1


@pytest.mark.parametrize("kind", ["openai", "lmstudio"])
async def test_a_server_without_a_tokenizer_is_not_asked(serve_openai: Any, connect: Connect, kind: str) -> None:
    assert await connect(serve_openai([], kind=kind)).count(request()) is None


async def test_ollama_has_no_tokenizer_to_ask() -> None:
    chat = OllamaChat(url="http://127.0.0.1:9", model="m", window=8192)
    assert await chat.count(request()) is None
    await chat.aclose()


async def test_a_server_that_does_not_answer_is_asked_once(serve_openai: Any, connect: Connect) -> None:
    server = serve_openai([], kind="vllm", api_key="secret")
    chat = connect(server)
    assert await chat.count(request()) is None
    server.api_key = ""
    assert await chat.count(request()) is None and server.tokenized == 0


async def test_a_cassette_gives_the_count_again_for_the_same_request(
    serve_openai: Any, connect: Connect, tmp_path: Path
) -> None:
    path, workspace = tmp_path / "run.jsonl", tmp_path / "work"
    recorder = Recorder(path, normalise=Normaliser(workspace))
    chat = connect(serve_openai([], kind="vllm"), recorder=recorder, token_ratio=1.5)
    asked = request(f"Mend {workspace}/a.py.", turn=3)
    counted = await chat.count(asked)
    recorder.record(asked.key, {"messages": [], "window": 8192, "ratio": 1.5}, [{"message": {"content": "done"}}])
    elsewhere = request("Mend /elsewhere/a.py.", turn=3)
    cassette, normalise = Cassette.load(path), Normaliser(Path("/elsewhere"))
    assert cassette.counted(elsewhere.key, plain_messages(elsewhere.messages), normalise) == counted
    assert cassette.counted(request(turn=4).key, plain_messages(elsewhere.messages), normalise) is None
    assert cassette.counted(elsewhere.key, plain_messages(request().messages), normalise) is None
    assert (cassette.keys, cassette.window(), cassette.ratio()) == (("code#1.3",), 8192, 1.5)


async def test_a_recording_is_continued_behind_a_count(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    recorder = Recorder(path, normalise=Normaliser())
    recorder.record_count(request().key, plain_messages(request().messages), 77)
    Recorder(path, normalise=Normaliser()).record_count(request(turn=1).key, [], 78)
    assert [json.loads(line)["counted"] for line in path.read_text("utf-8").splitlines()] == [77, 78]
