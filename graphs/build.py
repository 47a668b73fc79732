"""Compiling a checked GraphSpec to a LangGraph StateGraph. Called by app/; imports langgraph when it compiles.

Every node of the file becomes one LangGraph node (see node_step.py) and one conditional edge that reads only the
state, so that a fork or a resume takes the same way. A `graph` node runs its subgraph inside itself: LangGraph gives
it the same saver and a namespace of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph.constants import END as LANGGRAPH_END
from langgraph.constants import START

from ..core.errors import FlowError, RunFailed
from ..nodes.agent_loop import AgentLoop
from ..nodes.agents import agent_task
from ..nodes.call import NodeCall, NodeResult, NodeType
from ..nodes.deps import NodeDeps
from ..nodes.opening import Opening
from ..nodes.python_call import PythonCall
from ..nodes.registry import NODE_TYPES
from .at_once import AtOnce
from .below import Below
from .channels import schema_of, state_values
from .code import referred
from .expressions import evaluate
from .facts import Facts
from .in_checkout import in_checkout
from .items import gather_node, item_node
from .join_step import JoinStep
from .joins import awaited, has_branches, runs_at_once
from .node_deps import deps_of, held_to
from .node_step import NodeStep
from .own_filters import own_filters
from .routing import Router, room_of
from .schemas import load_schemas
from .spec import END, MODEL_NODES, GraphSpec, NodeSpec


class Flow:
    """One graph of a file, ready to run.

    Args:
        library: every graph that `graph` nodes may name, by name.
        facts: what expressions see of the settings, the run and the repository.
    """

    def __init__(self, spec: GraphSpec, library: Mapping[str, GraphSpec], deps: NodeDeps, facts: Facts) -> None:
        self._spec = spec
        self._library = library
        self._deps = held_to(deps, spec.rights)
        self._facts = replace(facts, filters=own_filters(spec))

    def compile(self, saver: Any = None) -> Any:
        """Return the LangGraph graph. Without a saver it takes that of the run it is invoked in."""
        from langgraph.graph import StateGraph

        load_schemas(self._spec)
        # The channels are known only from the file, so no static type describes them.
        graph: Any = StateGraph(schema_of(self._spec))
        router = Router(self._spec, self._facts)
        at_once = AtOnce() if runs_at_once(self._spec) else None
        for node in self._spec.nodes.values():
            deps = deps_of(self._deps, self._spec, node)
            step = NodeStep(self._spec, node, self._node_type(node, deps), router, deps, self._facts, at_once)
            _add_node(graph, node, step, router)
        for join in router.joins:
            waiting = JoinStep(join, router)
            graph.add_node(room_of(join), waiting.run)
            graph.add_conditional_edges(room_of(join), waiting.follow, router.ends_of_join(join))
        for entry in self._spec.entries:
            graph.add_edge(START, room_of(entry) if entry in router.joins else entry)
        return graph.compile(checkpointer=saver, name=self._spec.name)

    def open(self, inputs: Mapping[str, Any]) -> Opening | None:
        """Begin the first steps of the agent that the graph begins with, before langgraph is there to run them.

        Returns:
            None: it begins with something else, with what depends on a condition, or with a fault that running it
            will meet as well.
        """
        node = self._spec.nodes.get(self._spec.entry)
        if node is None or node.type not in MODEL_NODES:
            return None
        deps = deps_of(self._deps, self._spec, node)
        step = NodeStep(self._spec, node, NODE_TYPES[node.type], Router(self._spec, self._facts), deps, self._facts)
        try:
            call = step.first_call(self.initial(inputs))
        except FlowError:
            return None
        if call is None:
            return None
        task = agent_task(call, deps)
        deps.opened[task.label] = loop = AgentLoop(task, deps)
        return loop.open()

    def initial(self, inputs: Mapping[str, Any], path: str = "") -> dict[str, Any]:
        """Return the first state. `path` is the path of the node that runs this graph; "" at the top."""
        state = {"input": dict(inputs), "path": path, "visits": {}}
        if not has_branches(self._spec):
            return state
        joins = awaited(self._spec)
        return {**state, "under_way": {room_of(e) if e in joins else e: 1 for e in self._spec.entries}}

    def has_failed(self, state: Mapping[str, Any]) -> bool:
        """Return whether a fail node ended the graph."""
        return bool(state.get("failed"))

    def outcome(self, state: Mapping[str, Any]) -> tuple[Any, str, int]:
        """Return (output, message, exit code); "" and 0 unless a fail node ended the graph.

        Raises:
            RunFailed: the graph did not come to its end. LangGraph itself takes a run for finished when the node
                that should come next is gone from a changed file.
        """
        if failed := state.get("failed"):
            return None, failed["message"], failed["exit"]
        if state.get("under_way") if has_branches(self._spec) else not state.get("ended"):
            raise RunFailed(
                f"{self._spec.name} stopped before its end: the next node is not in the graph any more.",
                hint="Put the graph's file back as it was when the run began, then resume.",
            )
        names = self._facts.names(state["input"], state_values(self._spec, state))
        output = self._spec.output
        if output is None:
            return None, "", 0
        if isinstance(output, dict):
            return {name: evaluate(expr, names) for name, expr in output.items()}, "", 0
        return evaluate(output, names), "", 0

    def _node_type(self, node: NodeSpec, deps: NodeDeps) -> NodeType:
        if node.workspace == "worktree":
            return in_checkout(lambda own: self._type_in(node, own))
        return self._type_in(node, deps)

    def _type_in(self, node: NodeSpec, deps: NodeDeps) -> NodeType:
        match node.type:
            case "graph":
                return self._subgraph(node, deps)
            case "python":
                return PythonCall(*referred(self._spec, node.fields["call"]))
            case _:
                return NODE_TYPES[node.type]

    def _subgraph(self, node: NodeSpec, deps: NodeDeps) -> NodeType:
        below = Below(self._library[node.fields["graph"]], self._library, deps, self._facts)

        async def run_graph(call: NodeCall, deps: NodeDeps) -> NodeResult:
            """Return the subgraph's output; its fail node is an error here."""
            path = call.path if call.visit == 1 else call.label
            return await below.run(deps, path, call.label, call.fields.get("with") or {})

        return run_graph


def _add_node(graph: Any, node: NodeSpec, step: NodeStep, router: Router) -> None:
    """Add what LangGraph runs of one node: itself, and where its items run at once one node for them, one after."""
    name = node.name
    graph.add_node(name, step.run)
    if (target := router.fixed(name)) is not None:
        graph.add_edge(name, LANGGRAPH_END if target == END else target)
    elif node.each is None or node.each.parallel == 1:
        graph.add_conditional_edges(name, step.follow, router.ends(name))
    else:
        ends = [item_node(name), *router.ends(name)]
        graph.add_node(item_node(name), step.run_item)
        graph.add_node(gather_node(name), step.gather)
        graph.add_conditional_edges(name, step.follow, ends)
        graph.add_edge(item_node(name), gather_node(name))
        graph.add_conditional_edges(gather_node(name), step.follow, ends)
