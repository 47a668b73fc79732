"""Tools and filters of graph files that stand in Python code beside them, and marked functions as nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.core.errors import GraphInvalid, RunFailed
from flowloom.graphs.expressions import evaluate, render
from flowloom.graphs.facts import Facts
from flowloom.graphs.find import Loaded, find_graph
from flowloom.graphs.own_filters import own_filters

FILTERS = """\
from flowloom import filter
import flowloom as f
@filter
def cut(text: str, length: int) -> str: return text[:length]
@f.filter
def broken(text: str) -> str: raise KeyError(text)
def plain(text: str) -> str: return text
"""
GRAPH = """\
flow: 1
name: g
filters: texts.py
input: {text: {type: string, default: hello}}
state: {said: {type: string}}
nodes:
  a: {type: set, value: {said: "{{ EXPR }}"}}
edges: [[START, a, END]]
"""


def load(folder: Path, files: dict[str, str]) -> Loaded:
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return find_graph(
        "./g.yaml", workspace=folder, user_dir=folder / "none", is_trusted=lambda *_: True, tools=("grep",)
    )


def with_filters(folder: Path, expr: str, code: str = FILTERS) -> Loaded:
    return load(folder, {"g.yaml": GRAPH.replace("EXPR", expr), "texts.py": code})


def test_a_marked_function_is_a_filter_under_the_name_of_its_file(tmp_path: Path) -> None:
    spec = with_filters(tmp_path, "input.text | texts.cut(2)").spec
    names = Facts({}, {}, {}, own_filters(spec)).names({"text": "hello"}, {})
    assert evaluate("input.text | texts.cut(2)", names) == "he"
    assert render("{{ input.text | texts.cut(2) | length }}", names) == 2


def test_two_graphs_have_filters_of_one_name_that_do_different_things(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    one = with_filters(tmp_path / "x", "input.text | texts.cut(2)").spec
    two = with_filters(tmp_path / "y", "input.text | texts.cut(2)", FILTERS.replace("text[:length]", "'two'")).spec
    found = [evaluate("'abc' | texts.cut(1)", Facts({}, {}, {}, own_filters(s)).names({}, {})) for s in (one, two)]
    assert found == ["a", "two"]


def test_a_filter_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    spec = with_filters(tmp_path, "input.text | texts.cut(2)").spec
    with pytest.raises(RunFailed, match=r"The filter 'texts\.broken': texts\.py:6: KeyError: 'x'"):
        evaluate("'x' | texts.broken", Facts({}, {}, {}, own_filters(spec)).names({}, {}))


@pytest.mark.parametrize(
    ("expr", "code", "told"),
    [
        ("input.text | texts.cutt(2)", FILTERS, "unknown filter 'texts.cutt' (did you mean 'texts.cut'?)"),
        ("input.text | texts.plain", FILTERS, "unknown filter 'texts.plain'"),
        ("input.text | cut(2)", FILTERS, "unknown filter 'cut'"),
        ("input.text", "x = 1\n", "texts.py has no filter"),
    ],
)
def test_a_wrong_filter_is_told_before_anything_runs(tmp_path: Path, expr: str, code: str, told: str) -> None:
    with pytest.raises(GraphInvalid) as refused:
        with_filters(tmp_path, expr, code)
    assert told in refused.value.message


TOOLED = """\
flow: 1
name: g
nodes:
  a: {type: agent, prompt: hi, tools: [grep, "t.py:NAME"]}
edges: [[START, a, END]]
"""
TOOL = """\
from flowloom import node, tool
@tool
def words(path: str) -> str:
    "Count words."
    return "3"
@node
def pick(word: str, missing: int) -> str: return word
def bare(path: str) -> str: return path
"""


def test_a_tool_of_a_file_is_part_of_the_graph(tmp_path: Path) -> None:
    spec = load(tmp_path, {"g.yaml": TOOLED.replace("NAME", "words"), "t.py": TOOL}).spec
    assert spec.nodes["a"].tools == ("grep", "t.py:words")
    assert spec.beside["t.py"].is_code


@pytest.mark.parametrize(
    ("name", "told"),
    [("word", "t.py has no 'word' (did you mean 'words'?)"), ("pick", "'pick' of t.py is no tool")],
)
def test_what_is_no_tool_is_told_before_anything_runs(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(GraphInvalid) as refused:
        load(tmp_path, {"g.yaml": TOOLED.replace("NAME", name), "t.py": TOOL})
    assert told in refused.value.message


def test_the_arguments_of_a_marked_node_are_looked_at_like_those_of_a_plain_function(tmp_path: Path) -> None:
    graph = (
        "flow: 1\nname: g\ninput: {word: {type: string}}\nnodes:\n"
        '  a: {type: python, call: "t.py:pick"}\nedges: [[START, a, END]]\n'
    )
    with pytest.raises(GraphInvalid, match="nothing gives 'missing' of 'pick'"):
        load(tmp_path, {"g.yaml": graph, "t.py": TOOL})
