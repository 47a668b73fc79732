"""A graph written in Python, `file.py:graph`, as a GraphSpec: its inputs, nodes and ways. Called by find.py.

To know them its code is run, so only that of a trusted file is. Imports langgraph when it is called.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..core.errors import GraphInvalid
from ..nodes.user_code import load_module
from .beside import Beside, Files
from .code import code_of, load_ref, with_imports
from .faults import listed, near
from .graph_node import GraphNode
from .python_inputs import inputs_of
from .python_routes import routes_of
from .spec import GraphSpec, Limits, NodeSpec, Source

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

NODE_RUNS = 1000
"""Visits that a graph may make unless a run says otherwise: nothing else bounds its loops."""

_REF = re.compile(r"(?P<file>.+\.py):(?P<name>[^\W\d]\w*)")


def split_ref(text: str) -> tuple[str, str] | None:
    """Return the file and the name of "file.py:graph"; None = the text is something else."""
    match = _REF.fullmatch(text)
    return (match["file"], match["name"]) if match else None


def read_python_graph(file: Beside, attribute: str, name: str, files: Files) -> GraphSpec:
    """Return the graph that a name of a file stands for.

    Args:
        file: the code, with a key relative to its own folder.
        name: what the graph is called in messages and by nodes that run it.
        files: gives the files beside it, which it may import.

    Raises:
        GraphInvalid: the code cannot be run, or the name stands for no graph that a run can keep.
        Denied: a file that it imports is not trusted.
    """
    title = f"{file.shown}:{attribute}"
    beside = {file.key: file, **with_imports([file], files)}
    graph = _compiled(_named(load_module(code_of(file, beside)), attribute, file.shown), title)
    _require_durable(graph, title)
    nodes = {each: _node(graph, each, f"{file.key}:{attribute}") for each in graph.builder.nodes}
    return GraphSpec(
        name=name,
        source=Source(file.shown, file.text),
        nodes=nodes,
        routes=dict(routes_of(graph.builder)),
        description=_first_line(file.text),
        inputs=inputs_of(graph.builder),
        limits=Limits(node_runs=NODE_RUNS),
        beside=beside,
        code=f"{file.key}:{attribute}",
    )


def _named(module: ModuleType, attribute: str, shown: str) -> Any:
    """Return what a name stands for. Raises: GraphInvalid: there is none; the message says which graphs there are."""
    from langgraph.graph import StateGraph
    from langgraph.graph.state import CompiledStateGraph

    if hasattr(module, attribute):
        return getattr(module, attribute)
    graphs = [name for name, each in vars(module).items() if isinstance(each, (StateGraph, CompiledStateGraph))]
    raise GraphInvalid(
        f"{shown}: there is no {attribute!r} in it{near(attribute, graphs)}; its graphs: {listed(graphs)}."
    )


def compiled_graph(spec: GraphSpec) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the LangGraph graph of a spec that `read_python_graph` made. Raises: GraphInvalid: as that does."""
    return _compiled(load_ref(spec, spec.code), spec.name)


def _compiled(found: Any, title: str) -> CompiledStateGraph[Any, Any, Any, Any]:
    from langgraph.graph import StateGraph
    from langgraph.graph.state import CompiledStateGraph

    if isinstance(found, CompiledStateGraph):
        return found
    if not isinstance(found, StateGraph):
        raise GraphInvalid(
            f"{title} is no graph but {_article(type(found).__name__)}.",
            hint="A graph is a StateGraph of LangGraph, compiled or not, such as what create_agent returns.",
        )
    try:
        return found.compile()
    except (ValueError, TypeError) as err:
        raise GraphInvalid(f"{title} cannot be compiled: {' '.join(str(err).split())}.") from err


def _require_durable(graph: CompiledStateGraph[Any, Any, Any, Any], title: str) -> None:
    """Return when a run can go on with the graph after its process was killed.

    A checkpointer of the graph's own does no harm: the run's takes its place.

    Raises:
        GraphInvalid: it keeps something where a resume does not find it, or stops where nobody is asked.
    """
    from langgraph.store.memory import InMemoryStore

    if graph.interrupt_before_nodes or graph.interrupt_after_nodes:
        raise GraphInvalid(
            f"{title} is compiled with interrupt_before or interrupt_after, which ask nothing.",
            hint="Ask in a node by langgraph.types.interrupt, or leave them out.",
        )
    if isinstance(graph.store, InMemoryStore):
        raise GraphInvalid(
            f"{title} is compiled with an InMemoryStore, which is lost with its process.",
            hint="Keep it in the state, or use a store on disk.",
        )
    for name, node in graph.nodes.items():
        for below in node.subgraphs:
            if not isinstance(getattr(below, "checkpointer", None), (bool, type(None))):
                raise GraphInvalid(
                    f"{title}: the graph in the node {name!r} is compiled with a checkpointer of its own.",
                    hint="Compile it without: it takes that of the run.",
                )
    _require_context(graph, title)


def _require_context(graph: CompiledStateGraph[Any, Any, Any, Any], title: str) -> None:
    try:
        default_context(graph)
    except (TypeError, ValueError) as err:
        raise GraphInvalid(
            f"{title} needs a run-time context, which a run does not have.",
            hint="Give every field of its context_schema a default.",
        ) from err


def default_context(graph: CompiledStateGraph[Any, Any, Any, Any]) -> Any:
    """Return the run-time context of a graph: its schema with every default; None = it has none.

    Raises:
        TypeError, ValueError: a field has no default.
    """
    schema = graph.builder.context_schema
    return None if schema is None else schema()


def _node(graph: CompiledStateGraph[Any, Any, Any, Any], name: str, ref: str) -> NodeSpec:
    run = graph_node_of(graph, name)
    if run is not None:
        given = {key: f"{{{{ state.{place} }}}}" for key, place in run.inputs.items()}
        return NodeSpec(name, "graph", fields={"graph": run.graph, "with": given})
    below = tuple(_below(graph.nodes[name].subgraphs, name, ref))
    return NodeSpec(name, "python", fields={"call": ref, "with": {}}, below=below)


def _below(graphs: Sequence[Any], name: str, ref: str) -> Iterator[NodeSpec]:
    """Yield the nodes that run graphs of flow in graphs that a node is, or calls, however deep."""
    for graph in graphs:
        for inner in getattr(getattr(graph, "builder", None), "nodes", ()):
            node = _node(graph, inner, ref)
            yield from node.below if node.type != "graph" else [replace(node, name=f"{name}/{inner}")]


def graph_node_of(graph: CompiledStateGraph[Any, Any, Any, Any], name: str) -> GraphNode | None:
    """Return the graph of flow that a node runs; None = it runs something else."""
    runnable = graph.builder.nodes[name].runnable
    called = (getattr(runnable, "func", None), getattr(runnable, "afunc", None))
    return next((each for each in called if isinstance(each, GraphNode)), None)


def _first_line(text: str) -> str:
    """Return the first line of a file's docstring; "" = it has none."""
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0].strip()


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
