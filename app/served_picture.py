"""What LangGraph's tools draw of a served graph: the nodes of its file, in place of the two that do its work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..graphs.picture import Picture, picture_of
from ..graphs.spec import END, START, GraphSpec

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Graph

_ENDS = {START: "__start__", END: "__end__"}


def shown_as(compiled: Any, spec: GraphSpec, library: Mapping[str, GraphSpec]) -> Any:
    """Return the compiled LangGraph graph, drawn by its `get_graph` as the graph of a file; it runs as before.

    A copy of it, which servers make for each run, is drawn alike.
    """

    class Shown(type(compiled)):  # type: ignore[misc]
        """The compiled graph with another picture."""

        def get_graph(self, config: Any = None, *, xray: int | bool = False) -> Graph:
            """Return the file's nodes and ways; with `xray` those of graphs below as well, an int levels deep."""
            return drawable(spec, library, xray)

        async def aget_graph(self, config: Any = None, *, xray: int | bool = False) -> Graph:
            """Return the same."""
            return self.get_graph(config, xray=xray)

    return Shown(**vars(compiled))


def drawable(spec: GraphSpec, library: Mapping[str, GraphSpec], xray: int | bool = False) -> Graph:
    """Return a graph of files as LangChain draws it. Args: as of `get_graph` in `shown_as`."""
    from langchain_core.runnables import RunnableLambda
    from langchain_core.runnables.graph import Graph

    picture, graph = picture_of(spec), Graph()
    for box in picture.boxes:
        if box.name in _ENDS:
            graph.add_node(None, _ENDS[box.name])
        else:
            graph.add_node(RunnableLambda(_nothing, name=box.name), box.name, metadata={"type": box.note})
    for (source, target), labels in _ways(picture).items():
        begin, end = (graph.nodes[_ENDS.get(name, name)] for name in (source, target))
        graph.add_edge(begin, end, ", ".join(labels) or None, conditional=bool(labels))
    for node in spec.nodes.values() if xray else ():
        if node.type == "graph":
            deeper = xray if isinstance(xray, bool) else xray - 1
            _replace(graph, node.name, drawable(library[node.fields["graph"]], library, deeper))
    return graph


def _ways(picture: Picture) -> dict[tuple[str, str], list[str]]:
    """Return the labels of the ways from one node to another; [] = it is always taken."""
    found: dict[tuple[str, str], list[str]] = {}
    for arrow in picture.arrows:
        labels = found.setdefault((arrow.source, arrow.target), [])
        labels += [arrow.label] if arrow.label else []
    return found


def _replace(graph: Graph, name: str, below: Graph) -> None:
    """Put a graph in the place of the node that runs it; its nodes are called NODE:NAME."""
    below.trim_first_node()
    below.trim_last_node()
    first, last = below.first_node(), below.last_node()
    if first is None or last is None:
        # Several nodes begin or end it: it stays one node.
        return
    graph.nodes.pop(name)
    graph.extend(below, prefix=name)
    ends = {"source": f"{name}:{last.id}", "target": f"{name}:{first.id}"}
    for at, edge in enumerate(graph.edges):
        moved = {end: new for end, new in ends.items() if getattr(edge, end) == name}
        graph.edges[at] = edge.copy(**moved) if moved else edge


def _nothing(state: Any) -> Any:
    return state
