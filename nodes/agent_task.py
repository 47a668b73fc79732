"""The plain description of one agent visit, made by graphs/build and by sub-agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from ..context.assemble import Budget, system_message
from ..core.errors import LimitReached
from ..core.messages import Message
from ..core.tool import ToolSpec
from .roles import ROLES, Role


class ModelCallsUsedUp(LimitReached):
    """One agent visit made all the model calls it may make; the run's own budget is another matter."""


class TaskTooLarge(LimitReached):
    """A task that leaves no room in the window to work on it."""


Check = Callable[[Any, Mapping[str, str]], str]
"""Returns why the value of a final answer will not do, for the model to read; "" = it will. It is also given what
the run had changed when the visit began: hashes by file."""


@dataclass(frozen=True, slots=True)
class AgentTask:
    """One visit of one agent.

    Attributes:
        path: node path without the visit, e.g. "implement[add-flag]/code".
        visit: 1 for the first visit in this invocation of its graph.
        role: name of the preset in nodes/roles.ROLES.
        model: role or exact tag that picks the model.
        schema: what the final answer must follow; None = free text.
        check: None = any value of the final answer will do.
        history: an earlier visit's conversation to go on from; () = a fresh context.
        model_calls: at most this many model calls; 0 = the setting's number.
        tokens: at most this many, those of sub-agents included; 0 = no limit of its own.
    """

    path: str
    visit: int
    role: str
    prompt: str
    tools: tuple[str, ...]
    model: str
    budget: Budget
    schema: type[BaseModel] | None = None
    history: tuple[Message, ...] = ()
    model_calls: int = 0
    tokens: int = 0
    system: Message = field(default_factory=system_message)
    check: Check | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """Path with the visit, as events and the journal name it."""
        return f"{self.path}#{self.visit}"

    @property
    def preset(self) -> Role:
        return ROLES[self.role]

    def own(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the stored messages of this visit, without those of the visits it goes on from."""
        return messages[len(self.history) :]

    def toolset(self, specs: Mapping[str, ToolSpec]) -> dict[str, ToolSpec]:
        """Return the tools of this agent in their given order.

        Raises:
            KeyError: a tool that does not exist; graph files are checked before they run.
        """
        return {name: specs[name] for name in self.tools}


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """What a visit came to.

    Attributes:
        value: the structured answer as JSON data, or the final text.
        files: files it changed, workspace-relative, sorted.
        messages: the conversation as it was sent last, with its end, for a visit that goes on from it.
    """

    text: str
    value: object
    files: tuple[str, ...]
    messages: tuple[Message, ...]
