"""Whole runs in windows that fill: a server that refuses every request without room for its answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flowloom.bench.tokens import canonical, common_front, count_tokens
from flowloom.llm.answers import Answer, Call, ChatRequest, Fault, Reply
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.long

ASKED = "Write down in at most"
TASK = "Every module gets its rate from the table of rates, step by step."
PLAN = {
    "title": "Rates from the table",
    "steps": [
        {
            "id": f"s{at}",
            "title": f"Module {at}",
            "brief": f"BRIEF-{at}: module_{at} reads its rate.",
            "depends_on": [],
        }
        for at in range(12)
    ],
}
APPROVE = json.dumps({"verdict": "approve", "findings": []})


def module(number: int) -> str:
    rows = "".join(
        f"    total += price_{line} * RATE  # part {line} of the price of module {number}\n" for line in range(45)
    )
    return f"RATE = {number}\n\n\ndef module_{number}(prices):\n    total = 0\n{rows}    return total\n"


@pytest.fixture
def repo(make_repo: Callable[..., Path]) -> Path:
    return make_repo({f"shop/m{at}.py": module(at) for at in range(12)})


class Model:
    """Answers planner, coders and reviewer, each agent its turns in order, whatever is left out."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.summaries = 0

    def __call__(self, request: ChatRequest) -> Answer:
        options = request.body["options"]
        if count_tokens(canonical(request.body).decode()) + options["num_predict"] > options["num_ctx"]:
            return Fault("http", status=400, text="the request exceeds the available context size")
        if ASKED in request.messages[-1]["content"]:
            self.summaries += 1
            return Reply(f"SUMMARY-{self.summaries}: some modules were read.")
        first = request.messages[1]["content"]
        if "Your job: plan" in first:
            return self._next("plan", [*map(read, (0, 1, 2, 3, 4)), Reply(json.dumps(PLAN))])
        if "Your job: review" in first:
            return self._next("review", [read(3), Reply(APPROVE)])
        step = next(at for at in reversed(range(12)) if f"BRIEF-{at}:" in first)
        reads = [read((step + other) % 12) for other in (0, 3, 5, 7)]
        edit = Reply(
            calls=[
                Call(
                    "edit_file",
                    {"path": f"shop/m{step}.py", "old_text": f"RATE = {step}\n", "new_text": f"RATE = {step}.5\n"},
                )
            ]
        )
        return self._next(f"step {step}", [*reads, read(step), edit, Reply(f"module {step} is done")])

    def _next(self, agent: str, answers: list[Reply]) -> Answer:
        self.taken[agent] += 1
        return answers[self.taken[agent] - 1]


def read(number: int) -> Reply:
    return Reply(calls=[Call("read_file", {"path": f"shop/m{number}.py"})])


def new_tokens(server: OllamaServer) -> int:
    """Return the tokens that a server with one slot had to compute."""
    prompts = [canonical(request.body) for request in server.requests]
    fronts = [common_front(old, new) for old, new in pairwise(prompts)]
    return sum(
        count_tokens(prompt[front:].decode("utf-8", "ignore"))
        for prompt, front in zip(prompts, [0, *fronts], strict=True)
    )


def compactions(flow: Any, repo: Path) -> list[dict[str, Any]]:
    shown = flow("runs", "show", "-o", "json", cwd=repo)
    return [each for step in json.loads(shown.out)["steps"] for each in step["compactions"]]


def all_rates(repo: Path) -> Iterator[str]:
    for at in range(12):
        yield (repo / "shop" / f"m{at}.py").read_text("utf-8").splitlines()[0]


WORDS = ("run", "plan-and-code", TASK, "--mode", "auto", "-c", "verify=['true']", "--max-tokens", "2M")


def test_twelve_steps_are_made_in_an_8k_window_with_few_compactions(flow: Any, repo: Path) -> None:
    with OllamaServer(Model(), context_length=8192) as server:
        done = flow(*WORDS, cwd=repo, url=server.url)
        assert done.code == 0, done.err
    assert server.refused == [] and {request.body["options"]["num_ctx"] for request in server.requests} == {8192}
    assert list(all_rates(repo)) == [f"RATE = {at}.5" for at in range(12)]
    made = compactions(flow, repo)
    assert 0 < len(made) <= new_tokens(server) / 4000
    assert "compacted from" in done.err and "compacted from" in flow("runs", "show", cwd=repo).out


def test_in_a_32k_window_nothing_of_the_same_run_is_left_out(flow: Any, repo: Path) -> None:
    with OllamaServer(Model()) as server:
        done = flow(*WORDS, cwd=repo, url=server.url)
        assert done.code == 0, done.err
    assert list(all_rates(repo)) == [f"RATE = {at}.5" for at in range(12)]
    assert compactions(flow, repo) == []
    starts = sum(len(request.messages) == 2 for request in server.requests)
    kept = [request.messages for request in server.requests]
    losses = sum(new[: len(old)] != old for old, new in pairwise(kept))
    assert losses == starts - 1 == 13


def test_a_paused_run_goes_on_in_a_smaller_conversation_when_a_person_asks_for_it(flow: Any, repo: Path) -> None:
    with OllamaServer(Model()) as server:
        paused = flow(*WORDS[:-1], "60k", cwd=repo, url=server.url)
        assert paused.code == 3, paused.err
        before = len(server.requests)
        resumed = flow("resume", "--compact", "--max-tokens", "2M", cwd=repo, url=server.url)
        assert resumed.code == 0, resumed.err
    made = compactions(flow, repo)
    assert len(made) == 1 and made[0]["how"] == "summary"
    assert ASKED in server.requests[before].messages[-1]["content"]
    assert list(all_rates(repo)) == [f"RATE = {at}.5" for at in range(12)]


# Ends its own process around the reply to the first request for a summary.
KILL_AT_SUMMARY = """
import os, signal, sys
from pathlib import Path
from flowloom.runs.replies import Replies
from flowloom.runs.store import RunStore

place, once = sys.argv.pop(1), Path(sys.argv.pop(1))
keep, append = Replies.keep, RunStore.append_event

def kill():
    if not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)

def keep_and_die(self, key, digest, body):
    keep(self, key, digest, body)
    if place == "reply" and str(body.get("content")).startswith("SUMMARY"):
        kill()

def append_and_die(self, run_id, node, event):
    record = append(self, run_id, node, event)
    if place == "event" and event.type == "compacted" and event.how == "summary":
        kill()
    return record

Replies.keep, RunStore.append_event = keep_and_die, append_and_die
from flowloom.cli.app import main
main()
"""


@pytest.mark.parametrize("place", ["reply", "event"])
def test_killed_in_a_compaction_no_request_goes_out_twice(flow: Any, repo: Path, tmp_path: Path, place: str) -> None:
    with OllamaServer(Model(), context_length=8192) as server:
        env = {**os.environ, "OLLAMA_HOST": server.url}
        command = [sys.executable, "-c", KILL_AT_SUMMARY, place, str(tmp_path / "killed")]
        killed = subprocess.run([*command, *WORDS], cwd=repo, env=env, capture_output=True, timeout=120)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        resumed = flow("resume", cwd=repo, url=server.url)
        assert resumed.code == 0, resumed.err
    asked = Counter(json.dumps(request.messages) for request in server.requests)
    assert max(asked.values()) == 1
    keys = [each["key"] for each in compactions(flow, repo)]
    assert len(keys) == len(set(keys)) > 0
    assert list(all_rates(repo)) == [f"RATE = {at}.5" for at in range(12)]
