"""Graphs that ask no model run where no model server is; code that comes to one by itself looks for it then."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Reply
from flowloom.llm.ollama_server import OllamaServer, scripted

NOWHERE = "http://127.0.0.1:1"
MODELS = ("devstral:24b", "gemma3:4b")
HEAD = """flow: 1
name: plain
input: {task: {type: string, positional: true}}
state: {out: {type: any}, said: {type: any}}
output: state.out
"""
PLAIN = f"""{HEAD}nodes:
  told: {{type: shell, run: [sh, -c, "echo told"], output: {{to: said}}}}
  hits: {{type: retrieve, index: code, query: total}}
  code: {{type: python, call: "own.py:twice", with: {{word: "{{{{ input.task }}}}"}}, output: {{to: out}}}}
edges: [[START, told, hits, code, END]]
"""
OWN = "def twice(word):\n    return word * 2\n"
HIDDEN = """def twice(word):
    import importlib
    make = getattr(importlib.import_module("flowloom"), "chat" + "_model")
    return make().invoke(word).text
"""
ASKS = "  ask: {type: llm, prompt: One, output: {to: out}}\n"


@pytest.fixture
def here(flow_here: Any, repo: Path) -> Any:
    """Return a function that writes a graph and its code and runs it."""

    def run(text: str = PLAIN, own: str = OWN, *more: str, url: str = NOWHERE) -> Any:
        (repo.parent / "own.py").write_text(own)
        (path := repo.parent / "plain.yaml").write_text(text)
        words = ("--no-input", "run", str(path), "ab", "--mode", "auto", "-c", "verify=", "-o", "json", *more)
        return flow_here(*words, cwd=repo, url=url)

    return run


@pytest.fixture
def stored(isolated_home: Path) -> Any:
    """Return a function that reads rows of the run database."""

    def rows(sql: str) -> list[Any]:
        with sqlite3.connect(next(isolated_home.rglob("runs.db"))) as database:
            return database.execute(sql).fetchall()

    return rows


def test_graph_that_asks_no_model_runs_where_no_server_is(here: Any) -> None:
    assert here().output == "abab"


def test_graph_that_asks_no_model_does_not_ask_a_server_that_is_there(here: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert here(PLAIN, OWN, "-c", "models.light=gemma3:4b", url=url).output == "abab"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_run_without_models_goes_on_without_a_server(here: Any, flow_here: Any, repo: Path) -> None:
    text = PLAIN.replace('[sh, -c, "echo told"]', "[cat, ready], parse: json")
    assert here(text).code == 1
    (repo / "ready").write_text("1")
    done = flow_here("--no-input", "resume", "-o", "json", cwd=repo, url=NOWHERE)
    assert done.output == "abab"


def test_agent_in_a_graph_below_needs_a_server_before_anything_runs(here: Any, repo: Path) -> None:
    (repo.parent / "below.yaml").write_text(
        f"{HEAD.replace('plain', 'below')}nodes:\n{ASKS}edges: [[START, ask, END]]\n"
    )
    text = PLAIN.replace("echo told", "touch begun").replace(
        "hits: {type: retrieve, index: code, query: total}", "hits: {type: graph, graph: below}"
    )
    done = here(f"{text}---\n{(repo.parent / 'below.yaml').read_text()}")
    assert done.code == 5, done.err
    assert not (repo / "begun").exists()


def test_code_that_names_chat_model_needs_a_server_before_anything_runs(here: Any, repo: Path) -> None:
    own = "from flowloom import chat_model\n\ndef twice(word):\n    return chat_model().invoke(word).text\n"
    assert here(PLAIN.replace("echo told", "touch begun"), own).code == 5
    assert not (repo / "begun").exists()


def test_code_that_comes_to_a_model_by_itself_gets_one_when_it_asks(here: Any, stored: Any) -> None:
    with OllamaServer(scripted([Reply("ba")]), models=MODELS) as server:
        assert here(PLAIN, HIDDEN, "-m", "devstral:24b", url=server.url).output == "ba"
    ((options,),) = stored("SELECT options FROM run")
    assert json.loads(options)["models"]["main"] == "devstral:24b"


def test_code_that_comes_to_a_model_by_itself_stops_the_run_where_no_server_is(
    here: Any, flow_here: Any, repo: Path
) -> None:
    done = here(PLAIN.replace("echo told", "echo x >> begun; echo told"), HIDDEN, "-m", "devstral:24b")
    assert done.code == 5
    with OllamaServer(scripted([Reply("ba")]), models=MODELS) as server:
        assert flow_here("--no-input", "resume", "-o", "json", cwd=repo, url=NOWHERE).code == 5
        again = flow_here("--no-input", "resume", "-o", "json", cwd=repo, url=server.url)
    assert again.output == "ba"
    assert server.requests[0].body["model"] == "devstral:24b"
    assert (repo / "begun").read_text() == "x\n"


def test_cost_limit_is_held_when_code_comes_to_a_model_by_itself(here: Any) -> None:
    with OllamaServer(scripted([Reply("ba")]), models=MODELS) as server:
        done = here(PLAIN, HIDDEN, "-m", "devstral:24b", "--max-cost", "1", url=server.url)
    assert done.code != 0
    assert "'devstral:24b' has no price" in done.out + done.err
    assert [asked for asked in server.requests if asked.body.get("messages")] == []


def test_line_that_tells_a_run_without_models_names_none(here: Any, flow_here: Any, repo: Path) -> None:
    here()
    done = flow_here("runs", "tail", cwd=repo)
    assert "plain\n" in done.out + done.err
    assert "model" not in (done.out + done.err).partition("\n")[0]
