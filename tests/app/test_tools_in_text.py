"""plan-and-code with a model that takes no tools and whose template knows user and assistant only."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

from rs_bpe.bpe import openai

from flowloom.llm.answers import Answer, Answers, ChatRequest, Reply
from flowloom.llm.ollama_server import OllamaServer

GEMMA: dict[str, Any] = {"capabilities": ("completion", "vision"), "grammar": "gemma", "models": ("gemma3:12b",)}


def in_text(answers: Answers) -> Answers:
    """Return the same answers as a model gives them that is held to the schema of a call or an answer."""

    def answer(request: ChatRequest) -> Answer:
        found = answers(request)
        if not isinstance(found, Reply):
            return found
        if found.calls:
            (call,) = found.calls
            return Reply(json.dumps({"tool": call.name, "arguments": call.arguments}, ensure_ascii=False))
        text = found.text
        return Reply(json.dumps({"final": json.loads(text) if text.startswith("{") else text}, ensure_ascii=False))

    return answer


def test_repository_is_green_after_a_whole_run_and_no_request_breaks_a_rule(
    shop: Any, repo: Path, answers: Answers
) -> None:
    with OllamaServer(in_text(answers), **GEMMA) as server:
        done = shop.run(server, "-o", "json")
    assert done.code == 0, done.err
    assert shop.is_green()
    assert server.refused == []
    assert not any("tools" in request.body for request in server.requests)
    assert all(request.body["format"]["anyOf"] for request in server.requests)
    assert json.loads(done.out)["output"]["verdict"]["verdict"] == "approve"


def test_system_text_with_the_tools_stays_within_1500_tokens_and_stands_unchanged_in_front(
    shop: Any, repo: Path, answers: Answers
) -> None:
    with OllamaServer(in_text(answers), **GEMMA) as server:
        shop.run(server)
    by_agent: dict[str, list[list[dict[str, Any]]]] = {}
    for request in server.requests:
        by_agent.setdefault(str(request.messages[0]["content"]), []).append(request.messages)
    for conversations in by_agent.values():
        for before, after in pairwise(conversations):
            assert after[: len(before)] == before
    for first in by_agent:
        # The system text stands in front of the first message: Gemma's template has no place of its own for it.
        front = re.split(r"^<\w+>$", first, maxsplit=1, flags=re.MULTILINE)[0]
        assert "- grep(pattern: string" in front
        assert openai.cl100k_base().count(front) * 1.1 <= 1500


def test_recorded_run_is_replayed_with_no_model(shop: Any, repo: Path, answers: Answers, tmp_path: Path) -> None:
    cassette = tmp_path / "run.jsonl"
    with OllamaServer(in_text(answers), **GEMMA) as server:
        assert shop.run(server, "--record", str(cassette)).code == 0
        for words in (["checkout", "-q", "."], ["clean", "-q", "-fd"]):
            subprocess.run(["git", *words], cwd=repo, check=True)
        again = shop.run(server, "--replay", str(cassette))
    assert again.code == 0, again.err
    assert shop.is_green()
