"""Sub-agents: a context of their own, read-only tools, only the final report comes back."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..core.errors import ToolError
from ..core.events import NodeEnded, NodeStarted
from .agent import run_agent
from .agent_task import AgentTask
from .deps import NodeDeps
from .roles import ROLES

_MARK = "/agent["


class SubAgents:
    """The Spawner port. It needs the deps that contain it, so they are attached once they exist."""

    def __init__(self) -> None:
        self._deps: NodeDeps | None = None

    def attach(self, deps: NodeDeps) -> None:
        self._deps = deps

    async def spawn(self, parent: str, call_id: str, task: str, tools: Sequence[str]) -> str:
        """Return the report of a sub-agent.

        Args:
            parent: label of the calling agent, e.g. "code#1".
            tools: names it may use; () = the read-only preset.

        Raises:
            ToolError: sub-agents may not nest this deep, or a tool is not read-only.
        """
        if self._deps is None:
            raise RuntimeError("SubAgents was used before attach()")
        deps = self._deps
        if parent.count(_MARK) >= deps.limits.spawn_depth:
            raise ToolError("A sub-agent cannot start another one here. Do it yourself.")
        agent = AgentTask(
            path=f"{parent}{_MARK}{call_id}]",
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
    deps.events.emit(agent.label, NodeStarted("sub_agent", agent.visit))
    started = time.monotonic()
    outcome = await run_agent(agent, deps)
    summary = " ".join(outcome.text.split())[:200]
    deps.events.emit(agent.label, NodeEnded(agent.visit, time.monotonic() - started, summary))
    return outcome.text
