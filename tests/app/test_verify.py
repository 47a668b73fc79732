"""Which runs need a command that verifies."""

import pytest

from flowloom.app.verify import needs_verify
from flowloom.graphs.spec import NodeSpec, NodeType

KINDS: list[tuple[NodeType, bool]] = [("llm", False), ("retrieve", False), ("coder", True), ("python", True)]


@pytest.mark.parametrize(("kind", "needed"), KINDS)
def test_a_run_needs_it_only_where_a_node_can_change_something(kind: NodeType, needed: bool) -> None:
    assert needs_verify([NodeSpec("ask", "human"), NodeSpec("work", kind)]) is needed
