"""A run is not resumed on a graph that changed, unless the person says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer, scripted

GRAPH = """flow: 1
name: asks
limits: {node_runs: 9}
nodes:
  ask: {type: human, show: よい?, choices: [yes, no]}
  below: {type: graph, graph: below}
edges: [[START, ask, below, END]]
"""
BELOW = """flow: 1
name: below
nodes: {say: {type: shell, run: [bash, -c, 'echo one >> log']}}
edges: [[START, say, END]]
"""


@pytest.fixture
def graphs(isolated_home: Path) -> Path:
    folder = isolated_home / "flow" / "config" / "graphs"
    folder.mkdir(parents=True)
    (folder / "asks.yaml").write_text(GRAPH, "utf-8")
    (folder / "below.yaml").write_text(BELOW, "utf-8")
    return folder


@pytest.fixture
def resume(graphs: Path, repo: Path, flow: Any) -> Iterator[Any]:
    """Start a run that waits; return a function that resumes it with its answer."""
    with OllamaServer(scripted([])) as server:
        assert flow("--no-input", "run", "asks", cwd=repo, url=server.url).code == 4
        yield lambda *words: flow("--no-input", "resume", *words, cwd=repo, url=server.url)


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


def test_changed_graph_is_refused_with_what_changed(graphs: Path, resume: Any) -> None:
    edit(graphs / "asks.yaml", "node_runs: 9", "node_runs: 5")
    edit(graphs / "below.yaml", "echo one", "echo two")
    refused = resume("--answer", "yes")
    assert refused.code == 6
    assert "  limit 'node_runs': 9 -> 5\n" in refused.err
    assert "  below: node 'say', run: [bash, -c, echo one >> log] -> [bash, -c, echo two >> log]" in refused.err
    assert "--force-graph" in refused.err


def test_forced_graph_is_the_run_s_own_from_then_on(graphs: Path, repo: Path, resume: Any) -> None:
    edit(graphs / "below.yaml", "echo one", "echo two")
    assert resume("--force-graph").code == 4
    assert resume("--answer", "yes").code == 0
    assert (repo / "log").read_text() == "two\n"


def test_other_layout_is_no_change(graphs: Path, repo: Path, resume: Any) -> None:
    edit(graphs / "asks.yaml", "nodes:\n", "# 注釈\nnodes:\n\n")
    assert resume("--answer", "yes").code == 0


def test_a_changed_prompt_file_and_changed_code_are_told(graphs: Path, repo: Path, flow: Any) -> None:
    (graphs / "x.md").write_text("Look.\n", "utf-8")
    (graphs / "t.py").write_text("def f():\n    return 1\n", "utf-8")
    edit(
        graphs / "below.yaml",
        "{say: {",
        "{see: {type: llm, prompt: {file: x.md}}, do: {type: python, call: 't.py:f'}, say: {",
    )
    edit(graphs / "below.yaml", "[[START, say, END]]", "[[START, see, do, say, END]]")
    with OllamaServer(scripted([])) as server:
        assert flow("--no-input", "run", "asks", cwd=repo, url=server.url).code == 4
        edit(graphs / "x.md", "Look.", "Look twice.")
        edit(graphs / "t.py", "return 1", "return 2")
        refused = flow("--no-input", "resume", "--answer", "yes", cwd=repo, url=server.url)
    assert refused.code == 6
    assert "  below: node 'see', prompt: 'Look.' -> 'Look twice.'" in refused.err
    assert "  below: file 't.py': line 2: '    return 1' -> '    return 2'" in refused.err
