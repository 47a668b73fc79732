from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from flowloom.core.messages import CallKey, Message, ModelReply, ModelRequest, ToolCall, ToolDef
from flowloom.llm.answers import Reply
from flowloom.llm.cassette import Cassette, Recorder
from flowloom.llm.normalise import Normaliser
from flowloom.llm.ollama_server import OllamaServer
from flowloom.llm.read_reply import Calls, Text, read_reply
from flowloom.llm.roles import fit_roles, role_fault
from flowloom.llm.tokens import EstimatingCounter, count_request
from flowloom.llm.tools_in_text import action_schema, final_answer, tools_text, with_tools_in_text
from flowloom.tools.registry import TOOLS

from .conftest import Connect, ConnectOpenAI, Serve, ServeOpenAI, ask, ignore

READ, GREP = TOOLS["read_file"].definition(), TOOLS["grep"].definition()
TALK = (
    Message("user", "Look."),
    Message(
        "assistant", "", (ToolCall("t0.0", "read_file", {"path": "a.py"}), ToolCall("t0.1", "grep", {"pattern": "x"}))
    ),
    Message("tool", "1|x = 1", call_id="t0.0", tool_name="read_file"),
    Message("tool", "a.py:1:x = 1", call_id="t0.1", tool_name="grep"),
)
GEMMA: dict[str, Any] = {"capabilities": ("completion", "vision"), "grammar": "gemma"}


def told(request: ModelRequest) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in with_tools_in_text(request).messages]


def test_tools_stand_behind_the_system_text_with_their_arguments() -> None:
    system = told(ask(tools=(READ, GREP)))[0][1]
    assert system.startswith("You code.\n\nYou have these tools")
    assert (
        "- read_file(path: string, offset?: integer (first line), limit?: integer = 300): Read a text file." in system
    )
    assert '{"final": "your answer"}' in system


def test_every_shipped_tool_is_told_in_less_than_its_json_costs() -> None:
    definitions = [spec.definition() for spec in TOOLS.values()]
    text, counter = tools_text(definitions), EstimatingCounter()
    assert all(f"- {tool.name}(" in text for tool in definitions)
    assert "$" not in text and "{'" not in text
    assert counter.count(text) < count_request((), definitions, counter)
    for tool in definitions:
        assert counter.count(tools_text([tool])) < count_request((), [tool], counter) + 100


def test_results_are_one_user_message_and_roles_alternate() -> None:
    messages = told(ask(*TALK, tools=(READ, GREP)))
    assert [role for role, _ in messages] == ["system", "user", "assistant", "user"]
    first, second = messages[2][1].splitlines()
    assert json.loads(first) == {"tool": "read_file", "arguments": {"path": "a.py"}}
    assert json.loads(second)["tool"] == "grep"
    assert messages[3][1] == "Result of read_file:\n1|x = 1\n\nResult of grep:\na.py:1:x = 1"
    changed = with_tools_in_text(ask(*TALK, tools=(READ, GREP)))
    wire = [{"role": m.role, "content": m.content} for m in fit_roles(changed.messages, "gemma")]
    assert [message["role"] for message in wire] == ["user", "assistant", "user"]
    assert role_fault(wire, "gemma") == ""


def test_what_is_sent_only_grows_from_turn_to_turn() -> None:
    more = (Message("assistant", "", (ToolCall("t1.0", "grep", {"pattern": "y"}),)),)
    result = (Message("tool", "", call_id="t1.0", tool_name="grep"),)
    turns = [ask(*TALK[:1], tools=(READ,)), ask(*TALK, tools=(READ,)), ask(*TALK, *more, *result, tools=(READ,))]
    for before, after in pairwise(map(told, turns)):
        assert after[: len(before)] == before


def test_request_for_structure_keeps_the_tools_in_its_prompt_and_its_own_schema() -> None:
    schema = {"type": "object"}
    request = ask(schema=schema, described=(READ,))
    changed = with_tools_in_text(request)
    assert told(request)[0] == told(ask(tools=(READ,)))[0]
    assert (changed.schema, changed.tools, changed.described) == (schema, (), ())


