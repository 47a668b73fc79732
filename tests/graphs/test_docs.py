"""docs/graph-format.md: its example is a valid graph."""

from __future__ import annotations

import re
from pathlib import Path

from flowloom.graphs.beside import KeptFiles
from flowloom.graphs.read import read_text
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
