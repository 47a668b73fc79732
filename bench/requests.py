"""What the twelve-request reading run sends: tokens, how much of it a server computes, and the gaps between."""

from __future__ import annotations

import statistics
from itertools import pairwise

from .model_server import Asked
from .reading_run import Reading, reading_runs
from .rows import Row
from .tokens import canonical, common_front, count_tokens

_TIMES = 3


def run() -> list[Row]:
    """Return the figures without repository context, held to the limits, and with the budgets a coder has."""
    with reading_runs() as runs:
        bare = [runs.run(repository_context=False) for _ in range(_TIMES)]
        full = [runs.run(repository_context=True) for _ in range(_TIMES)]
    return [
        *_rows("no context", bare, first=2000, total=60_000, computed=7000),
        *_rows("map and code", full),
        Row("12 requests, same start twice: first requests differ", _differing(bare) + _differing(full), "", limit=0),
    ]


def _rows(
    name: str,
    readings: list[Reading],
    first: float | None = None,
    total: float | None = None,
    computed: float | None = None,
) -> list[Row]:
    prompts = [canonical(asked.body) for asked in readings[0].asked]
    tokens = [count_tokens(prompt.decode()) for prompt in prompts]
    read = sum(map(_read_tokens, readings[0].asked[-1].body["messages"]))
    gaps = [statistics.median(reading.gaps_s) * 1000 for reading in readings]
    label = f"12 requests, {name}:"
    return [
        Row(f"{label} first request", tokens[0], "tokens", limit=first),
        Row(f"{label} all prompts", sum(tokens), "tokens", limit=total, beside=f"tool results: {read:,}"),
        Row(f"{label} computed with one slot", _computed(prompts), "tokens", limit=computed),
        Row(f"{label} kept of the request before", _kept(prompts), "", limit=1, bound="at least"),
        Row(f"{label} answer to next request", min(gaps), "ms", beside=f"in the slowest run {max(gaps):.0f} ms"),
    ]


def _read_tokens(message: dict[str, str]) -> int:
    return count_tokens(message["content"]) if message["role"] == "tool" else 0


def _computed(prompts: list[bytes]) -> int:
    """Return the tokens of all prompts that do not stand in front of the prompt before."""
    total = count_tokens(prompts[0].decode())
    for old, new in pairwise(prompts):
        total += count_tokens(new[common_front(old, new) :].decode("utf-8", "ignore"))
    return total


def _kept(prompts: list[bytes]) -> float:
    """Return the smallest share of a prompt that stands unchanged in front of the one after it."""
    return min(common_front(old, new) / len(old) for old, new in pairwise(prompts))


def _differing(readings: list[Reading]) -> int:
    firsts: list[Asked] = [reading.asked[0] for reading in readings]
    return len({canonical(asked.body) for asked in firsts}) - 1
