"""docs/graph-format.md: its example is a valid graph."""

from __future__ import annotations

import re
from pathlib import Path

from flowloom.graphs.read import read_text
from flowloom.graphs.validate import check
from flowloom.tools.registry import TOOLS

DOC = Path(__file__).parents[2] / "docs" / "graph-format.md"


def test_the_example_of_the_format_page_is_valid() -> None:
    example = re.search(r"```yaml\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)
    assert example is not None
    graphs = read_text(example[1], "docs/graph-format.md")
    assert [fault for spec in graphs.values() for fault in check(spec, graphs, tools=tuple(TOOLS))] == []


def test_the_format_page_names_every_node_type() -> None:
    from flowloom.graphs.spec import NODE_TYPES

    text = DOC.read_text("utf-8")
    assert [name for name in NODE_TYPES if f"`{name}`" not in text] == []
