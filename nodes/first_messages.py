"""The messages that a visit of an agent begins with, held to their share of the window. Called by the agent loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..core.messages import Message, ToolDef
from ..core.ports import ChatModel
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
    """Return the earlier conversation that the visit goes on from with its task, or a new one.

    Raises:
        TaskTooLarge: the task leaves no room to work on it. Without tools nothing comes after it, so it may fill the
            window.
    """
    mask = deps.toolbox.secrets.mask
    if task.history:
        return [*task.history, Message("user", mask(task.prompt))]
    role, model, counter = task.preset, deps.model(task.model), deps.assembler.counter
    share = share_in(model.window)
    extra = role.extra(deps.changes, deps.assembler, share)
    text, budget = role.text(task.schema, names), task.budget.scaled(share)
    most = int(model.window * FIRST_SHARE / deps.counts.ratio(task.model)) if definitions else None
    left = None if most is None else max(most - count_request([task.system], definitions, counter), 0)
    first = deps.assembler.first_message(text, task.prompt, budget, extra, left)
    first = replace(first, content=mask(first.content))
    if most is not None and (tokens := counter.count(first.content)) > most:
        raise _too_large(task, model, tokens, most)
    return [task.system, first]


def _too_large(task: AgentTask, model: ChatModel, tokens: int, most: int) -> TaskTooLarge:
    return TaskTooLarge(
        f"{task.label}: its task has about {tokens:,} tokens with the text of its role, and may have {most:,}: that "
        f"is {FIRST_SHARE:.0%} of the window of {model.name!r} ({model.window:,}), so that it can be worked on.",
        hint="Nothing of a task is left out. Say it in fewer words, mention long texts as files (@PATH), or take a "
        "larger window (-c models.num_ctx=N).",
    )
