from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowloom.core.messages import ModelReply, ToolCall, ToolDef
from flowloom.llm.read_reply import Calls, Reading, Retry, Text, read_reply, resolve_name

OFFERED = ("read_file", "edit_file", "write_file", "bash", "grep", "glob", "spawn_agent")


def _tool(name: str, required: dict[str, str], **optional: str) -> ToolDef:
    kinds = {**required, **optional}
    properties: dict[str, Any] = {argument: {"type": kind} for argument, kind in kinds.items()}
    return ToolDef(name, name, {"type": "object", "properties": properties, "required": list(required)})


# The shipped tools' shapes, written out: the reading must not depend on the tools' own modules.
TOOLS = (
    _tool("read_file", {"path": "string"}, offset="integer", limit="integer"),
    _tool("edit_file", {"path": "string", "old_text": "string", "new_text": "string"}),
    _tool("write_file", {"path": "string", "content": "string"}),
    _tool("bash", {"command": "string"}, timeout_ms="integer"),
    _tool("grep", {"pattern": "string"}, path="string", include="string", ignore_case="boolean"),
    _tool("glob", {"pattern": "string"}, path="string"),
    _tool("spawn_agent", {"task": "string"}, tools="array"),
)
# A reply a line: `text` and native `calls`, what is expected of it, and `source`, where this kind of damage was
# reported ("" = nowhere we know of). The texts are written for these tests; only the damage is taken over.
CASES = [json.loads(line) for line in (Path(__file__).parent / "replies.jsonl").read_text("utf-8").splitlines()]


