"""Sub-agents: a context of their own, read-only tools, only the final report comes back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from ..core.errors import RunFailed, ToolError
from ..core.events import NodeEnded, NodeFailed, NodeStarted
from ..core.ports import EffectRunner
from .agent import run_agent
from .agent_task import AgentTask, ModelCallsUsedUp, TaskTooLarge
from .deps import NodeDeps
from .roles import ROLES

_MARK = "/agent:"
"""Before a sub-agent's call id in its path; no node's name holds a colon, so no node passes for one."""


class SubAgents:
    """The Spawner port. It needs the deps that contain it, so they are attached once they exist."""

    def __init__(self) -> None:
        self._deps: NodeDeps | None = None

    def attach(self, deps: NodeDeps) -> None:
        self._deps = deps

    async def spawn(self, parent: str, call_id: str, task: str, tools: Sequence[str], effects: EffectRunner) -> str:
        """Return the report of a sub-agent.

        Args:
            parent: label of the calling agent, e.g. "code#1".
            tools: names it may use; () = the read-only preset.
            effects: the caller's, so that the sub-agent is held to the rules of its node.

        Raises:
            ToolError: sub-agents may not nest this deep, a tool is not read-only, or the sub-agent failed.
        """
        if self._deps is None:
            raise RuntimeError("SubAgents was used before attach()")
        deps = replace(self._deps, toolbox=replace(self._deps.toolbox, effects=effects))
        if parent.count(_MARK) >= deps.limits.spawn_depth:
            raise ToolError("A sub-agent cannot start another one here. Do it yourself.")
        agent = AgentTask(
            path=f"{parent}{_MARK}{call_id}",
            visit=1,
            role="sub_agent",
            prompt=task,
            tools=_allowed(tools, deps),
            model="sub_agent",
            budget=ROLES["sub_agent"].budget,
        )
        return await _reported(agent, deps)


def _allowed(tools: Sequence[str], deps: NodeDeps) -> tuple[str, ...]:
    names = tuple(tools) or ROLES["sub_agent"].tools
    specs = deps.toolbox.specs
    if refused := [name for name in names if name not in specs or specs[name].category != "read"]:
        raise ToolError(f"A sub-agent may only read; not offered to it: {', '.join(refused)}.")
    return names


async def _reported(agent: AgentTask, deps: NodeDeps) -> str:
    if deps.gate.before_node(agent.label):
        deps.events.emit(agent.label, NodeStarted("sub_agent", agent.visit))
    started = time.monotonic()
    try:
        outcome = await run_agent(agent, deps)
    except (RunFailed, ModelCallsUsedUp, TaskTooLarge) as err:
        # A search that came to nothing is no reason to end the parent's work.
        deps.events.emit(agent.label, NodeFailed(agent.visit, err.message))
        raise ToolError(f"The sub-agent came to nothing: {err.message} Do it yourself.") from err
    summary = " ".join(outcome.text.split())[:200]
    deps.events.emit(agent.label, NodeEnded(agent.visit, time.monotonic() - started, summary))
    return outcome.text
