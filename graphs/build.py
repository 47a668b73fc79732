"""Compiling a checked GraphSpec to a LangGraph StateGraph. Called by app/; imports langgraph when it compiles.

Every node of the file becomes one LangGraph node (see node_step.py) and one conditional edge that reads only the
state, so that a fork or a resume takes the same way. A `graph` node runs its subgraph inside itself: LangGraph gives
it the same saver and a namespace of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph.constants import START

from ..core.errors import FlowError, RunFailed
from ..nodes.agent_loop import AgentLoop
from ..nodes.agents import agent_task
from ..nodes.call import NodeCall, NodeResult, NodeType
from ..nodes.deps import NodeDeps
from ..nodes.opening import Opening
from ..nodes.registry import NODE_TYPES
from .channels import schema_of, state_values
from .expressions import evaluate
from .facts import Facts
from .inputs import read_inputs
from .node_step import NodeStep
from .routing import Router
from .spec import MODEL_NODES, GraphSpec, NodeSpec, Rights


class Flow:
    """One graph of a file, ready to run.

    Args:
        library: every graph that `graph` nodes may name, by name.
        facts: what expressions see of the settings, the run and the repository.
    """

    def __init__(self, spec: GraphSpec, library: Mapping[str, GraphSpec], deps: NodeDeps, facts: Facts) -> None:
        self._spec = spec
        self._library = library
        self._deps = _held_to(deps, spec.rights)
        self._facts = facts

    def compile(self, saver: Any = None) -> Any:
        """Return the LangGraph graph. Without a saver it takes that of the run it is invoked in."""
        from langgraph.graph import StateGraph

        # The channels are known only from the file, so no static type describes them.
        graph: Any = StateGraph(schema_of(self._spec))
        router = Router(self._spec, self._facts)
        for name, node in self._spec.nodes.items():
            deps = _held_to(self._deps, node.rights)
            step = NodeStep(self._spec, node, self._node_type(node, deps), router, deps, self._facts)
            graph.add_node(name, step.run)
            graph.add_conditional_edges(name, router.after(name), router.ends(name))
        graph.add_edge(START, self._spec.entry)
        return graph.compile(checkpointer=saver, name=self._spec.name)

    def open(self, inputs: Mapping[str, Any]) -> Opening | None:
        """Begin the first steps of the agent that the graph begins with, before langgraph is there to run them.

        Returns:
            None: it begins with something else, with what depends on a condition, or with a fault that running it
            will meet as well.
        """
        node = self._spec.nodes[self._spec.entry]
        if node.type not in MODEL_NODES:
            return None
        deps = _held_to(self._deps, node.rights)
        step = NodeStep(self._spec, node, NODE_TYPES[node.type], Router(self._spec, self._facts), deps, self._facts)
        try:
            call = step.first_call(self.initial(inputs))
        except FlowError:
            return None
        if call is None:
            return None
        task = agent_task(call)
        deps.opened[task.label] = loop = AgentLoop(task, deps)
        return loop.open()

    def initial(self, inputs: Mapping[str, Any], path: str = "") -> dict[str, Any]:
        """Return the first state. `path` is the path of the node that runs this graph; "" at the top."""
        return {"input": dict(inputs), "path": path, "visits": {}, "failed": None}

    def outcome(self, state: Mapping[str, Any]) -> tuple[Any, str, int]:
        """Return (output, message, exit code); "" and 0 unless a fail node ended the graph.

        Raises:
            RunFailed: the graph did not come to its end. LangGraph itself takes a run for finished when the node
                that should come next is gone from a changed file.
        """
        if not state.get("ended"):
            raise RunFailed(
                f"{self._spec.name} stopped before its end: the next node is not in the graph any more.",
                hint="Put the graph's file back as it was when the run began, then resume.",
            )
        if failed := state.get("failed"):
            return None, failed["message"], failed["exit"]
        names = self._facts.names(state["input"], state_values(self._spec, state))
        output = self._spec.output
        if output is None:
            return None, "", 0
        if isinstance(output, dict):
            return {name: evaluate(expr, names) for name, expr in output.items()}, "", 0
        return evaluate(output, names), "", 0

    def _node_type(self, node: NodeSpec, deps: NodeDeps) -> NodeType:
        return self._subgraph(node, deps) if node.type == "graph" else NODE_TYPES[node.type]

    def _subgraph(self, node: NodeSpec, deps: NodeDeps) -> NodeType:
        spec = self._library[node.fields["graph"]]
        flow = Flow(spec, self._library, deps, self._facts)
        compiled = flow.compile()

        async def run_graph(call: NodeCall, deps: NodeDeps) -> NodeResult:
            """Return the subgraph's output; its fail node is an error here."""
            inputs = read_inputs(spec, call.fields.get("with") or {})
            path = call.path if call.visit == 1 else call.label
            state = await compiled.ainvoke(flow.initial(inputs, path), {"recursion_limit": 1_000_000})
            output, message, exit_code = flow.outcome(state)
            if exit_code:
                raise RunFailed(f"{call.path}: {message}", exit_code=exit_code)
            return NodeResult(output, message or _one_line(output))

        return run_graph


def _held_to(deps: NodeDeps, rights: Rights) -> NodeDeps:
    """Return deps whose commands are held to these rules too."""
    if rights == Rights():
        return deps
    effects = deps.toolbox.effects.within(rights.permissions, rights.network)
    return replace(deps, toolbox=replace(deps.toolbox, effects=effects))


def _one_line(value: Any) -> str:
    if isinstance(value, Mapping) and isinstance(value.get("summary"), str):
        return " ".join(value["summary"].split())[:120]
    return ""
