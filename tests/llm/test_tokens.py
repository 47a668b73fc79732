from __future__ import annotations

import base64
import json
import pydoc_data.topics
import random
import sysconfig
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowloom.core.messages import Message, ToolCall, ToolDef
from flowloom.llm.tokens import EstimatingCounter, count_request

TEXTS = Path(__file__).parent / "texts"
STDLIB = Path(sysconfig.get_path("stdlib"))
MODULES = ("argparse", "ast", "dataclasses", "json/decoder", "asyncio/tasks", "http/client", "zipfile/__init__")

# Estimate divided by cl100k's own count over samples of 1,000 characters, lowest / median / highest (Python 3.11):
# python 1.17 1.40 1.76, prose 1.30 1.32 1.34, manual 1.17 1.33 2.67 (tables of spaces and capitals),
# javascript 1.38 1.43 1.48, json 1.22 1.33 1.34, japanese 1.44, base64 1.15 1.21 1.26, hex 1.17 1.21 1.24,
# emoji 1.31 1.32 1.33, whitespace 1.36 1.68 2.03. One million characters of Python take 0.16 s.
KINDS = ("python", "prose", "manual", "javascript", "json", "japanese", "base64", "hex", "emoji", "whitespace")
ORDINARY = ("python", "prose", "manual", "javascript", "json", "japanese")


@cache
def corpus(kind: str) -> str:
    chance = random.Random(7)
    match kind:
        case "python":
            return "\n".join((STDLIB / f"{name}.py").read_text("utf-8") for name in _existing())
        case "manual":
            topics = pydoc_data.topics.topics
            return "\n".join(topics[name] for name in sorted(topics))[:200_000]
        case "prose" | "javascript" | "japanese":
            name = {"prose": "prose.txt", "javascript": "code.js", "japanese": "japanese.txt"}[kind]
            return (TEXTS / name).read_text("utf-8")
        case "json":
            rows = [{"id": n, "name": f"item-{n}", "tags": ["red", "日本"], "price": n * 1.25} for n in range(200)]
            return json.dumps(rows, indent=2, ensure_ascii=False) + json.dumps(rows)
        case "base64":
            return base64.b64encode(chance.randbytes(20_000)).decode()
        case "hex":
            return chance.randbytes(10_000).hex()
        case "emoji":
            return "".join(chr(chance.randrange(0x1F300, 0x1F650)) for _ in range(5_000))
        case _:
            spaces = (chance.choice(" \t\n") * chance.randrange(1, 90) for _ in range(600))
            return "".join(f"{space}x" if chance.random() < 0.5 else space for space in spaces)


def _existing() -> list[str]:
    # zipfile became a package in 3.12.
    return [name for name in MODULES if (STDLIB / f"{name}.py").exists()]


@cache
def cl100k_count(text: str) -> int:
    # The ranks take 15 ms to load; the tokenizer keeps them.
    from rs_bpe.bpe import openai

    return int(openai.cl100k_base().count(text))


def sample(kind: str, place: float, size: int) -> str:
    text = corpus(kind)
    start = int(place * max(0, len(text) - size))
    return text[start : start + size]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(place=st.floats(0, 1), size=st.integers(800, 8_000))
def test_estimate_is_never_below_cl100k_with_a_tenth_more(kind: str, place: float, size: int) -> None:
    text = sample(kind, place, size)
    assert EstimatingCounter().count(text) >= 1.1 * cl100k_count(text)


@pytest.mark.parametrize("kind", ORDINARY)
def test_estimate_of_ordinary_text_is_not_far_above(kind: str) -> None:
    samples = [sample(kind, step / 40, 1_000) for step in range(41)]
    ratios = sorted(EstimatingCounter().count(text) / cl100k_count(text) for text in samples)
    assert ratios[len(ratios) // 2] <= 1.45
    assert ratios[-5] <= 1.6


@given(st.text(max_size=300))
def test_any_text_has_a_count_that_grows_with_it(text: str) -> None:
    counter = EstimatingCounter()
    assert counter.count(text + text) >= counter.count(text) >= (1 if text else 0)


def test_empty_text_has_no_tokens() -> None:
    assert EstimatingCounter().count("") == 0


def test_half_a_surrogate_pair_is_counted() -> None:
    assert EstimatingCounter().count("\ud83d") > 0


def test_request_counts_messages_calls_and_tools() -> None:
    counter = EstimatingCounter()
    tool = ToolDef("read_file", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
    user = Message("user", "Do it.")
    call = Message("assistant", "", calls=(ToolCall("t0.0", "read_file", {"path": "src/main.py"}),))
    result = Message("tool", "text " * 50, call_id="t0.0", tool_name="read_file")
    one = count_request([user], [], counter)
    assert counter.count("Do it.") < one < 20
    assert count_request([user, call], [], counter) > one + counter.count('{"path": "src/main.py"}')
    assert count_request([user, call, result], [], counter) > counter.count("text " * 50)
    assert 60 < count_request([user], [tool], counter) - one < 120


def test_thinking_is_never_sent_and_costs_nothing() -> None:
    counter = EstimatingCounter()
    plain, thoughtful = Message("assistant", "a"), Message("assistant", "a", thinking="hm " * 100)
    assert count_request([plain], [], counter) == count_request([thoughtful], [], counter)
