"""A graph written in Python, ready to run under the runner like one of a file. Imports langgraph when it compiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.errors import FlowError, RunFailed
from ..nodes.deps import NodeDeps
from ..nodes.opening import Opening
from ..nodes.user_code import failure_line
from .below import Below
from .code import referred
from .facts import Facts
from .node_deps import held_to
from .python_graph import compiled_graph, default_context, graph_node_of
from .python_inputs import first_state
from .spec import GraphSpec, subgraphs_of

if TYPE_CHECKING:
    from .python_visit import PythonNode


class Begin(NamedTuple):
    """What a graph begins with: the values of its state, and the path of the node that runs it ("" = none)."""

    values: dict[str, Any]
    path: str


class PythonFlow:
    """One graph written in Python.

    Args:
        library: every graph that its nodes may run, by name.
        facts: what the expressions of those see of the settings, the run and the repository.
    """

    def __init__(self, spec: GraphSpec, library: Mapping[str, GraphSpec], deps: NodeDeps, facts: Facts) -> None:
        self._spec = spec
        self._library = library
        self._deps = held_to(deps, spec.rights)
        self._facts = facts
        self._graph = compiled_graph(spec)
        self._below: dict[str, Below] = {}

    def compile(self, saver: Any = None) -> DrivenGraph:
        """Return the graph with every node made a visit. Without a saver it takes that of the run around it."""
        from langgraph._internal._runnable import RunnableCallable

        for name in subgraphs_of(self._spec):
            self._below[name] = Below(self._library[name], self._library, self._deps, self._facts)
        nodes = dict(self._graph.nodes)
        failures: dict[int, str] = {}
        for name in self._graph.builder.nodes:
            run = self._node(name, failures).run
            nodes[name] = nodes[name].copy({"bound": RunnableCallable(None, run, name=name, trace=False)})
        return DrivenGraph(self._graph.copy({"checkpointer": saver, "nodes": nodes}), self._spec, failures)

    def _node(self, name: str, failures: dict[int, str]) -> PythonNode:
        from .python_visit import PythonNode

        builder = self._graph.builder
        return PythonNode(
            name,
            "graph" if graph_node_of(self._graph, name) else "python",
            self._graph.nodes[name].bound,
            referred(self._spec, self._spec.code)[0],
            self._deps,
            frozenset(builder.channels),
            frozenset(builder.nodes),
            self._run_graph,
            failures,
        )

    async def _run_graph(self, label: str, name: str, inputs: Mapping[str, Any]) -> Any:
        """Return what a graph of the library gives that a visit runs."""
        if name not in self._below:
            raise RunFailed(
                f"{label}: the graph {name!r} was not to be seen in {self._spec.name} before it ran.",
                hint="Give graph_node(...) to add_node of a graph that is a node, or that a node's function names.",
            )
        given = {key: value for key, value in inputs.items() if value is not None}
        try:
            return (await self._below[name].run(self._deps, label, label, given)).value
        finally:
            self._deps.gate.release(label)

    def open(self, inputs: Mapping[str, Any]) -> Opening | None:
        """Return that nothing of it begins before LangGraph is there."""
        return None

    def initial(self, inputs: Mapping[str, Any], path: str = "") -> Begin:
        """Return what the graph begins with; see Begin."""
        return Begin(first_state(self._graph.builder, inputs), path)

    def has_failed(self, state: Mapping[str, Any]) -> bool:
        """Return that no fail node ended the graph: it has none."""
        return False

    def outcome(self, state: Mapping[str, Any]) -> tuple[Any, str, int]:
        """Return (the keys of the graph's output that were written, "", 0)."""
        from .stored_state import as_json

        channels = self._graph.output_channels
        names = [channels] if isinstance(channels, str) else list(channels)
        return {name: as_json(state[name]) for name in names if name in state}, "", 0


class DrivenGraph:
    """A compiled graph whose errors are told in one line, and that knows where it runs."""

    def __init__(self, graph: Any, spec: GraphSpec, failures: Mapping[int, str]) -> None:
        from .unknown_ways import refuse_unknown_ways

        refuse_unknown_ways()
        self._graph = graph
        self._spec = spec
        self._failures = failures

    async def aget_state(self, config: Any) -> Any:
        """Return LangGraph's snapshot of the state."""
        return await self._graph.aget_state(config)

    async def ainvoke(self, step: Any, config: Any, **options: Any) -> Any:
        """Return the state after running on.

        Args:
            step: a Begin, LangGraph's Command with answers, or None: go on.

        Raises:
            RunFailed: a node, a way or LangGraph itself failed. FlowError: a limit is reached.
        """
        from langgraph.errors import EmptyInputError, GraphBubbleUp

        from .python_visit import INVOCATION

        values, path = step if isinstance(step, Begin) else (step, "")
        token = INVOCATION.set(path)
        try:
            context = default_context(self._graph)
            return await self._graph.ainvoke(values, config, context=context, **options)
        except (FlowError, GraphBubbleUp):
            raise
        except EmptyInputError as err:
            names = ", ".join(self._spec.inputs)
            raise RunFailed(f"{self._spec.name} was given nothing.", hint=f"Its inputs: {names}.") from err
        except Exception as err:
            line = failure_line(err, referred(self._spec, self._spec.code)[0])
            place = self._failures.get(id(err), path)
            raise RunFailed(f"{place}: {line}." if place else f"{line}.") from err
        finally:
            INVOCATION.reset(token)
