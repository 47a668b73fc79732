"""Which commands a run verifies and checks with: detected ones are asked for once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowloom.app.context import AppContext, Surface
from flowloom.app.graphs import load_graph
from flowloom.app.verify import detected_check, graph_settings, needs_check, needs_verify, verify_command
from flowloom.configs.answers import answers_file
from flowloom.configs.dirs import find_dirs
from flowloom.configs.layers import read_file_layer
from flowloom.configs.settings import Settings
from flowloom.configs.trust import trust_store
from flowloom.core.questions import Answer, Question
from flowloom.graphs.spec import NodeSpec, NodeType

KINDS: list[tuple[NodeType, bool]] = [("llm", False), ("retrieve", False), ("coder", True), ("python", True)]


@pytest.mark.parametrize(("kind", "needed"), KINDS)
def test_a_run_needs_it_only_where_a_node_can_change_something(kind: NodeType, needed: bool) -> None:
    assert needs_verify([NodeSpec("ask", "human"), NodeSpec("work", kind)]) is needed


class Person:
    """Answers every question alike, and is told notices; None = nobody is there."""

    def __init__(self, choice: str | None) -> None:
        self.choice = choice
        self.asked: list[str] = []
        self.told: list[str] = []
        self.surface = Surface(self, self.answer)

    def answer(self, question: Question) -> Answer | None:
        self.asked.append(question.text)
        return Answer(self.choice) if self.choice else None

    def notice(self, text: str) -> None:
        self.told.append(text)

    def record(self, record: Any) -> None: ...

    def progress(self, node: str, phase: Any, amount: int) -> None: ...


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppContext:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ruff").write_text("")
    (tmp_path / "bin" / "ruff").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    workspace, dirs = tmp_path / "work", find_dirs({"FLOW_HOME": str(tmp_path / "home")})
    workspace.mkdir()
    (workspace / "pyproject.toml").write_text("[tool.pytest]\n[tool.ruff]\n")
    return AppContext(workspace, dirs, trust_store(dirs), Settings())


def kept(project: AppContext) -> dict[str, Any]:
    return dict(read_file_layer("answers", answers_file(project.dirs, project.workspace)).values)


RUFF = ["ruff", "check", "."]
RUNS_IT = [NodeSpec("check", "shell", fields={"run": {"command": "settings.check"}})]


@pytest.mark.parametrize(("choice", "command", "answer"), [("yes", RUFF, RUFF), ("no", None, "")])
def test_a_detected_check_is_asked_for_and_the_answer_kept_beside_that_about_the_tests(
    project: AppContext, choice: str, command: list[str] | None, answer: Any
) -> None:
    person = Person(choice)
    verify_command(project, person.surface, "ask")
    assert detected_check(project, person.surface, "ask", RUNS_IT) == command
    assert person.asked[1] == "Run `ruff check .` after each step in this repository?"
    assert kept(project)["check"] == answer and set(kept(project)) == {"verify", "check"}


def test_a_detected_check_is_left_out_and_told_where_nobody_is_there(project: AppContext) -> None:
    person = Person(None)
    assert detected_check(project, person.surface, "ask", RUNS_IT) is None
    assert person.told == [
        "Nobody was there to allow `ruff check .`: set it with -c check='ruff check .'. Not checked."
    ]
    assert kept(project) == {}


def test_a_detected_check_is_taken_unasked_where_any_command_may_run(project: AppContext) -> None:
    person = Person("no")
    assert detected_check(project, person.surface, "auto", RUNS_IT) == RUFF
    assert (person.asked, kept(project)) == ([], {})


@pytest.mark.parametrize("setting", ["", "make lint"])
def test_a_check_that_is_set_is_not_looked_for(project: AppContext, setting: str) -> None:
    person = Person("yes")
    context = AppContext(project.workspace, project.dirs, project.trust, Settings(check=setting))
    assert detected_check(context, person.surface, "auto", RUNS_IT) is None
    assert person.asked == []
    # What the run keeps from its start gives way to it.
    options = {"verify": None, "check": RUFF}
    assert graph_settings(context, options, project.workspace) == {"verify": None, "check": setting or None}
    assert graph_settings(project, options, project.workspace)["check"] == RUFF


@pytest.mark.parametrize(("graph", "needed"), [("plan-and-code", True), ("implement-step", True), ("review", False)])
def test_a_check_is_asked_for_only_where_a_graph_runs_it(project: AppContext, graph: str, needed: bool) -> None:
    nodes = load_graph(project, graph).nodes
    assert needs_check(nodes) is needed
    assert (detected_check(project, Person("yes").surface, "ask", nodes) is not None) is needed
