"""Every example runs as its page says, with scripted answers."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flowloom
from flowloom import Question, run
from flowloom.llm.answers import Answers, ChatRequest, Reply
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.slow

EXAMPLES = Path(flowloom.__file__).parent / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__")


class Bench:
    """A repository and a model that says what a test tells it to."""

    def __init__(self, repo: Path, server: OllamaServer) -> None:
        self.repo = repo
        self.settings = {"server.url": server.url, "sandbox.backend": "none", "mode": "auto"}

    def run(self, graph: str, **inputs: Any) -> Any:
        return run(EXAMPLES / graph, inputs, workspace=self.repo, settings=self.settings, answer=first)


def first(question: Question) -> Any:
    return question.choices[0]


@pytest.fixture
def bench(make_repo: Any, request: pytest.FixtureRequest) -> Iterator[Bench]:
    answers: Answers = getattr(request, "param", lambda request: Reply("nothing"))
    with OllamaServer(answers) as server:
        yield Bench(make_repo({"README.md": "one two three\n", "notes.txt": "x\n"}), server)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_example_has_its_page_and_its_line(name: str) -> None:
    assert re.search(rf"\[{name}\]\({name}\)", (EXAMPLES / "README.md").read_text("utf-8"))
    assert (EXAMPLES / name / "README.md").read_text("utf-8").startswith("# ")


def explains(request: ChatRequest) -> Reply:
    text = "\n".join(str(message["content"]) for message in request.messages)
    return Reply("It is the readme." if "Read README.md and" in text else "It has notes.")


@pytest.mark.parametrize("bench", [explains], indirect=True)
def test_a_fan_out(bench: Bench) -> None:
    assert bench.run("fan_out/explain.yaml", files=["README.md", "notes.txt"]).output == [
        "It is the readme.",
        "It has notes.",
    ]


def test_a_python_node(bench: Bench) -> None:
    assert bench.run("python_node/longest.yaml", texts=["one", "three"]).output == {"text": "three", "length": 5}


def counts(request: ChatRequest) -> Any:
    from flowloom.llm.answers import Call

    steps = [
        Reply(calls=[Call("count_words", {"path": "README.md"})]),
        Reply(calls=[Call("note", {"text": "README.md has 3 words"})]),
        Reply(calls=[Call("format_check", {"path": "NOTES.md"})]),
        Reply("Counted."),
    ]
    said = sum(message["role"] == "assistant" for message in request.messages)
    if said:
        results = [message["content"] for message in request.messages if message["role"] == "tool"]
        assert "README.md has 3 words." in results[0]
    return steps[said]


@pytest.mark.parametrize("bench", [counts], indirect=True)
def test_python_tools(bench: Bench) -> None:
    result = bench.run("python_tool/count.yaml", task="Count the words of README.md and note them.")
    assert (result.output, (bench.repo / "NOTES.md").read_text()) == ("Counted.", "- README.md has 3 words\n")
    assert "+- README.md has 3 words" in result.diff


@pytest.mark.parametrize("bench", [counts], indirect=True)
def test_a_writing_tool_is_asked_for_like_an_edit(bench: Bench) -> None:
    asked: list[str] = []

    def refuse(question: Question) -> str:
        asked.append(question.kind)
        return "no"

    settings = {**bench.settings, "mode": "ask"}
    run(EXAMPLES / "python_tool/count.yaml", {"task": "x"}, workspace=bench.repo, settings=settings, answer=refuse)
    assert (asked[0], (bench.repo / "NOTES.md").exists()) == ("approval", False)


def test_a_filter(bench: Bench) -> None:
    assert bench.run("filter/headline.yaml", text="the quick brown fox jumps").output == "The quick brown fox"


def test_a_python_graph(bench: Bench) -> None:
    output = bench.run("python_graph/notes.py:graph", topic="otters", count=2).output
    assert (output["notes"], output["verdict"], output["loud"]) == (["otters 1", "otters 2"], "keep", "otters!")


def test_a_python_graph_in_a_graph_file(bench: Bench) -> None:
    output = bench.run("python_graph/nested.yaml", topics=["a", "b"]).output
    assert [each["notes"] for each in output] == [["a 1"], ["b 1"]]


async def test_a_program(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    program = load(EXAMPLES / "program" / "notes_program.py")
    monkeypatch.setenv("OLLAMA_HOST", bench.settings["server.url"])
    steps = await program.steps("otters", bench.repo)
    assert steps == ["write#1", "ask#2", "shout#3/say#1", "shout#3"]


def test_a_program_that_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    program = load(EXAMPLES / "program" / "notes_program.py")
    monkeypatch.setenv("OLLAMA_HOST", bench.settings["server.url"])
    assert program.notes("otters", bench.repo).output["notes"] == ["otters 1", "otters 2"]


def adds(request: ChatRequest) -> Any:
    from flowloom.llm.answers import Call

    if any(message["role"] == "tool" for message in request.messages):
        return Reply("It is 42.")
    return Reply(calls=[Call("add", {"a": 19, "b": 23})])


def labels(request: ChatRequest) -> Reply:
    text = request.messages[-1]["content"]
    if "what to do first" in text:
        return Reply(f"First: {text.splitlines()[2]}")
    return Reply(json.dumps({"label": "crash" if "save" in text else "wish"}))


@pytest.mark.parametrize("bench", [labels], indirect=True)
def test_the_models_of_a_run(bench: Bench) -> None:
    output = bench.run("chat_model/triage.py:graph", reports=["A dark theme", "It stops on save"]).output
    assert [each["label"] for each in output["labelled"]] == ["wish", "crash"]
    assert output["advice"] == "First: crash: It stops on save"


@pytest.mark.parametrize("bench", [adds], indirect=True)
def test_create_agent(bench: Bench) -> None:
    if importlib.util.find_spec("langchain") is None:
        pytest.skip("langchain is not installed: pip install langchain")
    messages = bench.run("create_agent/sums.py:graph", messages="What is 19 + 23?").output["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant", "tool", "assistant"]
    assert (json.loads(messages[2]["content"]), messages[-1]["content"]) == (42, "It is 42.")


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
