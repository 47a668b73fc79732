"""Titles of runs: by the task's own words, or by the role light where it is another model; nothing waits for it."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, Answers, ChatRequest, Fault, Reply
from flowloom.llm.ollama_server import OllamaServer

MODELS = ("devstral:24b", "gemma3:4b")
GRAPH = """flow: 1
name: two
input: {task: {type: string, positional: true, required: true}}
nodes:
  one: {type: llm, prompt: One}
  two: {type: llm, prompt: Two}
edges: [[START, one, two, END]]
"""
TASK = "# Cart\n\nThe total is wrong."
LIGHT = ("-c", "models.light=gemma3:4b")
NEW = Reply(json.dumps({"isNewTopic": True, "title": "Wrong  cart\ntotal"}))


@pytest.fixture
def words(repo: Path) -> tuple[str, ...]:
    path = repo.parent / "two.yaml"
    path.write_text(GRAPH)
    return ("run", str(path), TASK, "-c", "verify=", "-m", "devstral:24b", "--no-preflight")


def answering(light: Answers, before_second: Callable[[], None] = lambda: None) -> Answers:
    asked = {"main": 0}

    def answer(request: ChatRequest) -> Answer:
        if request.body.get("model") == "gemma3:4b":
            return light(request)
        asked["main"] += 1
        if asked["main"] == 2:
            before_second()
        return Reply(f"answer {asked['main']}")

    return answer


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not there() and time.monotonic() < deadline:
        time.sleep(0.02)


def titles(flow: Any, repo: Path) -> list[str]:
    return [row["title"] for row in json.loads(flow("runs", "list", "-o", "json", cwd=repo).out)]


def asked_models(server: OllamaServer) -> list[str]:
    return [str(request.body["model"]) for request in server.requests]


def test_light_model_gives_the_title_after_the_first_answer(
    flow: Any, isolated_home: Path, repo: Path, words: Any
) -> None:
    def stored() -> bool:
        with sqlite3.connect(next(isolated_home.rglob("runs.db"))) as database:
            found: object = database.execute("SELECT title FROM run").fetchone()
        return found == ("Wrong cart total",)

    with OllamaServer(answering(lambda request: NEW, lambda: until(stored)), models=MODELS) as server:
        done = flow(*words, *LIGHT, cwd=repo, url=server.url)
    assert done.code == 0
    assert titles(flow, repo) == ["Wrong cart total"]
    assert asked_models(server)[0] == "devstral:24b"
    (request,) = (request for request in server.requests if request.body["model"] == "gemma3:4b")
    assert "The total is wrong." in request.messages[0]["content"]
    assert "format" in request.body and "answer 1" not in json.dumps(request.body)
    shown = flow("runs", "show", cwd=repo).out
    assert "Wrong cart total" in shown and "3 model calls" in shown


def test_without_a_model_of_its_own_nobody_is_asked(flow: Any, repo: Path, words: Any) -> None:
    with OllamaServer(answering(lambda request: NEW), models=MODELS) as server:
        assert flow(*words, cwd=repo, url=server.url).code == 0
    assert titles(flow, repo) == ["Cart"]
    assert asked_models(server) == ["devstral:24b"] * 2


def test_setting_leaves_titles_out(flow: Any, repo: Path, words: Any) -> None:
    with OllamaServer(answering(lambda request: NEW), models=MODELS) as server:
        assert flow(*words, *LIGHT, "-c", "models.titles=false", cwd=repo, url=server.url).code == 0
    assert titles(flow, repo) == ["Cart"]
    assert "gemma3:4b" not in asked_models(server)


def test_end_of_a_run_does_not_wait_for_a_title(flow: Any, repo: Path, words: Any) -> None:
    asked, over = threading.Event(), threading.Event()

    def silent(request: ChatRequest) -> Answer:
        asked.set()
        over.wait(60)
        return NEW

    with OllamaServer(answering(silent, lambda: until(asked.is_set)), models=MODELS) as server:
        done = flow(*words, *LIGHT, cwd=repo, url=server.url)
        assert asked.is_set() and not over.is_set()
        over.set()
    assert done.code == 0
    assert titles(flow, repo) == ["Cart"]


@pytest.mark.parametrize(
    "light",
    [Fault("http", status=500, text="no"), Reply("Cart trouble"), Reply('{"isNewTopic": false, "title": ""}')],
)
def test_title_that_cannot_be_had_leaves_the_tasks_own_words(
    flow: Any, repo: Path, words: Any, light: Answer
) -> None:
    seen = threading.Event()

    def answer(request: ChatRequest) -> Answer:
        seen.set()
        return light

    with OllamaServer(answering(answer, lambda: until(seen.is_set)), models=MODELS) as server:
        assert flow(*words, *LIGHT, cwd=repo, url=server.url).code == 0
    assert titles(flow, repo) == ["Cart"]
