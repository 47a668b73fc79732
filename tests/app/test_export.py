"""`flow graphs export --langgraph`: what is written is a LangGraph graph that runs, asks and ends."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer

GRAPH = """\
flow: 1
name: greet
description: Say "hello".
input: {name: {type: string, required: true, positional: true}, loud: {type: bool, default: false}}
state: {said: {type: string}, asked: {type: object}}
output: {said: state.said, asked: state.asked.choice}
nodes:
  say: {type: llm, prompt: {file: prompts/say.md}, output: {to: said}}
  ask: {type: graph, graph: sure, with: {said: "{{ state.said }}"}, output: {to: asked}}
edges: [[START, say, ask, END]]
---
flow: 1
name: sure
input: {said: {type: string}}
state: {given: {type: object}}
output: {choice: state.given.choice}
nodes:
  sure: {type: human, show: "Send {{ input.said }}?", choices: [yes, no], output: {to: given}}
edges: [[START, sure, END]]
"""


@pytest.fixture
def repo(make_repo: Any) -> Path:
    found: Path = make_repo({"a.txt": "a"})
    return found


@pytest.fixture
def exported(repo: Path, flow: Any, isolated_home: Path) -> Path:
    folder = isolated_home / "flow" / "config" / "graphs"
    (folder / "prompts").mkdir(parents=True)
    (folder / "greet.yaml").write_text(GRAPH)
    (folder / "prompts" / "say.md").write_text("Greet {{ input.name }}")
    done = flow("graphs", "export", "greet", "--langgraph", cwd=repo)
    assert done.code == 0, done.err
    return Path(done.out.strip())


@pytest.fixture
def server(script: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaServer]:
    answers = script.conversation(script.Agent(("Greet",), [script.Reply("Hello!")]))
    with OllamaServer(answers) as running:
        monkeypatch.setenv("OLLAMA_HOST", running.url)
        yield running


def imported(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("exported_graph", folder / "graph.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.graph


def test_the_folder_names_the_graph_as_langgraph_wants_it(exported: Path, repo: Path) -> None:
    manifest = json.loads((exported / "langgraph.json").read_text("utf-8"))
    assert manifest["graphs"] == {"greet": {"path": "./graph.py:graph", "description": 'Say "hello".'}}
    assert manifest["dependencies"] == ["."]
    assert sorted(path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()) == [
        "graph.py",
        "graphs/greet.yaml",
        "graphs/prompts/say.md",
        "langgraph.json",
    ]
    assert exported == repo / "greet-langgraph"


def test_an_export_never_overwrites(exported: Path, flow: Any, repo: Path) -> None:
    done = flow("graphs", "export", "greet", "--langgraph", cwd=repo)
    assert done.code == 2 and "already" in done.err


async def test_the_exported_graph_runs_asks_and_goes_on(exported: Path, server: OllamaServer, repo: Path) -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    graph = imported(exported)
    graph.checkpointer = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "t"}}
    told = [event async for event in graph.astream({"name": "Ada"}, config, stream_mode="custom")]
    assert [event["node"] for event in told if event["type"] == "node_start"] == ["say#1", "ask#1", "ask/sure#1"]
    (interrupt,) = graph.get_state(config).interrupts
    assert {name: interrupt.value[name] for name in ("text", "choices")} == {
        "text": "Send Hello!?",
        "choices": ["yes", "no"],
    }
    ended = await graph.ainvoke(Command(resume="yes"), config)
    assert ended == {"output": {"said": "Hello!", "asked": "yes"}}
    assert len(server.requests) == 1 or all("Greet Ada" in str(request.messages) for request in server.requests)


def test_the_exported_graph_tells_what_it_takes(exported: Path) -> None:
    graph = imported(exported)
    schema = graph.get_input_jsonschema()
    assert set(schema["properties"]) == {"name", "loud"} and schema["required"] == ["name"]
    assert set(graph.get_output_jsonschema()["properties"]) == {"output"}


@pytest.mark.parametrize(("xray", "below"), [(False, ["ask"]), (0, ["ask"]), (1, ["ask:sure"]), (True, ["ask:sure"])])
async def test_it_is_drawn_as_the_file_has_it(exported: Path, xray: int | bool, below: list[str]) -> None:
    graph = imported(exported)
    drawn = await graph.copy({"name": "of a run"}).aget_graph(xray=xray)
    data = drawn.to_json()
    assert [node["id"] for node in data["nodes"]] == (
        ["__start__", "say", *below, "__end__"] if below == ["ask"] else ["__start__", "say", "__end__", *below]
    )
    edges = [(edge["source"], edge["target"]) for edge in data["edges"]]
    assert edges == [("__start__", "say"), ("say", *below), (*below, "__end__")]
    assert graph.get_graph().draw_mermaid() == (await graph.aget_graph()).draw_mermaid()


def test_ways_are_drawn_with_what_decides_about_them(exported: Path, tmp_path: Path) -> None:
    from flowloom.app.served_picture import drawable
    from flowloom.graphs.read import read_text

    text = (
        "flow: 1\nname: g\nstate: {n: {type: int}}\nnodes:\n"
        "  a: {type: shell, run: [true], on_error: b}\n  b: {type: set, value: {}}\n"
        "edges: [[START, a], {from: a, when: output.exit_code == 0, to: END, else: b}, [b, END]]\n"
    )
    drawn = drawable(read_text(text, "g.yaml")["g"], {}).to_json()
    labels = {(edge["source"], edge["target"]): edge.get("data") for edge in drawn["edges"]}
    assert labels == {
        ("__start__", "a"): None,
        ("a", "__end__"): "output.exit_code == 0",
        ("a", "b"): "else, on an error",
        ("b", "__end__"): None,
    }


def test_langgraph_validates_it(exported: Path) -> None:
    program = shutil.which("langgraph")
    if program is None:
        pytest.skip("langgraph-cli is not installed")
    done = subprocess.run([program, "validate"], cwd=exported, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
