"""The first request goes out before what only drives the graph is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer, scripted

# What a first request needs nothing of: the graph engine, tracing, another HTTP client, the terminal, and more.
LATER = (
    "langgraph.graph",
    "langgraph.pregel",
    "langchain_core",
    "langsmith",
    "aiosqlite",
    "requests",
    "opentelemetry",
    "yaml",
    "rich",
    "pygments",
    "chromadb",
    "numpy",
    "networkx",
)

# What no run needs: the clients of hosted services that LangGraph imports (app/late_packages.py).
# And, where nothing was added, what reads documents.
NEVER = (
    "langgraph_sdk.client",
    "langgraph_sdk._async.client",
    "langsmith.types.sandbox_response",
    "flowloom.retrieval.doc_index",
)

# Prints which modules are loaded when the first request goes out, and at the end; how often the collector ran.
WATCH = """
import gc, json, sys
from flowloom.cli import render

class Watching(render.ProgressView):
    def progress(self, node, phase, amount=0):
        if phase == "waiting for model" and not loaded:
            loaded.extend(sys.modules)
        super().progress(node, phase, amount)

def collected():
    return sum(generation["collections"] for generation in gc.get_stats())

loaded = []
render.ProgressView = Watching
from flowloom.cli.app import main
before = collected()
try:
    main()
finally:
    print(json.dumps([loaded, list(sys.modules), collected() - before]))
"""

ASK = """flow: 1
name: ask
input: {task: {type: string, required: true, positional: true}}
nodes:
  work: {type: coder, prompt: "{{ input.task }}"MORE}
edges:
  - [START, work, END]
"""


@pytest.fixture
def repo(make_repo: Any) -> Path:
    found: Path = make_repo({"a.py": "x = 1\n"})
    return found


def graph(repo: Path, more: str = "") -> str:
    file = repo.parent / "ask.yaml"
    file.write_text(ASK.replace("MORE", more), "utf-8")
    return str(file)


@pytest.fixture
def watched(repo: Path, script: Any) -> tuple[list[str], list[str], int]:
    """Return what WATCH prints of a run of one request."""
    with OllamaServer(scripted([script.Reply("done")])) as server:
        command = [sys.executable, "-c", WATCH, "run", graph(repo), "look", "--no-preflight", "--mode", "plan"]
        env = {**os.environ, "OLLAMA_HOST": server.url}
        ended = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=120, check=True)
    at_request, at_end, collected = json.loads(ended.stdout.splitlines()[-1])
    return at_request, at_end, collected


def test_first_request_goes_out_before_the_graph_engine_is_imported(
    watched: tuple[list[str], list[str], int],
) -> None:
    at_request, at_end, _ = watched
    assert [name for name in LATER if name in at_request] == []
    assert "httpx" in at_request
    assert "langgraph.pregel" in at_end


def test_short_run_loads_nothing_that_it_has_no_use_for_and_never_collects_garbage(
    watched: tuple[list[str], list[str], int],
) -> None:
    _, at_end, collected = watched
    assert [name for name in NEVER if name in at_end] == []
    assert collected == 0


def test_request_that_went_out_early_is_the_only_one_and_told_in_order(repo: Path, script: Any, flow: Any) -> None:
    with OllamaServer(scripted([script.Reply("done")])) as server:
        ended = flow("run", graph(repo), "look", "--no-preflight", "-o", "jsonl", cwd=repo, url=server.url)
        asked = len(server.requests)
    assert (ended.code, asked) == (0, 1)
    told = [line["type"] for line in ended.lines if line["type"] != "notice"]
    assert told == ["run_start", "node_start", "model_call", "node_end", "run_end"]


@pytest.mark.parametrize("more", [", if: input.task == 'look'", ", each: '[1]', as: it"])
def test_node_that_may_not_be_called_is_not_asked_early_and_still_runs(
    repo: Path, script: Any, flow: Any, more: str
) -> None:
    with OllamaServer(scripted([script.Reply("done")])) as server:
        ended = flow("run", graph(repo, more), "look", "--no-preflight", "-o", "jsonl", cwd=repo, url=server.url)
    assert ended.code == 0, ended.err
    assert [line["type"] for line in ended.lines].count("node_start") == 1


def test_fault_in_the_first_node_s_template_is_told_once(repo: Path, flow: Any) -> None:
    with OllamaServer(scripted([])) as server:
        file = Path(graph(repo))
        file.write_text(file.read_text("utf-8").replace("input.task }}", "input.task / 2 }}"), "utf-8")
        ended = flow("run", str(file), "look", "--no-preflight", "-o", "jsonl", cwd=repo, url=server.url)
        assert server.requests == []
    assert ended.code == 1
    assert [line["type"] for line in ended.lines].count("node_fail") == 1


def test_first_request_carries_the_key_that_clients_of_ollama_read(
    repo: Path, script: Any, flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sesame")
    with OllamaServer(scripted([script.Reply("done")])) as server:
        flow("run", graph(repo), "look", "--no-preflight", cwd=repo, url=server.url)
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer sesame"]
