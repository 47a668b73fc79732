"""The check that a request and its answer fit the model's window."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowloom.context.assemble import Budget
from flowloom.core.errors import LimitReached, NoRoom
from flowloom.core.messages import CallKey, Message, ModelRequest
from flowloom.llm.answers import Reply
from flowloom.llm.tokens import EstimatingCounter, count_request
from flowloom.nodes.agent_task import TaskTooLarge
from flowloom.nodes.window import Granted, Measured, fitted_cap, prompt_tokens, require_room, share_in, window_of

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


async def test_a_task_without_tools_that_outgrows_the_window_ends_before_the_call(bench: Any, script: Any) -> None:
    run = bench(Reply("never asked"))
    with pytest.raises(LimitReached, match="the window of 'scripted' holds 8,192"):
        await run.node(f"type: llm, prompt: {'日本語' * 4000}")
    assert run.server.requests == []


def test_the_output_cap_and_the_budgets_follow_the_window_below_32k_and_not_above() -> None:
    assert [fitted_cap(4096, window) for window in (8192, 16384, 32768, 131072)] == [1638, 3276, 4096, 4096]
    assert fitted_cap(512, 8192) == 512
    assert [share_in(window) for window in (8192, 16384, 32768, 131072)] == [0.25, 0.5, 1, 1]
    assert Budget(1000, 3000, 100, 1000, 200).scaled(0.25) == Budget(250, 750, 25, 250, 50)


async def test_a_task_that_leaves_an_agent_no_room_to_work_is_one_clear_error(bench: Any) -> None:
    run = bench(Reply("never asked"))
    words = " ".join(f"Word {number} is here." for number in range(600))
    with pytest.raises(TaskTooLarge, match=r"a#1: its task has about 4,\d+ tokens .* may have 3,276") as caught:
        await run.node(f"type: agent, prompt: {words}, tools: [read_file]")
    assert run.server.requests == [] and caught.value.exit_code == 3
    assert "mention long texts as files" in caught.value.hint


async def test_the_first_request_of_an_agent_takes_no_more_than_two_fifths_of_the_window(bench: Any) -> None:
    run = bench(Reply("done"))
    run.write("a.py", "value = compute(1)\n" * 400)
    words = " ".join(f"Word {number} is here." for number in range(100))
    await run.node(f"type: coder, prompt: {words}")
    first = run.server.requests[0].messages[1]["content"]
    tools = json.dumps(run.server.requests[0].body["tools"])
    system = run.server.requests[0].messages[0]["content"]
    assert words in first and "<code>" not in first
    assert sum(map(EstimatingCounter().count, (system, tools, first))) <= 0.4 * 8192


async def test_a_sub_agents_task_that_is_too_large_is_told_to_its_parent(bench: Any, script: Any) -> None:
    words = " ".join(f"Word {number} is here." for number in range(600))
    run = bench(script.call("spawn_agent", task=words), Reply("done"))
    assert await run.node("type: agent, prompt: Look, tools: [read_file, spawn_agent]") == "done"
    assert "came to nothing" in run.results()[0] and "may have 3,276" in run.results()[0]


@pytest.mark.parametrize(("said", "found"), [(0, 5999), (4000, 4000), (7000, 5999)])
def test_a_refused_request_tells_that_the_window_is_smaller_than_it(bench: Any, said: int, found: int) -> None:
    model = bench().chat
    granted = Granted.after(NoRoom("no", window=said), model, 6000).to_dict()
    assert window_of(model, granted) == found and window_of(model, None) == 8192


def test_a_window_that_was_found_counts_for_the_model_and_the_window_that_it_was_to_have_alone(bench: Any) -> None:
    model = bench().chat
    granted = Granted.after(NoRoom("no"), model, 6000).to_dict()
    assert window_of(model, {**granted, "model": "another"}) == 8192
    assert window_of(model, {**granted, "instead_of": 16384}) == 8192
