"""The JSON Schema of graph files agrees with the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from flowloom.core.errors import GraphInvalid
from flowloom.graphs.find import SHIPPED_FOLDER
from flowloom.graphs.json_schema import NEEDED, graph_schema
from flowloom.graphs.keys import GRAPH_KEYS, NODE_KEYS, TYPE_KEYS
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import NODE_TYPES
from flowloom.graphs.tree import parse

SCHEMA = graph_schema()
EXAMPLES = Path(__file__).parent / "examples"
SMALL = """\
flow: 1
name: small
nodes:
  a: {type: set, value: {}}
edges:
  - [START, a, END]
"""


def faults(text: str) -> list[str]:
    found = []
    for tree in parse(text, "g.yaml", []):
        found += [
            f"{list(error.path)}: {error.message}" for error in Draft7Validator(SCHEMA).iter_errors(tree.plain())
        ]
    return found


def test_the_schema_is_a_valid_one() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["required"] == list(NEEDED)


@pytest.mark.parametrize(
    "path", [*sorted(SHIPPED_FOLDER.glob("*.yaml")), *sorted(EXAMPLES.glob("*.yaml"))], ids=lambda path: path.stem
)
def test_every_shipped_graph_and_example_follows_it(path: Path) -> None:
    assert faults(path.read_text("utf-8")) == []


def described(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property of a schema with its place."""
    if isinstance(schema, list):
        for item in schema:
            yield from described(item, path)
    elif isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            if isinstance(inner, dict) and "const" not in inner and "$ref" not in inner:
                yield f"{path}/{name}", inner
        for name, inner in schema.items():
            yield from described(inner, f"{path}/{name}")


def test_every_key_is_described() -> None:
    keys = {name: inner for name, inner in SCHEMA["definitions"].items() if name.startswith("key_")}
    named = {**dict(described(SCHEMA)), **keys}
    assert len(named) > 100
    assert [path for path, inner in named.items() if not inner.get("description")] == []


def test_every_node_type_and_key_is_in_it() -> None:
    assert set(TYPE_KEYS) == set(NODE_TYPES)
    assert {f"key_{name}" for name in NODE_KEYS} <= set(SCHEMA["definitions"])
    assert {name for keys in TYPE_KEYS.values() for name in keys} == set(NODE_KEYS)
    assert set(SCHEMA["properties"]) == set(GRAPH_KEYS)


def node(text: str) -> str:
    return SMALL.replace("{type: set, value: {}}", text)


@pytest.mark.parametrize(
    "text",
    [
        SMALL.replace("flow: 1", "flow: 2"),
        SMALL.replace("name: small\n", ""),
        SMALL.replace("name: small", "name: a b"),
        SMALL.replace("edges:", "edgs:"),
        SMALL.replace("[START, a, END]", "[a]"),
        SMALL.replace("[START, a, END]", "{from: a, to: b, else: c}"),
        SMALL.replace("[START, a, END]", "{from: a, when: x, to: b}"),
        SMALL.replace("[START, a, END]", "{from: a, switch: x}"),
        SMALL.replace("nodes:", "limits: {tokens: many}\nnodes:"),
        SMALL.replace("nodes:", "limits: {wall: 10}\nnodes:"),
        SMALL.replace("nodes:", "input: {a: {}}\nnodes:"),
        SMALL.replace("nodes:", "input: {a: {type: text}}\nnodes:"),
        SMALL.replace("nodes:", "input: {a b: {type: int}}\nnodes:"),
        SMALL.replace("nodes:", "state: {a: {type: list, reduce: add}}\nnodes:"),
        SMALL.replace("nodes:", "tests: [{input: {}}]\nnodes:"),
        SMALL.replace("nodes:", "tests: [{name: a, expected: []}]\nnodes:"),
        node("{value: {}}"),
        node("{type: sett, value: {}}"),
        node("{type: set}"),
        node("{type: set, value: {}, prompt: p}"),
        node("{type: coder, prompt: p, tools: [a, a]}"),
        node("{type: coder, prompt: p, history: keep}"),
        node("{type: coder, prompt: p, budget: {map: 1}}"),
        node("{type: coder, prompt: p, max_visits: 0}"),
        node("{type: shell, run: []}"),
        node("{type: shell, run: ls}"),
        node("{type: human, show: s, choices: yes}"),
        node("{type: shell, run: [ls], permissions: {'bash(ls)': always}}"),
    ],
)
def test_what_the_reader_refuses_is_refused(text: str) -> None:
    with pytest.raises(GraphInvalid):
        read_text(text, "g.yaml")
    assert faults(text) != []


@pytest.mark.parametrize(
    "text",
    [
        SMALL,
        SMALL.replace("[START, a, END]", "[START, a]\n  - {from: a, when: true, to: END, else: a}"),
        SMALL.replace("nodes:", "limits: {tokens: 600k, wall: 4h, node_runs: 12}\nnodes:"),
        SMALL.replace("nodes:", "output: {a: 1, b: state.x}\nnodes:"),
        SMALL.replace("nodes:", "output: input.a\nnodes:"),
        node("{type: shell, run: [sleep, 1], timeout: 500ms}"),
        node("{type: shell, run: {command: settings.verify}}"),
        node("{type: coder, prompt: p, output: {schema: Change}, budget: {code: 0, repo_map: 2k}}"),
        node("{type: fail, message: m, exit: 0}"),
    ],
)
def test_what_the_reader_takes_is_taken(text: str) -> None:
    read_text(text, "g.yaml")
    assert faults(text) == []


def test_it_is_small_enough_for_an_editor() -> None:
    assert len(json.dumps(SCHEMA)) < 60_000
