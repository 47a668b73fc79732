"""A replay has no server to ask: what a run knew of windows and counts stands in its cassette."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, Answers, Call, ChatRequest, Fault, Reply
from flowloom.llm.ollama_server import OllamaServer
from flowloom.llm.openai_server import OpenAIServer, count_words, prompt_text

READS = 16
ASKED = "Write down in at most"


def module(number: int) -> str:
    return "".join(f"value_{number}_{line} = compute_{number}({line})\n" for line in range(40))


@pytest.fixture
def repo(make_repo: Callable[..., Path], tmp_path: Path) -> Path:
    (tmp_path / "read.yaml").write_text(
        "flow: 1\nname: read\nnodes:\n  a: {type: agent, prompt: Read all of it, tools: [read_file]}\n"
        "edges: [[START, a, END]]\n"
    )
    return make_repo({f"m{at}.py": module(at) for at in range(READS)})


def reader(refused_from: int = 0) -> Answers:
    """Return a model that reads file after file, and sums up when it is asked to.

    Args:
        refused_from: words that the server has no room for, once; 0 = it has it for all.
    """
    taken, refused = 0, False

    def answer(request: ChatRequest) -> Answer:
        nonlocal taken, refused
        words = count_words(prompt_text(request.body))
        if refused_from and words > refused_from and not refused:
            refused = True
            return Fault("http", status=400, text=f"exceeds the available context size ({refused_from} tokens)")
        if ASKED in request.messages[-1]["content"]:
            return Reply("Some files were read.", prompt_tokens=words)
        taken += 1
        read = Reply(calls=[Call("read_file", {"path": f"m{taken - 1}.py"})], prompt_tokens=words)
        return read if taken <= READS else Reply("done", prompt_tokens=words)

    return answer


def compactions(flow: Any, repo: Path) -> list[tuple[str, int]]:
    shown = json.loads(flow("runs", "show", "-o", "json", cwd=repo).out)
    return [(each["key"], each["before_tokens"]) for step in shown["steps"] for each in step["compactions"]]


def recorded_and_replayed(flow: Any, repo: Path, server: Any, *models: str) -> tuple[list[Any], list[Any]]:
    words = ("run", str(repo.parent / "read.yaml"), "-q", "-c", "verify=")
    cassette = str(repo.parent / "run.jsonl")
    with server:
        done = flow(*words, *models, "--record", cassette, cwd=repo, url=server.url)
        assert done.code == 0, done.err
    made = compactions(flow, repo)
    again = flow(*words, "--replay", cassette, cwd=repo)
    assert again.code == 0, again.err
    return made, compactions(flow, repo)


def test_a_replay_takes_the_window_that_was_recorded(flow: Any, repo: Path) -> None:
    made, again = recorded_and_replayed(flow, repo, OllamaServer(reader(), context_length=8192))
    assert made and again == made


def test_a_replay_takes_what_the_tokenizer_counted(flow: Any, repo: Path) -> None:
    server = OpenAIServer(reader(), kind="llama.cpp", context_length=8192)
    made, again = recorded_and_replayed(flow, repo, server)
    lines = (repo.parent / "run.jsonl").read_text("utf-8").splitlines()
    counted = [line for line in map(json.loads, lines) if "counted" in line]
    # The preflight's comparison, then once for each decision.
    assert server.tokenized == 1 + len(counted) > 1
    assert made and again == made


def test_a_replay_is_refused_where_the_run_was(flow: Any, repo: Path) -> None:
    made, again = recorded_and_replayed(flow, repo, OllamaServer(reader(3500), context_length=16384))
    assert made and again == made


BOTH = """flow: 1
name: both
nodes:
  a: {type: planner, prompt: Plan it}
  b: {type: agent, model: "coded:1b", prompt: Read all of it, tools: [read_file]}
edges: [[START, a, b, END]]
"""


def test_a_replay_gives_each_model_the_window_that_it_had(flow: Any, repo: Path) -> None:
    (repo.parent / "read.yaml").write_text(BOTH)
    reads = reader()

    def answer(request: ChatRequest) -> Answer:
        steps = [{"id": "a", "title": "Read", "brief": "Read it."}]
        plan = Reply(json.dumps({"title": "Read", "steps": steps}))
        return plan if request.body["model"] == "planned:1b" else reads(request)

    windows = {"planned:1b": 32768, "coded:1b": 8192}
    server = OllamaServer(answer, models=("other:1b", *windows), windows=windows)
    made, again = recorded_and_replayed(flow, repo, server, "-m", "planner=planned:1b", "-m", "main=other:1b")
    assert made and again == made
    first = json.loads((repo.parent / "run.jsonl").read_text("utf-8").splitlines()[0])
    assert (first["places"]["planner"], first["places"]["coded:1b"]) == ("planned:1b", "coded:1b")
