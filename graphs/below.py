"""A graph that runs inside a node of another one, whichever of the two is written in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import RunFailed
from ..nodes.call import NodeResult
from ..nodes.deps import NodeDeps
from .facts import Facts
from .inputs import read_inputs
from .spec import GraphSpec

if TYPE_CHECKING:
    from .build import Flow
    from .python_flow import PythonFlow


def flow_of(spec: GraphSpec, library: Mapping[str, GraphSpec], deps: NodeDeps, facts: Facts) -> Flow | PythonFlow:
    """Return a graph, of a file or written in Python, ready to run.

    Args:
        library: every graph that its nodes may run, by name.
        facts: what expressions see of the settings, the run and the repository.
    """
    return import_flow(spec)(spec, library, deps, facts)


def import_flow(spec: GraphSpec) -> type[Flow] | type[PythonFlow]:
    """Return what makes such a graph ready to run. Importing it takes a while, best beside something else."""
    if spec.code:
        from .python_flow import PythonFlow

        return PythonFlow
    from .build import Flow

    return Flow


class Below:
    """A graph below another one, compiled once; it takes the saver of the run, and a namespace of its own in it."""

    def __init__(self, spec: GraphSpec, library: Mapping[str, GraphSpec], deps: NodeDeps, facts: Facts) -> None:
        self._spec = spec
        self._flow: Any = flow_of(spec, library, deps, facts)
        self._compiled = self._flow.compile()

    async def run(self, deps: NodeDeps, path: str, label: str, given: Mapping[str, Any]) -> NodeResult:
        """Return what the graph gives; its fail node is an error here.

        Args:
            path: that the paths of its nodes begin with.
            label: of the visit that it runs in, which is held to the graph's own limits from now on.
        """
        inputs = read_inputs(self._spec, given)
        own = self._spec.limits
        deps.gate.bound(
            label,
            own.tokens,
            node_runs=own.node_runs,
            model_calls=own.model_calls,
            wall_s=own.wall_s,
        )
        state = await self._compiled.ainvoke(self._flow.initial(inputs, path), {"recursion_limit": 1_000_000})
        output, message, exit_code = self._flow.outcome(state)
        if exit_code:
            raise RunFailed(f"{label.rpartition('#')[0]}: {message}", exit_code=exit_code)
        return NodeResult(output, message or _one_line(output))


def _one_line(value: Any) -> str:
    if isinstance(value, Mapping) and isinstance(value.get("summary"), str):
        return " ".join(value["summary"].split())[:120]
    return ""