def test_agent_without_tools_is_asked_as_ever() -> None:
    assert with_tools_in_text(ask()) == ask()


def test_tools_are_told_without_a_system_message_too() -> None:
    request = ModelRequest((Message("user", "Look."),), CallKey("a", 1, 0), (READ,))
    assert [role for role, _ in told(request)] == ["system", "user"]


def test_schema_has_one_branch_a_tool_and_one_for_the_answer() -> None:
    branches = action_schema([READ, GREP])["anyOf"]
    assert [branch["required"] for branch in branches] == [["tool", "arguments"], ["tool", "arguments"], ["final"]]
    assert branches[0]["properties"]["tool"]["enum"] == ["read_file"]
    assert set(branches[0]["properties"]["arguments"]["properties"]) == {"path", "offset", "limit"}
    assert "description" not in json.dumps(branches)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"final": "done"}', "done"),
        (' {"final": ""}\n', ""),
        ('{"final": {"title": "計画"}}', '{"title": "計画"}'),
        ('{"final": "a", "more": 1}', None),
        ('{"final": "a"} and so on', None),
        ('The answer is {"final": "a"}', None),
        ('{"final": ', None),
        ("{" * 90_000, None),
        ("", None),
    ],
)
def test_final_answer_is_taken_out_of_its_object(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer
    if answer is not None:
        assert read_reply(ModelReply(text), (READ,)) == Text(answer)


async def test_ollama_model_without_tools_gets_a_schema_and_no_tools(serve: Serve, connect: Connect) -> None:
    server = serve([Reply('{"tool": "read_file", "arguments": {"path": "b.py"}}')], **GEMMA)
    chat = connect(server, tools_in_text=True, grammar="gemma")
    reply = await chat.complete(ask(*TALK, turn=1, tools=(READ, GREP)), ignore)
    reading = read_reply(reply, (READ, GREP), turn=1)
    assert reading == Calls((ToolCall("t1.0", "read_file", {"path": "b.py"}),), "", "json")
    body = server.requests[0].body
    assert "tools" not in body
    assert body["format"] == action_schema((READ, GREP))
    assert server.refused == []


async def test_openai_compatible_model_without_tools_gets_the_same(
    serve_openai: ServeOpenAI, connect_openai: ConnectOpenAI
) -> None:
    server = serve_openai([Reply('{"final": "x is 1"}')], grammar="gemma")
    chat = connect_openai(server, tools_in_text=True, grammar="gemma")
    reply = await chat.complete(ask(*TALK, turn=1, tools=(READ, GREP)), ignore)
    assert read_reply(reply, (READ, GREP)) == Text("x is 1")
    body = server.requests[0].body
    assert "tools" not in body and body["format"] == action_schema((READ, GREP))
    assert server.refused == []


async def test_native_request_is_refused_by_such_a_server(serve: Serve, connect: Connect) -> None:
    server = serve([], **GEMMA)
    with pytest.raises(Exception, match="cannot call tools"):
        await connect(server).complete(ask(tools=(READ,)), ignore)


async def test_recording_of_such_a_model_is_replayed_without_it(
    serve: Serve, connect: Connect, tmp_path: Any
) -> None:
    path = tmp_path / "c.jsonl"
    request = ask(*TALK, turn=1, tools=(READ, GREP))
    answer = '{"tool": "grep", "arguments": {"pattern": "z"}}'
    recorder = Recorder(path, normalise=Normaliser())
    server = serve([Reply(answer)], **GEMMA)
    chat = connect(server, tools_in_text=True, grammar="gemma", recorder=recorder)
    first = await chat.complete(request, ignore)
    with OllamaServer(Cassette.load(path).answers(Normaliser())) as replay:
        again = await connect(replay, tag_calls=True).complete(request, ignore)
    assert again.text == first.text == answer
    assert read_reply(again, (READ, GREP)) == read_reply(first, (READ, GREP))


def test_description_over_several_lines_becomes_one() -> None:
    tool = ToolDef("t", "One.\n  Two.", {"type": "object", "properties": {}})
    assert "- t(): One. Two.\n" in tools_text([tool])
