"""Streams of real servers' shapes, put together event by event."""

from __future__ import annotations

from typing import Any

import pytest

from flowloom.llm.faults import BrokenStream, Refused, error_text
from flowloom.llm.openai_wire import Assembly, as_ollama


def delta(finish: str | None = None, **message: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": message, "finish_reason": finish}]}


def call(index: int | None, name: str | None = None, arguments: Any = None, call_id: str = "") -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    piece = {
        "function": function,
        **({} if index is None else {"index": index}),
        **({"id": call_id} if call_id else {}),
    }
    return delta(tool_calls=[piece])


def assembled(*events: dict[str, Any], finish: str = "tool_calls") -> list[dict[str, Any]]:
    assembly = Assembly()
    for event in (*events, delta(finish)):
        assembly.take(event)
    assembly.done = True
    return assembly.parts()


def calls(*events: dict[str, Any]) -> list[tuple[str, Any]]:
    functions = [part["function"] for part in assembled(*events)[0]["message"]["tool_calls"]]
    return [(function["name"], function["arguments"]) for function in functions]


@pytest.mark.parametrize(
    "events",
    [
        [call(0, "read", '{"path": "a"}', "x"), call(1, "grep", "{}", "y")],
        [call(0, "read", "", "x"), call(0, None, '{"path"'), call(0, None, ': "a"}'), call(1, "grep", "")],
        [call(0, "read", '{"pa'), call(1, "grep", "{"), call(0, None, 'th": "a"}'), call(1, None, "}")],
        [call(0, "read", '{"path": ', "x"), call(0, "read", '"a"}', "x"), call(1, "grep", "{}")],
        [call(0, "re", None, "x"), call(0, "ad", '{"path": "a"}'), call(1, "grep", "{}")],
        [call(0, "read", '{"path": "a"}', "x"), call(0, "grep", "{}", "y")],
        [call(None, "read", '{"path": '), call(None, None, '"a"}'), call(None, "grep", "{}")],
        [call(0, "read", {"path": "a"}), call(1, "grep", {})],
    ],
)
def test_pieces_of_calls_find_together(events: list[dict[str, Any]]) -> None:
    assert calls(*events) == [("read", {"path": "a"}), ("grep", {})]


def test_two_calls_of_one_tool_stay_two() -> None:
    assert calls(call(0, "a", "{}", "x"), call(1, "a", "{}", "y")) == [("a", {}), ("a", {})]


@pytest.mark.parametrize(("finish", "reason"), [("stop", "stop"), ("tool_calls", "stop"), ("length", "length")])
def test_reasons_of_the_end_are_told_in_one_way(finish: str, reason: str) -> None:
    assert assembled(delta(content="a"), finish=finish)[-1]["done_reason"] == reason


def test_stream_without_its_end_is_broken() -> None:
    assembly = Assembly()
    assembly.take(delta("stop", content="all there"))
    with pytest.raises(BrokenStream, match="without its last part"):
        assembly.parts()
    unfinished = Assembly(done=True)
    unfinished.take(delta(content="no reason"))
    with pytest.raises(BrokenStream, match="without its last part"):
        unfinished.parts()


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"code": 500, "message": "boom"}},
        {"error": "boom"},
        {"object": "error", "message": "boom", "code": 400},
    ],
)
def test_error_inside_a_stream_is_told(event: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="boom"):
        Assembly().take(event)


@pytest.mark.parametrize("event", [{}, {"choices": [3]}, {"choices": [{}]}, call(0), delta(tool_calls=["x"])])
def test_events_that_are_none_break_the_stream(event: dict[str, Any]) -> None:
    if event == call(0):
        event["choices"][0]["delta"]["tool_calls"][0].pop("function")
    with pytest.raises(BrokenStream):
        Assembly().take(event)


def test_progress_of_the_prompt_is_a_percentage() -> None:
    told = {"prompt_progress": {"total": 300, "cache": 0, "processed": 100, "time_ms": 5}}
    assert Assembly().progress(told) == 33
    assert Assembly().progress({"prompt_progress": {"total": 0, "processed": 0}}) is None
    assert Assembly().progress({}) is None


def test_counts_come_from_usage_and_timings() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}}
    last = assembled(delta(content="a"), usage)[-1]
    assert (last["prompt_eval_count"], last["prompt_cached_count"]) == (9, 4)
    assert "eval_count" not in last


def test_request_is_told_in_ollamas_form() -> None:
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "function": {"name": "t", "arguments": '{"x": 1}'}}],
            },
            {"role": "tool", "content": "r", "tool_call_id": "a"},
        ],
    }
    assert as_ollama(body)["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "t", "arguments": {"x": 1}}}]},
        {"role": "tool", "content": "r", "tool_name": "t"},
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "a"}', "a"),
        (b'{"error": {"message": "b"}}', "b"),
        (b'{"object": "error", "message": "c"}', "c"),
        (b"plain", "plain"),
        (b"", "no text"),
        (b'{"detail": "d"}', '{"detail": "d"}'),
    ],
)
def test_errors_are_read_whichever_way_they_are_written(body: bytes, text: str) -> None:
    assert error_text(body) == text
