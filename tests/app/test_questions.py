"""Several open questions, pauses and raised limits, as a person meets them at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Call, Reply
from flowloom.llm.ollama_server import OllamaServer, scripted

pytestmark = pytest.mark.slow

ASKS = """\
flow: 1
name: asks
state: {said: {type: list, reduce: append}}
output: state.said
nodes:
  left: {type: human, show: "Go left?", choices: [yes, no], output: {to: said}}
  right: {type: human, show: "Go right?", choices: [yes, no], output: {to: said}}
  done: {type: set, value: {}}
edges:
  - [START, [left, right], done, END]
"""
PAUSES = """\
flow: 1
name: pauses
nodes:
  look: {type: shell, run: [sh, -c, "echo x >> looks; cat ready"], parse: json, on_error: pause}
  more: {type: set, value: {}}
edges:
  - [START, look, more, END]
"""


class Repo:
    """A repository, and `flow` in it."""

    def __init__(self, folder: Path, flow: Any, url: str) -> None:
        self.folder = folder
        self._flow = flow
        self._url = url

    def __call__(self, *words: str) -> Any:
        return self._flow(*words, cwd=self.folder, url=self._url)

    def run(self, text: str, *words: str) -> Any:
        file = self.folder.parent / "graph.yaml"
        file.write_text(text, "utf-8")
        return self("--no-input", "run", str(file), "--mode", "auto", "-c", "sandbox.backend=none", *words)


@pytest.fixture
def repo(make_repo: Any, flow: Any) -> Iterator[Repo]:
    with OllamaServer(scripted([])) as server:
        yield Repo(make_repo({"a.txt": "a\n"}), flow, server.url)


def questions(repo: Repo) -> dict[str, str]:
    """Return the ids of the open questions, by node."""
    shown = json.loads(repo("runs", "show", "last", "-o", "json").out)
    return {asked["node"]: asked["id"] for asked in shown["questions"]}


def test_questions_of_branches_are_listed_and_answered_by_their_ids(repo: Repo) -> None:
    done = repo.run(ASKS)
    assert done.code == 4, done.err
    asked = questions(repo)
    assert set(asked) == {"left#1", "right#1"}
    assert f"Waiting for 2 answers: {asked['left#1'][:8]} at left#1 (yes, no); " in done.err
    shown = repo("runs", "show", "last").out
    assert all(f"--answer {name[:8]}=yes" in shown for name in asked.values())

    done = repo("--no-input", "resume", "--answer", "yes")
    assert done.code == 2
    assert "2 questions are open and 'yes' does not say which it answers" in done.err

    done = repo("--no-input", "resume", "--answer", f"{asked['right#1'][:6]}=no")
    assert done.code == 4, done.err
    assert set(questions(repo)) == {"left#1"}

    done = repo("--no-input", "resume", "--answer", "yes", "-o", "json")
    assert done.code == 0, done.err
    assert [each["choice"] for each in json.loads(done.out)["output"]] == ["yes", "no"]


def test_several_answers_may_be_given_at_once(repo: Repo) -> None:
    assert repo.run(ASKS).code == 4
    given = [word for name in questions(repo).values() for word in ("--answer", f"{name[:8]}=yes")]
    twice = repo("--no-input", "resume", *given, *given[:2])
    assert (twice.code, "is answered twice" in twice.err) == (2, True)
    done = repo("--no-input", "resume", *given)
    assert done.code == 0, done.err


def test_headless_answers_are_taken_for_all_questions_that_have_one(repo: Repo) -> None:
    done = repo.run(ASKS.replace("choices: [yes, no]", "choices: [yes, no], headless: no", 1))
    assert done.code == 4, done.err
    assert set(questions(repo)) == {"right#1"}


def test_paused_run_tries_the_failed_node_again_when_it_is_resumed(repo: Repo) -> None:
    done = repo.run(PAUSES)
    assert done.code == 4
    assert "look#1 failed, and the run waits: look: the command failed" in done.err
    shown = json.loads(repo("runs", "show", "last", "-o", "json").out)
    assert (shown["status"], shown["questions"]) == ("paused", [])
    (repo.folder / "ready").write_text("1")
    done = repo("--no-input", "resume")
    assert done.code == 0, done.err
    assert (repo.folder / "looks").read_text().split() == ["x", "x"]


def test_limit_of_node_runs_is_raised_by_an_option(repo: Repo) -> None:
    text = PAUSES.replace("cat ready", "echo 1")
    done = repo.run(text, "--max-node-runs", "1")
    assert done.code == 3
    assert "1 of at most 1 node runs; stopped before 'more#1'" in done.err
    assert "--max-node-runs N" in done.err
    done = repo("--no-input", "resume", "--max-node-runs", "2")
    assert done.code == 0, done.err
    assert (repo.folder / "looks").read_text().split() == ["x"]


def test_limit_of_a_node_is_raised_in_its_graph(repo: Repo) -> None:
    text = PAUSES.replace("cat ready", "sleep 1").replace("on_error: pause", "limits: {wall: 300ms}")
    done = repo.run(text)
    assert done.code == 124, done.err
    assert "'look#1' has worked" in done.err
    file = repo.folder.parent / "graph.yaml"
    file.write_text(text.replace("300ms", "60s").replace("sleep 1", "echo 1"), "utf-8")
    assert repo("--no-input", "resume").code == 6
    done = repo("--no-input", "resume", "--force-graph")
    assert done.code == 0, done.err


def test_replies_that_cannot_be_used_are_tried_again_in_a_visit_of_its_own(make_repo: Any, flow: Any) -> None:
    text = """\
flow: 1
name: lists
state: {got: {type: list}}
output: state.got
nodes:
  ask: {type: llm, prompt: p, output: {to: got, schema: {type: array, items: {type: string}}},
    retry: {max_attempts: 2, backoff: 1ms, retry_on: [reply]}}
edges: [[START, ask, END]]
"""
    with OllamaServer(scripted([Reply("no"), Reply("no"), Reply('["yes"]')])) as server:
        repo = Repo(make_repo({"a.txt": "a\n"}), flow, server.url)
        done = repo.run(text, "--no-preflight", "-o", "jsonl")
    assert done.code == 0, done.err
    assert [(line["node"], line["type"]) for line in done.lines if line["type"].startswith("node_")] == [
        ("ask#1", "node_start"),
        ("ask#1", "node_fail"),
        ("ask#2", "node_start"),
        ("ask#2", "node_end"),
    ]


def test_tool_calls_of_an_agent_are_limited_and_go_on_with_more(make_repo: Any, flow: Any) -> None:
    text = """\
flow: 1
name: looks
nodes: {look: {type: agent, prompt: p, tools: [glob], limits: {tool_calls: 1}}}
edges: [[START, look, END]]
"""
    look = [Reply(calls=[Call("glob", {"pattern": name})]) for name in ("*.txt", "*.md")]
    with OllamaServer(scripted([*look, Reply("done")])) as server:
        repo = Repo(make_repo({"a.txt": "a\n"}), flow, server.url)
        done = repo.run(text, "--no-preflight")
        assert done.code == 3
        assert "'look#1' has used 1 of at most 1 tool calls; stopped before 'look#1'" in done.err
        file = repo.folder.parent / "graph.yaml"
        file.write_text(text.replace("tool_calls: 1", "tool_calls: 2"), "utf-8")
        done = repo("--no-input", "resume", "--force-graph")
        assert done.code == 0, done.err
        assert len(server.requests) == 3
