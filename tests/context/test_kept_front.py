from __future__ import annotations

import pytest

from flowloom.context.kept_front import KeptFront
from flowloom.core.messages import CallKey, Message, ModelRequest, ToolCall, ToolDef

TOOL = ToolDef("grep", "Search.", {"type": "object"})
START = (Message("system", "s" * 100), Message("user", "u" * 100))
GROWN = (*START, Message("assistant", "", (ToolCall("1", "grep", {"pattern": "x"}),)), Message("tool", "found"))


def request(*messages: Message, tools: tuple[ToolDef, ...] = (TOOL,)) -> ModelRequest:
    return ModelRequest(messages, CallKey("code", 1, 0), tools)


def share(*requests: ModelRequest) -> float | None:
    front = KeptFront()
    return [front.share(each) for each in requests][-1]


def test_first_request_has_nothing_before_it() -> None:
    assert share(request(*START)) is None


def test_request_that_only_appends_keeps_all() -> None:
    assert share(request(*START), request(*GROWN)) == 1.0
    assert share(request(*GROWN), request(*GROWN)) == 1.0


def test_text_appended_to_the_last_message_keeps_all_too() -> None:
    assert share(request(*START), request(START[0], Message("user", "u" * 100 + "\n\nSum up."))) == 1.0


@pytest.mark.parametrize(
    ("changed", "low", "high"),
    [
        (request(START[0], Message("user", "u" * 50 + "X" * 50)), 0.7, 0.9),
        (request(Message("system", "X"), *START[1:]), 0.2, 0.5),
        (request(*START, tools=()), 0.0, 0.01),
        (request(START[0]), 0.4, 0.8),
    ],
)
def test_share_ends_at_the_first_character_that_is_another(changed: ModelRequest, low: float, high: float) -> None:
    kept = share(request(*START), changed)
    assert kept is not None and low <= kept < high


def test_what_is_not_sent_does_not_count() -> None:
    seen = Message("user", "u" * 100, seen={"a.py": "0"}, thinking="hm")
    assert share(request(*START), request(START[0], seen)) == 1.0


def test_conversation_that_was_made_smaller_begins_anew() -> None:
    front = KeptFront()
    front.share(request(*GROWN))
    front.begin_anew()
    assert front.share(request(*START)) is None
    assert front.share(request(*GROWN)) == 1.0