def read(case: dict[str, Any]) -> Reading:
    native = tuple(ToolCall(f"x{n}", name, args) for n, (name, args) in enumerate(case.get("calls", ())))
    reply = ModelReply(case["text"], native)
    return read_reply(reply, TOOLS, cut=case.get("cut", False), read_before=case.get("read_before", ()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_each_malformed_reply_is_read_right(case: dict[str, Any]) -> None:
    reading, expect = read(case), case["expect"]
    if "calls" in expect:
        assert isinstance(reading, Calls), reading
        assert [[call.name, call.args] for call in reading.calls] == expect["calls"]
        assert [call.id for call in reading.calls] == [f"t0.{n}" for n in range(len(reading.calls))]
    elif "retry" in expect:
        assert isinstance(reading, Retry), reading
        assert expect["retry"] in reading.fault
    else:
        assert reading == Text(case["text"])


def test_at_least_half_of_the_malformed_replies_come_from_public_reports() -> None:
    assert len(CASES) >= 150
    assert sum(case["source"].startswith("https://") for case in CASES) * 2 > len(CASES)
    assert len({case["id"] for case in CASES}) == len(CASES)


def test_each_form_is_in_the_collection_with_a_call_that_runs_and_one_that_does_not() -> None:
    forms = {case["form"] for case in CASES}
    runs = {case["form"] for case in CASES if "calls" in case["expect"]}
    assert {"tag", "function", "invoke", "xml", "json", "fenced", "python", "mistral", "llama", "gemma"} <= runs
    assert not forms - {case["form"] for case in CASES if "calls" not in case["expect"]}


def test_every_correction_is_one_sentence_of_bounded_length() -> None:
    faults = [reading.fault for reading in map(read, CASES) if isinstance(reading, Retry)]
    assert len(faults) > 40
    assert all(fault.endswith(".") and "\n" not in fault and len(fault) < 320 for fault in faults)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_what_stands_before_a_call_is_kept_as_its_text(case: dict[str, Any]) -> None:
    reading = read(case)
    if isinstance(reading, Calls):
        assert case["text"].lstrip().startswith(reading.text) or "think" in case["text"] or "analysis" in case["text"]


def test_without_tools_every_reply_is_text() -> None:
    assert read_reply(ModelReply(CASES[0]["text"]), ()) == Text(CASES[0]["text"])


def test_calls_are_named_by_their_turn() -> None:
    reading = read_reply(ModelReply(CASES[1]["text"]), TOOLS, turn=7)
    assert isinstance(reading, Calls)
    assert [call.id for call in reading.calls] == ["t7.0", "t7.1"]


def test_native_call_of_an_unknown_tool_keeps_its_name_for_its_refusal() -> None:
    reading = read_reply(ModelReply("", (ToolCall("x", "Skill", {"a": 1}),)), TOOLS)
    assert reading == Calls((ToolCall("t0.0", "Skill", {"a": 1}),))


def test_native_calls_stand_before_calls_in_the_text() -> None:
    reading = read_reply(ModelReply(CASES[0]["text"], (ToolCall("x", "bash", {"command": "ls"}),)), TOOLS)
    assert isinstance(reading, Calls)
    assert [call.name for call in reading.calls] == ["bash"]


@pytest.mark.parametrize(
    ("name", "offered", "meant"),
    [
        ("read_file", ["read_file", "readFile"], "read_file"),
        ("READFILE", ["read_file", "readFile"], None),
        ("functions.read-file:12", ["read_file"], "read_file"),
        ("tools.bash", ["bash"], "bash"),
        ("read", ["read_file"], None),
        ("...", ["read_file"], None),
        ("", ["read_file"], None),
        ("git.status", ["git.status"], "git.status"),
        ("日本", ["日本"], "日本"),
    ],
)
def test_name_means_the_one_offered_tool_or_none(name: str, offered: list[str], meant: str | None) -> None:
    assert resolve_name(name, offered) == meant


def test_half_of_a_surrogate_pair_in_a_call_can_be_written() -> None:
    text = '{"name": "write_file", "arguments": {"path": "a", "content": "x \\ud83d y"}}'
    reading = read_reply(ModelReply(text), TOOLS)
    assert isinstance(reading, Calls)
    assert reading.calls[0].args["content"] == "x \ufffd y"


# Before its end, nothing tells a thought that was opened in the prompt from an answer; only the done_reason does.
OPEN = "thought-opened-in-the-prompt"
VALID = [case for case in CASES if "calls" in case["expect"] and case["text"] and case["id"] != OPEN]
NOISE = st.text(st.sampled_from("<>[]{}|\"'`\\/:,;.=()\n \tabct_x日▁｜") | st.characters(), max_size=40)
PIECES = st.sampled_from(
    [
        *"{}[]()",
        "<tool_call>",
        "</tool_call>",
        "<think>",
        "</think>",
        "```json\n",
        "\n```\n",
        "[TOOL_CALLS]",
        "}}",
        "<function=bash>",
        "<parameter=command>",
        "</parameter>",
        "</function>",
        '{"name":"bash"',
        ',"arguments":{',
        "<|python_tag|>",
        "read_file(",
        'path="a"',
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(CASES), st.lists(NOISE | PIECES, max_size=4), st.lists(NOISE | PIECES, max_size=4))
def test_random_text_around_a_call_never_raises_and_runs_nothing_that_was_not_offered(
    case: dict[str, Any], before: list[str], after: list[str]
) -> None:
    reply = ModelReply("".join(before) + case["text"] + "".join(after))
    reading = read_reply(reply, TOOLS)
    if isinstance(reading, Calls):
        required = {tool.name: tool.parameters["required"] for tool in TOOLS}
        assert all(call.name in OFFERED and set(required[call.name]) <= set(call.args) for call in reading.calls)


@settings(max_examples=400, deadline=None)
@given(st.lists(NOISE | PIECES, max_size=12))
def test_random_pieces_of_calls_are_read_or_refused(pieces: list[str]) -> None:
    reading = read_reply(ModelReply("".join(pieces)), TOOLS)
    if isinstance(reading, Calls):
        assert all(call.name in OFFERED for call in reading.calls)


@pytest.mark.parametrize("case", VALID, ids=lambda case: case["id"])
def test_reply_cut_anywhere_runs_only_calls_that_are_whole(case: dict[str, Any]) -> None:
    whole = read(case)
    assert isinstance(whole, Calls)
    known = [(call.name, call.args) for call in whole.calls]
    for place in range(len(case["text"])):
        reading = read_reply(ModelReply(case["text"][:place]), TOOLS)
        if isinstance(reading, Calls):
            assert [(call.name, call.args) for call in reading.calls] == known[: len(reading.calls)]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.integers(0, 400))
def test_cut_write_never_runs(content: str, place: int) -> None:
    arguments = {"path": "a.py", "content": content}
    text = f"<tool_call>{json.dumps({'name': 'write_file', 'arguments': arguments}, ensure_ascii=False)}</tool_call>"
    reading = read_reply(ModelReply(text[:place]), TOOLS)
    assert not isinstance(reading, Calls) or reading.calls[0].args == arguments


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_content_of_a_call_arrives_byte_for_byte_or_not_at_all(content: str) -> None:
    arguments = {"path": "a.py", "content": content}
    told = json.dumps({"name": "write_file", "arguments": arguments})
    for text in (
        f"<tool_call>\n{told}\n</tool_call>",
        told,
        f"[TOOL_CALLS]write_file[ARGS]{json.dumps(arguments, ensure_ascii=False)}",
        f"write_file(path='a.py', content={content!r})",
    ):
        reading = read_reply(ModelReply(text), TOOLS)
        assert isinstance(reading, (Calls, Retry))
        assert isinstance(reading, Retry) or reading.calls[0].args == arguments


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        '{"name": "x",\n' * 2_000,
        '{"name":' * 20_000,
        "<tool_call>" * 5_000,
        "<think>" * 5_000,
        "{'a':" * 9000,
    ],
)
def test_deep_nesting_is_read_quickly_and_without_a_crash(text: str) -> None:
    assert not isinstance(read_reply(ModelReply(text), TOOLS), Calls)
