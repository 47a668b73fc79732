"""What the server's own tokenizer and its counts say decides, and is asked only where something hangs on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowloom.core.errors import LimitReached
from flowloom.core.messages import CallKey, Message, ModelRequest
from flowloom.llm.answers import Reply
from flowloom.llm.tokens import EstimatingCounter, count_request
from flowloom.nodes.deps import AgentLimits
from flowloom.nodes.window import Measured, learned_ratio, prompt_tokens

from .test_compacting import READER, agent, asks_for_summary, counting, reads, told, write_modules


class Tokenizer:
    """Counts a share of what is estimated (core.ports.PromptCounts), and notes what it was asked."""

    def __init__(self, share: float, ratio: float = 1.0) -> None:
        self._share = share
        self._ratio = ratio
        self.asked: list[ModelRequest] = []
        self.kept: list[tuple[str, float]] = []

    def ratio(self, wanted: str) -> float:
        return self._ratio

    async def exact(self, wanted: str, request: ModelRequest) -> int | None:
        self.asked.append(request)
        estimate = count_request(request.messages, request.tools, EstimatingCounter())
        return int(estimate * self._share) if self._share else None

    def learned(self, model: str, ratio: float) -> None:
        self.kept.append((model, ratio))


def use(run: Any, counts: Tokenizer) -> Tokenizer:
    deps = run.deps
    run.deps = lambda: replace(deps(), counts=counts)
    return counts


async def test_a_conversation_that_is_only_estimated_to_be_full_stays_whole(bench: Any) -> None:
    run = bench(serve=agent(reads(8)))
    write_modules(run, 8)
    tokenizer = use(run, Tokenizer(0.6))
    assert await run.node(READER) == "done"
    assert told(run) == []
    # For the last requests alone, each counted as a whole.
    assert [len(request.messages) for request in tokenizer.asked] == [16, 18]


async def test_a_tokenizer_is_not_asked_while_there_is_room(bench: Any) -> None:
    run = bench(serve=counting(agent(reads(5))))
    write_modules(run, 5)
    tokenizer = use(run, Tokenizer(0.6))
    assert await run.node(READER) == "done"
    assert tokenizer.asked == []


async def test_a_server_without_a_tokenizer_is_counted_as_estimated(bench: Any) -> None:
    run = bench(serve=agent(reads(12)))
    write_modules(run, 12)
    tokenizer = use(run, Tokenizer(0))
    assert await run.node(READER) == "done"
    # Once for each time that it is made smaller, not for each text.
    assert len(tokenizer.asked) == len(told(run)) > 0


async def test_what_the_tokenizer_counts_above_the_estimate_counts_too(bench: Any) -> None:
    run = bench(Reply("never asked"))
    use(run, Tokenizer(2.0))
    words = " ".join(f"Word {number} is here." for number in range(1000))
    with pytest.raises(LimitReached, match="the window of 'scripted' holds 8,192"):
        await run.node(f"type: llm, prompt: {words}")
    assert run.server.requests == []


async def test_a_model_that_counts_more_than_is_estimated_is_compacted_earlier(bench: Any) -> None:
    first = []
    for ratio in (1.0, 2.0):
        run = bench(serve=agent(reads(8)), limits=AgentLimits(model_calls=100))
        write_modules(run, 8, lines=60)
        use(run, Tokenizer(0, ratio))
        assert await run.node(READER) == "done"
        first.append(next(request.index for request in run.server.requests if asks_for_summary(request)))
    assert first[1] < first[0]


async def test_a_count_above_the_estimate_is_kept_for_later_runs(bench: Any) -> None:
    run = bench(Reply("done", prompt_tokens=3000))
    counts = use(run, Tokenizer(0))
    await run.node("type: llm, prompt: Say that it is done")
    ((model, ratio),) = counts.kept
    assert (model, ratio > 1) == ("scripted", True)


def test_a_ratio_raises_estimates_and_leaves_counts_as_they_are() -> None:
    counter = EstimatingCounter()
    old, new = Message("user", "word " * 400), Message("user", "more " * 100)
    request = ModelRequest((old, new), CallKey("a", 1, 1))
    plain = prompt_tokens(request, counter, None)
    assert prompt_tokens(request, counter, None, 1.5) >= 1.5 * plain
    measured = Measured(450, 1)
    grown = prompt_tokens(request, counter, measured) - 450
    assert prompt_tokens(request, counter, measured, 1.5) == 450 + -(-grown * 3 // 2)


def test_a_ratio_is_learned_upwards_only() -> None:
    request = ModelRequest((Message("user", "word " * 400),), CallKey("a", 1, 0))
    estimate = prompt_tokens(request, EstimatingCounter(), None)
    assert learned_ratio(request, EstimatingCounter(), estimate // 2, 1.0) == 1.0
    learned = learned_ratio(request, EstimatingCounter(), estimate * 2, 1.0)
    assert learned == 2.0
    assert prompt_tokens(request, EstimatingCounter(), None, learned) >= estimate * 2
    assert learned_ratio(request, EstimatingCounter(), estimate, 1.7) == 1.7
