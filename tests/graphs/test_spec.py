from __future__ import annotations

import pytest

from flowloom.graphs.faults import Position, listed, near
from flowloom.graphs.fingerprint import content, fingerprint
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import GraphSpec, StateKey, subgraphs_of

GRAPH = """\
flow: 1
name: outer
state: {x: {type: list, reduce: append}}
nodes:
  a: {type: llm, prompt: "hello"}
  b: {type: graph, graph: inner, with: {p: 1, q: 2}}
edges:
  - [START, a, b, END]
"""
INNER = """\
flow: 1
name: inner
input: {p: {type: int}, q: {type: int}}
nodes: {s: {type: set, value: {}}}
edges: [[START, s, END]]
"""


def library(text: str) -> dict[str, GraphSpec]:
    return read_text(text, "g.yaml")


def print_of(text: str, inner: str = INNER) -> str:
    return fingerprint(library(text)["outer"], library(inner))


@pytest.mark.parametrize(
    "other",
    [
        "# a remark\n" + GRAPH,
        GRAPH.replace("{p: 1, q: 2}", "{q: 2,   p: 1}"),
        GRAPH.replace('prompt: "hello"', "prompt: hello"),
        GRAPH.replace("[START, a, b, END]", "[b, END]\n  - [a, b]\n  - [START, a]"),
        GRAPH + "description: something\n",
    ],
)
def test_fingerprint_does_not_see_the_form(other: str) -> None:
    assert print_of(other) == print_of(GRAPH)


@pytest.mark.parametrize(
    "other",
    [
        GRAPH.replace("hello", "hello!"),
        GRAPH.replace("reduce: append", "reduce: replace"),
        GRAPH.replace("p: 1", "p: 2"),
        GRAPH.replace("b, END]", "b]\n  - {from: b, when: 'true', to: END, else: END}"),
        GRAPH + "limits: {tokens: 1k}\n",
        GRAPH + "output: state.x\n",
        GRAPH + "permissions: {bash(make): allow}\n",
        GRAPH + "network: true\n",
        GRAPH + "network: false\n",
        GRAPH.replace("graph: inner,", "graph: inner, permissions: {bash(make): deny},"),
        GRAPH.replace("graph: inner,", "graph: inner, network: false,"),
    ],
)
def test_fingerprint_sees_every_change_of_meaning(other: str) -> None:
    assert print_of(other) != print_of(GRAPH)


def test_graph_that_says_nothing_of_its_commands_keeps_its_fingerprint() -> None:
    said = content(library(GRAPH)["outer"])
    assert not {"rights", "permissions", "network"} & {*said, *said["nodes"]["a"]}
    assert print_of(GRAPH + "permissions: {}\n") == print_of(GRAPH)


def test_fingerprint_sees_a_change_of_a_subgraph() -> None:
    assert print_of(GRAPH, INNER.replace("value: {}", "value: {p: 1}")) != print_of(GRAPH)


def test_fingerprint_ends_when_graphs_run_each_other() -> None:
    looping = INNER.replace("{type: set, value: {}}", "{type: graph, graph: outer}")
    graphs = {**library(GRAPH), **library(looping)}
    assert len(fingerprint(graphs["outer"], graphs)) == 64


def test_subgraphs_are_named_once() -> None:
    assert subgraphs_of(library(GRAPH)["outer"]) == ["inner"]


@pytest.mark.parametrize(("reduce", "empty"), [("replace", None), ("append", []), ("union", []), ("sum", 0)])
def test_a_state_key_has_an_empty_value(reduce: str, empty: object) -> None:
    assert StateKey(type="any", reduce=reduce).empty() == empty  # type: ignore[arg-type]


def test_an_unknown_place_falls_back_to_the_nearest_one() -> None:
    spec = library(GRAPH)["outer"]
    assert spec.at("nodes", "b", "with", "gone", 3) == Position(6, 40)
    assert spec.at("nodes", "b") == Position(6, 3)


def test_near_ignores_case() -> None:
    assert near("START ", ["start", "other"]) == " (did you mean 'start'?)"
    assert near("xyz", ["start"]) == ""


def test_a_long_list_of_names_is_cut() -> None:
    assert listed(f"n{number:02}" for number in range(20)).endswith("n15 and 4 more")
    assert listed([]) == "none"
