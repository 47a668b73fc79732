"""docs/graph-format.md: its examples are valid graphs, and it tells of every key what the format's table does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from flowloom.graphs import keys
from flowloom.graphs.beside import KeptFiles
from flowloom.graphs.json_schema import graph_schema, key_schema
from flowloom.graphs.keys import Key
from flowloom.graphs.read import read_text
from flowloom.graphs.tree import parse
from flowloom.graphs.validate import check
from flowloom.tools.registry import TOOLS

DOC = Path(__file__).parents[2] / "docs" / "graph-format.md"


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)


def test_the_examples_of_the_format_page_are_valid() -> None:
    (code,) = examples("python")
    files = KeptFiles({"triage.py": code, "prompts/classify.md": "Classify {{ issue | json }}."})
    texts = [text for text in examples("yaml") if text.startswith("flow: 1")]
    assert len(texts) > 1
    for text in texts:
        graphs = read_text(text, "docs/graph-format.md", files)
        assert [fault for spec in graphs.values() for fault in check(spec, graphs, tools=tuple(TOOLS))] == []


def test_the_preset_of_the_format_page_is_valid() -> None:
    (preset,) = (text for text in examples("yaml") if "agents/careful.yaml" in text)
    files = KeptFiles({"agent:careful": preset, "agent:careful/careful.md": "Look twice."})
    graph = "flow: 1\nname: g\nnodes: {a: {use: careful}}\nedges: [[START, a, END]]\n"
    assert read_text(graph, "g.yaml", files)["g"].nodes["a"].fields == {"prompt": "Look twice."}


def test_the_format_page_names_every_node_type() -> None:
    from flowloom.graphs.spec import NODE_TYPES

    text = DOC.read_text("utf-8")
    assert [name for name in NODE_TYPES if f"`{name}`" not in text] == []


SECTIONS: Mapping[str, Mapping[str, Key]] = {
    "At the top": keys.GRAPH_KEYS,
    "`input`, below a name": keys.INPUT_KEYS,
    "`state`, below a name": keys.STATE_KEYS,
    "`limits` of the graph": keys.GRAPH_LIMITS,
    "A node": keys.NODE_KEYS,
    "`limits` of a node": keys.NODE_LIMITS,
    "`output` of a node": keys.OUTPUT_KEYS,
    "`budget`": keys.BUDGET_KEYS,
    "`retry`": keys.RETRY_KEYS,
    "`prompt` from a file": keys.PROMPT_KEYS,
    "`run` of a configured command": keys.RUN_KEYS,
    "An edge with `when`": keys.EDGE_KEYS,
    "An edge with `switch`": keys.SWITCH_KEYS,
    "A test": keys.TEST_KEYS,
}


def rows(section: str) -> dict[str, list[str]]:
    """Return the cells behind the key of each row of a table."""
    text = DOC.read_text("utf-8").partition("## Every key")[2].partition(f"### {section}\n")[2].partition("\n### ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if "|" in line]
    return {row[0].strip("`| "): row[1:] for row in cells[2:]}


def types_of(key: str) -> str:
    """Return the types of nodes that have a key, as the page tells them."""
    missing = [kind for kind, known in keys.TYPE_KEYS.items() if key not in known]
    if not missing:
        return "all"
    if len(missing) <= 3:
        return f"all but {', '.join(missing)}"
    return ", ".join(kind for kind, known in keys.TYPE_KEYS.items() if key in known)


@pytest.mark.parametrize(("section", "known"), SECTIONS.items(), ids=list(SECTIONS))
def test_every_key_stands_on_the_format_page_with_its_meaning(section: str, known: Mapping[str, Key]) -> None:
    found = {name: cells[:-1] for name, cells in rows(section).items()}
    wanted = {name: [key.meaning] for name, key in known.items()}
    if section == "A node":
        wanted = {name: [*cells, types_of(name)] for name, cells in wanted.items()}
    assert found == wanted


@pytest.mark.parametrize(("section", "known"), SECTIONS.items(), ids=list(SECTIONS))
def test_every_example_of_a_key_follows_the_schema(section: str, known: Mapping[str, Key]) -> None:
    schema = graph_schema()
    for name, cells in rows(section).items():
        (tree,) = parse(cells[-1].strip("`| "), name, [])
        value = tree.plain()
        fits = schema["properties"][name] if section == "At the top" else key_schema(known[name])
        assert list(value) == [name]
        assert [
            error.message
            for error in Draft7Validator({**fits, "definitions": schema["definitions"]}).iter_errors(value[name])
        ] == [], f"{section}: {name}"


def test_all_tables_of_the_format_are_on_the_page() -> None:
    tables = [value for name, value in vars(keys).items() if name.endswith(("_KEYS", "_LIMITS")) and name[0] != "_"]
    shown = [table for table in tables if isinstance(next(iter(table.values())), Key)]
    assert [table for table in shown if table not in (*SECTIONS.values(), keys.PRESET_KEYS)] == []


def test_the_format_page_names_every_schema() -> None:
    from flowloom.core.schemas import SCHEMAS

    text = DOC.read_text("utf-8")
    assert [name for name in SCHEMAS if f"`{name}`" not in text] == []
