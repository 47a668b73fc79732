"""Node types that are agents: planner, coder, reviewer, sub_agent, agent and llm (one call, no tools)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..context.view import recent
from ..core.messages import Message
from ..core.schemas import Change
from ..llm.tokens import count_request
from .agent import change_of, run_agent
from .agent_task import AgentTask, Check
from .call import NodeCall, NodeResult, budget_of
from .changed import changed_between, changed_contents
from .deps import NodeDeps
from .roles import ROLES


def agent_task(call: NodeCall, deps: NodeDeps) -> AgentTask:
    """Return the agent a node describes: the preset of its type with everything the graph file overrides."""
    role = ROLES[call.kind]
    return AgentTask(
        path=call.path,
        visit=call.visit,
        role=call.kind,
        prompt=str(call.fields["prompt"]).strip(),
        tools=deps.toolbox.offered(role.tools if call.tools is None else call.tools),
        model=call.model or call.kind,
        budget=budget_of(role.budget, call.budget),
        schema=call.schema or role.schema,
        history=_history(call, deps),
        model_calls=call.model_calls,
        tokens=call.tokens,
        check=_check_of(call, deps),
    )


def _history(call: NodeCall, deps: NodeDeps) -> tuple[Message, ...]:
    """Return the conversation of the visit before, as far as the node's budget has room for it."""
    room = (call.budget or {}).get("history")
    if room is None:
        return call.history
    return recent(call.history, room, lambda messages: count_request(messages, (), deps.assembler.counter))


def _check_of(call: NodeCall, deps: NodeDeps) -> Check | None:
    """Return what looks at an agent's answer before it is taken; a coder's stands in the Change that it becomes."""
    check = call.check
    if check is None:
        return None
    if call.kind != "coder":
        return lambda value, before: check(value)

    def check_change(text: Any, before: Mapping[str, str]) -> str:
        files = changed_between(before, changed_contents(deps))
        return check(Change(step=_step_of(call), files=list(files), summary=str(text)).model_dump(mode="json"))

    return check_change


def _step_of(call: NodeCall) -> str:
    return str(call.item.get("id", "")) if isinstance(call.item, Mapping) else ""


async def run_agent_node(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return the agent's answer: its schema's data, or the text."""
    outcome = await run_agent(agent_task(call, deps), deps)
    return NodeResult(outcome.value, _summary(outcome.value), outcome.messages)


async def run_coder(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return a Change: what the coder says it did, and what really changed."""
    outcome = await run_agent(agent_task(call, deps), deps)
    change = await change_of(outcome, _step_of(call), deps)
    files = ", ".join(outcome.files) or "no files changed"
    return NodeResult(change, files, outcome.messages)


def _summary(value: Any) -> str:
    if isinstance(value, Mapping):
        if "steps" in value:
            return f"{value.get('title', '')} ({_counted(len(value['steps']), 'step')})"
        if "verdict" in value:
            return f"{value['verdict']}, {_counted(len(value.get('findings', ())), 'finding')}"
        return ", ".join(value)
    return " ".join(str(value).split())[:120]


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
