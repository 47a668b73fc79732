from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flowloom.configs.dirs import find_dirs
from flowloom.configs.trust import trust_store
from flowloom.graphs.json_schema import graph_schema

from .conftest import Flow

GRAPH = """\
flow: 1
name: mend
description: Mend it.
input:
  task: {type: string, required: true, positional: true, description: what to mend}
  dry_wash: {type: bool, default: true, description: wash it dry}
  sizes: {type: list, required: true}
  step: {schema: Step}
state: {said: {type: string}}
output: {said: state.said}
limits: {node_runs: 20, tokens: 200k, wall: 20m}
nodes:
  say: {type: llm, prompt: "{{ input.task }}", output: {to: said}}
edges: [[START, say, END]]
"""


@pytest.fixture
def graph(workspace: Path) -> Path:
    path = workspace / ".flow" / "graphs" / "mend.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(GRAPH, "utf-8")
    return path


@pytest.fixture
def trusted(graph: Path, isolated_home: Path) -> Path:
    trust_store(find_dirs({"FLOW_HOME": str(isolated_home / "flow")})).trust(graph)
    return graph


def listed(flow: Flow) -> dict[str, Any]:
    return {entry["name"]: entry for entry in json.loads(flow("graphs", "list", "-o", "json").out)}


def test_list_tells_name_place_inputs_and_purpose(flow: Flow, trusted: Path) -> None:
    lines = flow("graphs", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "FROM", "INPUTS", "DESCRIPTION"]
    (mine,) = (line for line in lines if line.startswith("mend "))
    assert "this project" in mine and "TASK --[no-]dry-wash --sizes=VALUE --step=VALUE" in mine and "Mend it." in mine
    assert any(line.startswith("plan-and-code") and "shipped" in line for line in lines)


def test_list_as_json_has_every_input(flow: Flow, trusted: Path) -> None:
    mine = listed(flow)["mend"]
    assert (mine["from"], mine["path"], mine["trusted"]) == ("project", ".flow/graphs/mend.yaml", True)
    assert mine["inputs"]["dry_wash"] == {
        "type": "bool",
        "required": False,
        "default": True,
        "positional": False,
        "description": "wash it dry",
    }


def test_list_marks_what_is_not_trusted_without_reading_it(flow: Flow, graph: Path) -> None:
    graph.rename(graph.with_name("other.yaml"))
    found = listed(flow)
    assert "mend" not in found and found["other"]["trusted"] is False and found["other"]["inputs"] == {}
    assert "not trusted, not read: flow trust .flow/graphs/other.yaml" in flow("graphs", "list").out


def test_list_tells_what_is_wrong_with_a_file(flow: Flow, isolated_home: Path) -> None:
    folder = isolated_home / "flow" / "config" / "graphs"
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_text("flow: 1\nname: x\nnodes: {}\nedges: []\nnam: x\n")
    assert "broken.yaml:5:1: unknown key 'nam'" in listed(flow)["broken"]["fault"]


def test_show_tells_how_to_run_it_and_what_it_does(flow: Flow, trusted: Path) -> None:
    shown = flow("graphs", "show", "mend").out
    assert 'Run it: flow run mend "TASK" --sizes=VALUE' in shown
    assert "  say   llm   state.said  END" in shown
    assert "20 node runs, 200k tokens, 20 min" in shown
    data = json.loads(flow("graphs", "show", "mend", "-o", "json").out)
    assert data["edges"][0] == {"source": "START", "target": "say", "label": "", "kind": "edge"}


@pytest.mark.parametrize("command", ["show", "draw", "validate"])
def test_what_is_only_looked_at_need_not_be_trusted(flow: Flow, graph: Path, command: str) -> None:
    ended = flow("graphs", command, "mend")
    assert ended.code == 0 and ("say" in ended.out or "ok" in ended.out)
    assert "mend.yaml is not trusted: it is shown, but nothing runs it before `flow trust" in ended.err


@pytest.mark.parametrize(
    "words", [("test", "mend"), ("export", "mend", "--langgraph"), ("new", "x", "--from", "mend")]
)
def test_what_acts_or_copies_needs_trust(flow: Flow, graph: Path, words: tuple[str, ...]) -> None:
    ended = flow("graphs", *words)
    assert ended.code == 7 and "is not trusted" in ended.err
    assert not (graph.parent / "x.yaml").exists()


