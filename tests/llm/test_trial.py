"""Models are told to call a tool and to keep to a schema; what they do is what counts, not what their server says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowloom.llm.answers import Answer, Call, ChatRequest, Fault, Reply
from flowloom.llm.capabilities import Capabilities
from flowloom.llm.trial import try_model

from .conftest import Connect, Serve

CITY = Reply(json.dumps({"city": "Tokyo", "population": 14_000_000}))
NATIVE = Reply(calls=[Call("read_file", {"path": "notes.txt"})])
TEXT = Reply('<tool_call>{"name": "read_file", "arguments": {"path": "notes.txt"}}</tool_call>')
PROSE = Reply("I would read notes.txt now.")
OTHER = Reply(calls=[Call("read_file", {"path": "other.txt"})])
CUT = Fault("length")


def answering(to_tools: Answer, described: Answer = PROSE, to_schema: Answer = CITY) -> Any:
    def answer(request: ChatRequest) -> Answer:
        if "capital" in request.messages[-1]["content"]:
            return to_schema
        return to_tools if request.body.get("tools") else described

    return answer


async def tried(connect: Connect, server: Any, *, tools: bool = True) -> tuple[Capabilities, list[str]]:
    told: list[str] = []
    before = Capabilities("scripted", "ollama", tools=tools)
    return await try_model(before, lambda in_text: connect(server, tools_in_text=in_text), told.append), told


@pytest.mark.parametrize(
    ("to_tools", "described", "calls", "tools"),
    [
        (NATIVE, PROSE, "native", True),
        (TEXT, PROSE, "text", True),
        (PROSE, TEXT, "prompt", False),
        (CUT, TEXT, "prompt", False),
        (OTHER, PROSE, "none", True),
        (PROSE, PROSE, "none", True),
    ],
)
async def test_how_a_model_calls_a_tool_is_seen(
    connect: Connect, serve: Serve, to_tools: Answer, described: Answer, calls: str, tools: bool
) -> None:
    found, _ = await tried(connect, serve(answering(to_tools, described)))
    assert (found.calls, found.tools, found.holds_schema) == (calls, tools, True)


async def test_a_model_without_tools_is_asked_for_the_call_in_its_prompt_alone(
    connect: Connect, serve: Serve
) -> None:
    server = serve(answering(NATIVE, TEXT), capabilities=("completion",))
    found, told = await tried(connect, server, tools=False)
    assert (found.calls, found.tools) == ("prompt", False)
    assert told == ["asking for a tool call as JSON", "asking for JSON of a schema"]


@pytest.mark.parametrize("reply", [Reply("Tokyo"), Reply('{"city": "Tokyo"}'), CUT])
async def test_a_schema_that_is_not_kept_to_is_seen(connect: Connect, serve: Serve, reply: Answer) -> None:
    found, _ = await tried(connect, serve(answering(NATIVE, to_schema=reply)))
    assert (found.calls, found.holds_schema) == ("native", False)


def test_a_model_that_calls_nothing_is_told_before_runs() -> None:
    found = Capabilities("a", "ollama", tools=True, calls="none", window=32768, window_asked=32768)
    (notice,) = found.notices()
    assert "called no tool when `flow models test` told it to" in notice
