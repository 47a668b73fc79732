"""Whether a graph asks a model, told without running anything of it."""

from __future__ import annotations

import pytest

from flowloom.graphs.beside import KeptFiles
from flowloom.graphs.named_models import asks_models
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import GraphSpec


def graph(node: str, code: str = "def f():\n    return 1\n") -> GraphSpec:
    text = f"flow: 1\nname: g\nnodes:\n  a: {node}\nedges: [[START, a, END]]\n"
    return read_text(text, "g.yaml", KeptFiles({"own.py": code}))["g"]


PYTHON = '{type: python, call: "own.py:f"}'


@pytest.mark.parametrize(
    "node",
    [
        "{type: llm, prompt: Hi}",
        "{type: agent, prompt: Hi}",
        "{type: tool, call: spawn_agent, with: {task: Look, tools: [grep]}}",
    ],
)
def test_agents_ask_a_model(node: str) -> None:
    assert asks_models(graph(node))


@pytest.mark.parametrize(
    "node",
    [
        "{type: shell, run: [ls]}",
        "{type: retrieve, index: code, query: q}",
        "{type: tool, call: read_file, with: {path: a}}",
        "{type: human, show: Well?, choices: [yes, no]}",
        "{type: commit, message: m}",
        PYTHON,
    ],
)
def test_other_nodes_ask_none(node: str) -> None:
    assert not asks_models(graph(node))


@pytest.mark.parametrize(
    "code",
    [
        "from flowloom import chat_model as ask\ndef f():\n    return ask().invoke('a').text\n",
        "import flowloom\ndef f():\n    return flowloom.chat_model().invoke('a').text\n",
    ],
)
def test_code_that_says_chat_model_asks_one(code: str) -> None:
    assert asks_models(graph(PYTHON, code))


def test_word_in_a_comment_or_a_text_asks_none() -> None:
    assert not asks_models(graph(PYTHON, "# no chat_model here\ndef f():\n    return 'chat_model'\n"))
