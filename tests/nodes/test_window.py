"""The check that a request and its answer fit the model's window."""

from __future__ import annotations

from typing import Any

import pytest

from flowloom.context.assemble import Budget
from flowloom.core.errors import LimitReached
from flowloom.core.messages import CallKey, Message, ModelRequest
from flowloom.llm.answers import Reply
from flowloom.llm.tokens import EstimatingCounter, count_request
from flowloom.nodes.window import Measured, fitted_cap, prompt_tokens, require_room, share_in

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


async def test_a_first_message_that_outgrows_the_window_ends_before_the_call(bench: Any, script: Any) -> None:
    run = bench(Reply("never asked"))
    with pytest.raises(LimitReached, match="the window of 'scripted' holds 8,192"):
        await run.node(f"type: agent, prompt: {'日本語' * 4000}, tools: [bash]")
    assert run.server.requests == []


def test_the_output_cap_and_the_budgets_follow_the_window_below_32k_and_not_above() -> None:
    assert [fitted_cap(4096, window) for window in (8192, 16384, 32768, 131072)] == [2048, 4096, 4096, 4096]
    assert fitted_cap(512, 8192) == 512
    assert [share_in(window) for window in (8192, 16384, 32768, 131072)] == [0.25, 0.5, 1, 1]
    assert Budget(1000, 3000, 100, 1000, 200).scaled(0.25) == Budget(250, 750, 25, 250, 50)
