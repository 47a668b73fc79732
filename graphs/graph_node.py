"""A graph of flow as a node of a graph written in Python: `builder.add_node("review", graph_node("review", ...))`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import GraphInvalid


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node that runs a graph of flow; see `graph_node`."""

    graph: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    output: str = ""

    async def __call__(self, state: Any) -> dict[str, Any]:
        """Return the update with what the graph gave. Raises: FlowError: it failed, or there is no run of flow."""
        from .python_visit import VISIT

        visit = VISIT.get()
        if visit is None:
            raise GraphInvalid(
                f"The graph {self.graph!r} runs only inside of a run of flow.",
                hint="Start the graph around it by `flow run file.py:graph` or flowloom.run.",
            )
        value = await visit.run_graph(self.graph, {name: _read(state, key) for name, key in self.inputs.items()})
        return {self.output: value} if self.output else {}


def graph_node(graph: str, inputs: Mapping[str, str] | None = None, output: str = "") -> GraphNode:
    """Return a node for a StateGraph that runs a graph of flow.

    It may be a node of the graph that is run, or of a graph that is one of its nodes or that one's function names.

    Args:
        graph: what `graph:` of a node in a graph file takes: the name of a graph in the same folder or of a shipped
            one, or "file.py:graph" beside the file.
        inputs: the graph's inputs by name, each with the state key that it is read from; a key without a value leaves
            the input out.
        output: state key that takes what the graph returns; "" = nowhere.
    """
    return GraphNode(graph, dict(inputs or {}), output)


def _read(state: Any, key: str) -> Any:
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)