def test_validate_tells_all_faults_of_all_files_at_once(flow: Flow, trusted: Path, isolated_home: Path) -> None:
    trusted.write_text(GRAPH.replace("[START, say, END]", "[START, sya, END]").replace("to: said", "to: sad"))
    mine = isolated_home / "flow" / "config" / "graphs" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text(GRAPH.replace("name: mend", "name: mine").replace("input.task", "input.tsk"))
    ended = flow("graphs", "validate")
    assert ended.code == 6
    faults = [line for line in ended.err.splitlines() if re.match(r"\S*/m(end|ine)\.yaml:\d", line)]
    assert [fault.split(": ")[1] for fault in faults] == [
        "input 'tsk' is not declared (did you mean 'task'?); declared",
        "state 'sad' is not declared (did you mean 'said'?); declared",
        "unknown node 'sya' (did you mean 'say'?)",
    ]
    assert "ok  plan-and-code" in ended.out
    assert set(faults) <= set(json.loads(flow("graphs", "validate", "-o", "json").out)["faults"])


def test_validate_of_a_graph_that_is_not_there_is_a_usage_error(flow: Flow) -> None:
    assert flow("graphs", "validate", "nope").code == 2
    assert flow("graphs", "validate", "nope.yaml").code == 2


def test_new_graph_is_valid_trusted_and_has_its_schema_beside_it(flow: Flow, workspace: Path) -> None:
    made = flow("graphs", "new", "mine")
    path = workspace / ".flow" / "graphs" / "mine.yaml"
    assert (made.code, made.out) == (0, f"{path}\n")
    text = path.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=graph.schema.json\nflow: 1\nname: mine\n")
    assert json.loads((path.parent / "graph.schema.json").read_text("utf-8")) == graph_schema()
    checked = flow("graphs", "validate", "mine")
    assert (checked.code, checked.err) == (0, "")


def test_new_graph_never_overwrites(flow: Flow, workspace: Path) -> None:
    flow("graphs", "new", "mine")
    path = workspace / ".flow" / "graphs" / "mine.yaml"
    path.write_text("my own")
    ended = flow("graphs", "new", "mine")
    assert ended.code == 2 and "already" in ended.err
    assert path.read_text() == "my own"


def test_new_graph_from_another_is_a_copy_under_the_new_name(flow: Flow, trusted: Path, isolated_home: Path) -> None:
    trusted_text = f"# kept\n{GRAPH}"
    (folder := isolated_home / "flow" / "config" / "graphs").mkdir(parents=True)
    second = GRAPH.replace("name: mend", 'name: "second" # two')
    (folder / "two.yaml").write_text(f"{trusted_text}---\n{second}")
    assert flow("graphs", "new", "third", "--from", "second", "--user").code == 0
    lines = (folder / "third.yaml").read_text("utf-8").splitlines()
    assert lines[:3] == ["# yaml-language-server: $schema=graph.schema.json", "flow: 1", "name: third # two"]
    assert "---" not in lines and lines[3:] == GRAPH.splitlines()[2:]
    assert flow("graphs", "validate", "third").code == 0


def test_every_shipped_graph_can_be_copied(flow: Flow) -> None:
    for name in [name for name, entry in listed(flow).items() if entry["from"] == "shipped"]:
        assert flow("graphs", "new", f"my-{name}", "--from", name).code == 0
        assert flow("graphs", "validate", f"my-{name}").code == 0


def test_a_copy_from_elsewhere_leaves_tests_out_whose_files_it_has_not(flow: Flow, workspace: Path) -> None:
    flow("graphs", "new", "mine", "--from", "docs-qa")
    text = (workspace / ".flow/graphs/mine.yaml").read_text("utf-8")
    assert "tests:" not in text and text.endswith("- [refuse, END]\n")
    assert flow("graphs", "test", "mine").out == ""


PYTHON_GRAPH = """\
from typing import TypedDict
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    n: int


builder = StateGraph(State)
builder.add_node("add", lambda state: {"n": state["n"] + 1})
builder.add_edge(START, "add")
builder.add_edge("add", END)
graph = builder.compile()
"""


@pytest.fixture
def python_graph(workspace: Path, isolated_home: Path) -> str:
    path = workspace / "count.py"
    path.write_text(PYTHON_GRAPH)
    trust_store(find_dirs({"FLOW_HOME": str(isolated_home / "flow")})).trust(path)
    return "count.py:graph"


def test_a_graph_in_python_is_shown_drawn_and_checked(flow: Flow, python_graph: str) -> None:
    assert "add   python  -      END" in flow("graphs", "show", python_graph).out
    assert "│ add    │" in flow("graphs", "draw", python_graph).out
    assert flow("graphs", "validate", python_graph).code == 0
    assert "--n=VALUE  int  required" in flow("run", python_graph, "--help").out


def test_a_graph_in_python_is_neither_copied_nor_exported(flow: Flow, python_graph: str, workspace: Path) -> None:
    copied, exported = (
        flow("graphs", "new", "x", "--from", python_graph),
        flow("graphs", "export", python_graph, "--langgraph"),
    )
    assert copied.code == exported.code == 2
    assert "is written in Python" in copied.err and "is a LangGraph graph already" in exported.err
    assert not (workspace / ".flow").exists() and sorted(path.name for path in workspace.iterdir()) == [
        ".git",
        "count.py",
    ]


