"""Running one agent visit to its end. Called by the compiled graph's nodes and by sub-agents."""

from __future__ import annotations

import asyncio
from typing import Any

from ..context.view import View, viewed
from ..core.schemas import Change
from .agent_task import AgentOutcome, AgentTask
from .changed import changed_between, changed_contents
from .deps import NodeDeps
from .opening import FIRST


async def run_agent(task: AgentTask, deps: NodeDeps) -> AgentOutcome:
    """Return the outcome of the visit; inside a run it goes on from its own checkpoint after a kill."""
    from .agent_loop import AgentLoop

    loop = deps.opened.pop(task.label, None)
    if loop is None or not loop.is_of(task):
        loop = AgentLoop(task, deps)
    state: dict[str, Any] = await loop.compiled().ainvoke(FIRST, {"recursion_limit": 10_000})
    now = await asyncio.to_thread(changed_contents, deps)
    return AgentOutcome(
        text=state["final"],
        value=state["value"],
        files=changed_between(state["files_before"], now),
        messages=tuple(viewed(state["messages"], View.from_dict(state.get("view")))),
    )


async def change_of(outcome: AgentOutcome, step: str, deps: NodeDeps) -> dict[str, Any]:
    """Return a coder's Change: the files, the model's own summary, and the diff as a stored blob."""
    diff = await asyncio.to_thread(deps.changes.diff, outcome.files) if outcome.files else ""
    ref = deps.toolbox.blobs.put(diff.encode()) if diff else ""
    change = Change(step=step, files=list(outcome.files), summary=outcome.text, diff_ref=ref)
    return change.model_dump(mode="json")
