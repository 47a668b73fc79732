"""The messages that a visit of an agent begins with, held to their share of the window. Called by the agent loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ..core.messages import Message, ToolDef
from ..core.tool_names import ToolNames
from ..llm.tokens import count_request
from .agent_task import AgentTask, TaskTooLarge
from .deps import NodeDeps
from .window import share_in

FIRST_SHARE = 0.4
"""Of the window, what system message, tools and first message of an agent take together, as far as parts of the first
message can be left out; what its task takes at most."""


def first_messages(
    task: AgentTask, deps: NodeDeps, names: ToolNames, definitions: Sequence[ToolDef]
) -> list[Message]:
    """Return the earlier conversation that the visit goes on from with its task, or a new one."""
    mask = deps.toolbox.secrets.mask
    if task.history:
        return [*task.history, Message("user", mask(task.prompt))]
    model = deps.model(task.model)
    role, share = task.preset, share_in(model.window)
    extra = role.extra(deps.changes, deps.assembler, share)
    text, budget = role.text(task.schema, names), task.budget.scaled(share)
    if any(fnmatchcase(model.name, pattern) for pattern in deps.limits.no_map_for):
        budget = replace(budget, repo_map=0)
    # Nothing comes after the first message of an agent without tools, so it may fill the window.
    most = None
    if definitions:
        most = max(_most(task, deps) - count_request([task.system], definitions, deps.assembler.counter), 0)
    first = deps.assembler.first_message(text, task.prompt, budget, extra, most)
    return [task.system, replace(first, content=mask(first.content))]


def too_large(task: AgentTask, deps: NodeDeps, messages: Sequence[Message], tools: int) -> TaskTooLarge | None:
    """Return why a task leaves an agent no room to work on it; None = it does.

    Args:
        messages: that the visit begins with.
        tools: how many the agent has.
    """
    tokens, most = deps.assembler.counter.count(messages[-1].content), _most(task, deps)
    if task.history or not tools or tokens <= most:
        return None
    model = deps.model(task.model)
    return TaskTooLarge(
        f"{task.label}: its task has about {tokens:,} tokens with the text of its role, and may have {most:,}: that "
        f"is {FIRST_SHARE:.0%} of the window of {model.name!r} ({model.window:,}), so that it can be worked on.",
        hint="Nothing of a task is left out. Say it in fewer words, mention long texts as files (@PATH), or take a "
        "larger window (-c models.num_ctx=N).",
    )


def _most(task: AgentTask, deps: NodeDeps) -> int:
    return int(deps.model(task.model).window * FIRST_SHARE / deps.counts.ratio(task.model))
