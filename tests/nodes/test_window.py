"""The check that a request and its answer fit the model's window."""

from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.errors import LimitReached
from flowloom.core.messages import CallKey, Message, ModelRequest
from flowloom.llm.answers import Reply
from flowloom.llm.tokens import EstimatingCounter, count_request
from flowloom.nodes.window import Measured, prompt_tokens, require_room

COUNTER = EstimatingCounter()


def request(*texts: str, max_tokens: int = 100) -> ModelRequest:
    messages = tuple(Message("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(texts))
    return ModelRequest(messages, CallKey("code", 1, 0), max_tokens=max_tokens)


def test_without_a_count_of_the_server_the_whole_request_is_estimated() -> None:
    asked = request("質問です" * 50)
    assert prompt_tokens(asked, COUNTER, None) == count_request(asked.messages, (), COUNTER)


def test_the_servers_count_replaces_the_estimate_of_what_it_counted() -> None:
    asked = request("a question " * 50, "an answer", "more")
    grown = count_request(asked.messages[1:], (), COUNTER)
    assert prompt_tokens(asked, COUNTER, Measured(120, 1)) == 120 + grown


def test_a_count_that_leaves_out_cached_tokens_is_not_believed() -> None:
    asked = request("a question " * 500, "an answer")
    assert prompt_tokens(asked, COUNTER, Measured(3, 1)) == prompt_tokens(asked, COUNTER, None)


def test_a_request_that_leaves_no_room_for_its_answer_is_refused_with_the_numbers() -> None:
    with pytest.raises(LimitReached, match=r"about 950 tokens and up to 100.* holds 1,000"):
        require_room("code#1", "small", 1000, request("x"), 950)


def test_a_request_that_just_fits_is_sent() -> None:
    require_room("code#1", "small", 1000, request("x"), 900)


async def test_a_conversation_that_outgrew_the_window_ends_before_the_call(bench: Any, script: Any) -> None:
    run = bench(script.call("bash", command="yes 日本語 | head -c 14000"), Reply("never asked"))
    with pytest.raises(LimitReached, match="the window of 'scripted' holds 8,192"):
        await run.node("type: agent, prompt: Look, tools: [bash]")
    assert len(run.server.requests) == 1
