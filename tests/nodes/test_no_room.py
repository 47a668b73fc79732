"""A server that has no room for a request in the middle of a conversation gets a smaller one, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowloom.core.errors import NoRoom
from flowloom.llm.answers import Answer, Answers, ChatRequest, Fault, Reply
from flowloom.llm.ollama import OllamaChat
from flowloom.llm.ollama_server import OllamaServer
from flowloom.nodes.deps import AgentLimits

from .test_compacting import READER, asks_for_summary, counting, prompt_tokens, reads, told, write_modules

REAL = 5000
"""Tokens of the window that the server has, where 8,192 were asked for."""
SAID = (
    f"request (5321 tokens) exceeds the available context size ({REAL} tokens), try increasing it",
    f"This model's maximum context length is {REAL} tokens. However, you requested 5321 tokens (3683 in the "
    "messages, 1638 in the completion).",
    f"The decoder prompt (length 5321) is longer than the maximum model length of {REAL}.",
    "the input length exceeds the context length",
    "prompt too long; exceeded max context length by 321 tokens",
)


def smaller_than_said(text: str, real: int = REAL, count: int = 12) -> Answers:
    """Return a model whose server refuses what does not fit a window that is smaller than it says."""
    turn, taken = reads(count), 0

    def answer(request: ChatRequest) -> Answer:
        nonlocal taken
        if prompt_tokens(request) >= real:
            return Fault("http", status=400, text=text)
        if asks_for_summary(request):
            return Reply("Some files were read.")
        taken += 1
        return turn(taken - 1)

    return counting(answer)


def retries(run: Any) -> list[str]:
    return [event.data["reason"] for event in run.events if event.type == "model_retry"]


@pytest.mark.parametrize("text", SAID)
async def test_a_refused_request_is_made_smaller_and_asked_once_more(bench: Any, text: str) -> None:
    run = bench(serve=smaller_than_said(text))
    write_modules(run, 12)
    assert await run.node(READER) == "done"
    refused = [request for request in run.server.requests if prompt_tokens(request) >= REAL]
    assert len(refused) == len(retries(run)) >= 1
    assert text in retries(run)[0]
    first = run.server.requests[run.server.requests.index(refused[0]) + 1]
    assert prompt_tokens(first) < REAL and "m0.py" in first.messages[1]["content"]
    assert told(run)[0]["how"] in ("results", "window")


async def test_the_window_that_was_found_holds_for_the_rest_of_the_conversation(bench: Any) -> None:
    run = bench(serve=smaller_than_said(SAID[0], count=30))
    write_modules(run, 30)
    assert await run.node(READER) == "done"
    assert len(retries(run)) == 1 and len(told(run)) > 2
    assert sum(prompt_tokens(request) >= REAL for request in run.server.requests) == 1


# With long files the first refused request is the one for a summary.
@pytest.mark.parametrize("lines", [20, 40])
async def test_no_room_for_the_smaller_request_either_ends_the_visit_with_what_the_server_says(
    bench: Any, lines: int
) -> None:
    def answer(request: ChatRequest) -> Answer:
        given = reads(99)(len(run.server.requests) - 1)
        return given if len(run.server.requests) < 8 else Fault("http", status=400, text=SAID[3])

    run = bench(serve=answer)
    write_modules(run, 12, lines)
    with pytest.raises(NoRoom, match="the input length exceeds the context length"):
        await run.node(READER)
    assert len(run.server.requests) == 9 and len(told(run)) == len(retries(run)) == 1


async def test_a_first_request_that_is_refused_is_not_asked_again(bench: Any) -> None:
    run = bench(Fault("http", status=400, text=SAID[0]))
    with pytest.raises(NoRoom, match="does not fit the server's window"):
        await run.node(READER)
    assert len(run.server.requests) == 1 and told(run) == []


async def test_a_prompt_that_was_cut_without_a_word_is_made_smaller_too(bench: Any) -> None:
    turn, taken = reads(12), 0

    def answer(request: ChatRequest) -> Answer:
        nonlocal taken
        tokens = prompt_tokens(request)
        if tokens > 3000:
            return Reply("I answer what I was shown.", prompt_tokens=2500)
        if asks_for_summary(request):
            return Reply("Some files were read.", prompt_tokens=tokens)
        taken += 1
        given = turn(taken - 1)
        assert isinstance(given, Reply)
        return replace(given, prompt_tokens=tokens)

    # What is asked once more behind a new beginning, for one token, is cut as well.
    with OllamaServer(answer, preflight=Reply("I", prompt_tokens=2500)) as server:
        run = bench(limits=AgentLimits(max_tokens=300))
        run.chat = OllamaChat(url=server.url, model="scripted", window=8192)
        write_modules(run, 12, lines=20)
        assert await run.node(READER) == "done"
        await run.chat.aclose()
    assert "read only 2,500 tokens" in retries(run)[0] and len(retries(run)) == 1
    assert told(run)[0]["how"] in ("results", "window")
    assert len(server.preflights) == 1
