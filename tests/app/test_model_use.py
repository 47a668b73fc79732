"""What a run tells of the tokens and the money that it used, and what it may not spend; over both APIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answers, Reply
from flowloom.llm.ollama_server import OllamaServer
from flowloom.llm.openai_server import OpenAIServer

pytestmark = pytest.mark.long

GRAPH = """flow: 1
name: two
output: state.said
state: {said: {type: string}}
nodes:
  first: {type: llm, prompt: One}
  second: {type: llm, prompt: Two, output: {to: said}}
edges:
  - [START, first, second, END]
"""
PRICED = ("-c", 'models.prices={"scripted:latest" = {prompt = 2, cached = 1, completion = 10}}')
REPLY = Reply("Hello back", prompt_tokens=1000, completion_tokens=100, cached_tokens=400)


@pytest.fixture
def two(repo: Path) -> tuple[str, ...]:
    path = repo.parent / "two.yaml"
    path.write_text(GRAPH)
    return ("run", str(path), "-c", "verify=")


def shown(flow: Any, repo: Path) -> Any:
    return json.loads(flow("runs", "show", "-o", "json", cwd=repo).out)


def test_run_and_steps_tell_tokens_speeds_and_cost(flow: Any, repo: Path, two: tuple[str, ...]) -> None:
    with OpenAIServer(lambda request: REPLY) as server:
        done = flow(*two, *PRICED, cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert "cost 0.0052)" in done.err.splitlines()[-1]
    run = shown(flow, repo)
    usage = run["usage"]
    assert (usage["prompt_tokens"], usage["cached_tokens"], usage["completion_tokens"]) == (2000, 800, 200)
    # The scripted server says that it read and wrote for half a millisecond each.
    assert (usage["prompt_per_s"], usage["completion_per_s"]) == (1_200_000.0, 200_000.0)
    assert usage["cost"] == pytest.approx(0.0052)
    step = run["steps"][0]
    assert (step["node"], step["cached_tokens"], step["cost"]) == ("first#1", 400, pytest.approx(0.0026))
    out = flow("runs", "show", cwd=repo).out
    rows = [line.split() for line in out.splitlines() if line.startswith(("STEP", "1 ", "all"))]
    assert " ".join(rows[2]) == "STEP NODE MODEL CALLS PROMPT KEPT CACHED REPLY PROMPT/S REPLY/S COST"
    assert rows[3] == [
        "1",
        "first",
        "scripted:latest",
        "1",
        "1,000",
        "-",
        "400",
        "100",
        "1,200,000",
        "200,000",
        "0.0026",
    ]
    assert rows[4] == ["all", "2", "2,000", "-", "800", "200", "1,200,000", "200,000", "0.0052"]


@pytest.mark.parametrize("kind", ["ollama", "vllm"])
def test_what_a_server_does_not_tell_is_unknown(flow: Any, repo: Path, two: tuple[str, ...], kind: str) -> None:
    plain = Reply("Hello back", prompt_tokens=1000, completion_tokens=100)
    server = OllamaServer(lambda _: plain) if kind == "ollama" else OpenAIServer(lambda _: plain, kind="vllm")
    with server:
        assert flow(*two, "-q", cwd=repo, url=server.url).code == 0
    usage = shown(flow, repo)["usage"]
    assert (usage["prompt_tokens"], usage["cached_tokens"], usage["cost"]) == (2000, None, None)
    assert (usage["completion_per_s"] is None) == (kind == "vllm")
    assert "COST" not in flow("runs", "show", cwd=repo).out


def test_server_without_counts_is_held_to_a_budget_by_estimates(flow: Any, repo: Path, two: tuple[str, ...]) -> None:
    long = Reply("word " * 800)
    with OpenAIServer(lambda _: long, kind="vllm", reports_usage=False) as server:
        done = flow(*two, "-q", "--max-tokens", "2600", cwd=repo, url=server.url)
        assert len(server.requests) == 1
    assert done.code == 3 and "of at most 2,600 tokens" in done.err, done.err
    usage = shown(flow, repo)["usage"]
    assert usage["prompt_tokens"] == 0 and usage["estimated_tokens"] > 800
    assert "that the server did not report" in flow("runs", "show", cwd=repo).out


@pytest.mark.parametrize("kind", ["ollama", "llama.cpp"])
def test_budget_is_never_passed_and_the_run_goes_on_with_a_larger_one(shop: Any, answers: Answers, kind: Any) -> None:
    server = OllamaServer(answers) if kind == "ollama" else OpenAIServer(answers, kind=kind)
    with server:
        for limit in (3_000, 6_000, 9_000):
            words = ("resume", "-q", "--max-tokens", str(limit))
            if limit == 3_000:
                done = shop.run(server, "-q", "--no-approve-plan", "--max-tokens", str(limit))
            else:
                done = shop.flow(*words, cwd=shop.repo, url=server.url)
            assert done.code == 3 and f"of at most {limit:,} tokens" in done.err, done.err
            usage = shown(shop.flow, shop.repo)["usage"]
            used = usage["prompt_tokens"] + usage["completion_tokens"] + usage["estimated_tokens"]
            assert used <= limit
        assert shop.flow("resume", "-q", "--max-tokens", "1M", cwd=shop.repo, url=server.url).code == 0
    assert shop.is_green()


@pytest.mark.parametrize("kind", ["ollama", "llama.cpp"])
def test_cost_is_limited_before_it_is_spent(flow: Any, repo: Path, two: tuple[str, ...], kind: Any) -> None:
    server = OllamaServer(lambda _: REPLY) if kind == "ollama" else OpenAIServer(lambda _: REPLY, kind=kind)
    with server:
        done = flow(*two, "-q", *PRICED, "--max-cost", "0.012", cwd=repo, url=server.url)
        assert done.code == 3 and "has cost 0.0026 of at most 0.0120" in done.err, done.err
        assert "--max-cost" in done.err and len(server.requests) == 1
        assert flow("resume", "-q", *PRICED, "--max-cost", "1", cwd=repo, url=server.url).code == 0
        assert len(server.requests) == 2


def test_cost_limit_without_a_price_is_told_before_the_run(flow: Any, repo: Path, two: tuple[str, ...]) -> None:
    with OllamaServer(lambda _: REPLY) as server:
        done = flow(*two, "-q", "--max-cost", "1", cwd=repo, url=server.url)
        free = flow(
            *two,
            "-q",
            "--max-cost",
            "1",
            "-c",
            'models.prices={"*" = {prompt = 0, completion = 0}}',
            cwd=repo,
            url=server.url,
        )
    assert (done.code, free.code) == (2, 0)
    assert "the model 'scripted:latest' has no price" in done.err and "models.prices" in done.err


@pytest.mark.parametrize("text", ["0", "-1", "much", "1e3"])
def test_amount_that_is_none_is_told(flow: Any, repo: Path, two: tuple[str, ...], text: str) -> None:
    done = flow(*two, "-q", f"--max-cost={text}", cwd=repo)
    assert done.code == 2 and repr(text) in done.err