def test_code_that_is_not_trusted_is_not_run_to_look_at_it(flow: Flow, workspace: Path) -> None:
    (workspace / "evil.py").write_text("open('RAN', 'w')\n" + PYTHON_GRAPH)
    for command in ("show", "draw", "validate"):
        assert "not trusted" in flow("graphs", command, "evil.py:graph").err
    assert not (workspace / "RAN").exists() and not Path("RAN").exists()


@pytest.mark.parametrize("name", ["../x", "a b", "", "-x", "a/b"])
def test_new_graph_needs_a_name_that_is_one(flow: Flow, name: str) -> None:
    assert flow("graphs", "new", "--", name).code == 2


def test_new_graph_is_not_written_through_a_link(flow: Flow, workspace: Path, tmp_path: Path) -> None:
    (outside := tmp_path / "outside").mkdir()
    (workspace / ".flow").symlink_to(outside)
    ended = flow("graphs", "new", "mine")
    assert ended.code == 2 and "leads out of this repository" in ended.err
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "begins"),
    [((), " "), (("--as", "mermaid"), "flowchart TD\n"), (("--as", "svg"), "<svg "), (("--as", "ascii"), " ")],
)
def test_draw_prints_the_form_that_is_asked_for(flow: Flow, words: tuple[str, ...], begins: str) -> None:
    ended = flow("graphs", "draw", "plan-and-code", *words)
    assert ended.code == 0 and ended.out.startswith(begins) and "approve" in ended.out


@pytest.mark.parametrize(("name", "begins"), [("x.svg", "<svg "), ("x.mmd", "flowchart"), ("x.txt", " ")])
def test_draw_into_a_file_takes_the_form_of_its_name(flow: Flow, workspace: Path, name: str, begins: str) -> None:
    assert flow("graphs", "draw", "plan-and-code", "--out", name).out == ""
    assert (workspace / name).read_text("utf-8").startswith(begins)


def test_draw_in_an_unknown_form_is_refused(flow: Flow) -> None:
    ended = flow("graphs", "draw", "plan-and-code", "--as", "png")
    assert ended.code == 2 and "ascii, svg, mermaid" in ended.err


def test_schema_is_printed_and_written(flow: Flow, workspace: Path) -> None:
    assert json.loads(flow("graphs", "schema").out) == graph_schema()
    assert flow("graphs", "schema", "--out", "s.json").code == 0
    assert json.loads((workspace / "s.json").read_text("utf-8")) == graph_schema()
    (workspace / "mine.json").write_text("{}")
    assert flow("graphs", "schema", "--out", "mine.json").code == 2
    assert (workspace / "mine.json").read_text() == "{}"


def test_help_of_run_tells_the_inputs_of_a_graph(flow: Flow, graph: Path) -> None:
    shown = flow("run", "mend", "--help").out
    assert '  flow run mend "TASK" --sizes=VALUE' in shown
    rows = {
        line.split()[0]: line.split(None, 1)[1]
        for line in shown.partition("Inputs of this graph:\n")[2].splitlines()[:4]
    }
    assert {name: " ".join(row.split()) for name, row in rows.items()} == {
        "TASK": "string required what to mend",
        "--[no-]dry-wash": "bool default: true wash it dry",
        "--sizes=VALUE": "list required",
        "--step=VALUE": "Step optional",
    }


@pytest.mark.parametrize(
    "words", [("run", "mend", "--help"), ("run", "-m", "x", "mend", "-h"), ("help", "run", "mend")]
)
def test_help_of_run_finds_the_graph_among_other_words(flow: Flow, graph: Path, words: tuple[str, ...]) -> None:
    assert "Inputs of this graph:" in flow(*words).out


def test_help_of_run_for_an_unknown_graph_says_so(flow: Flow) -> None:
    ended = flow("run", "plan-and-cod", "--help")
    assert ended.code == 2 and "did you mean 'plan-and-code'?" in ended.err and "Usage: flow run" in ended.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--dry-wsh",), "does not know '--dry-wsh' (did you mean '--dry-wash'?)"),
        (("x", "--max-token", "5"), "does not know '--max-token' (did you mean '--max-tokens'?)"),
        (("x", "y"), "takes one INPUT, got 'x' and 'y'"),
        (("--sizes",), "The option --sizes of mend needs a value"),
        (("x",), "mend needs the input 'sizes'"),
        (("x", "-i", "task=y"), "The input 'task' is given twice"),
    ],
)
def test_wrong_words_of_run_are_told(flow: Flow, workspace: Path, trusted: Path, words: Any, told: str) -> None:
    import subprocess

    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
    ended = flow("run", "mend", *words)
    assert ended.code == 2 and told in ended.err
