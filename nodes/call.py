"""What a node type is called with and what it gives back, as plain data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pydantic import BaseModel

from ..context.assemble import Budget
from ..core.errors import Denied, RunFailed
from ..core.messages import Message
from .deps import NodeDeps


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One visit of a node, its expressions already evaluated.

    Attributes:
        path: node path without the visit; `visit` counts from 1 within one invocation of the graph.
        kind: name of the node type.
        fields: the type's own fields as values (prompt, run, show, call, with, message, ...).
        tools, model, budget, schema: None = what the type presets.
        history: conversation of the visit before, when the node continues it; () = fresh.
        model_calls: bound for an agent; 0 = the setting's number.
        tokens: bound for an agent and its sub-agents; 0 = none.
        timeout_s: bound for a command; None = the type's own.
        check: returns why an agent's answer will not do, for the model to read; "" = it will. None = any will.
        item: the item of an `each`, or the graph's input named `step`; names the step of a Change. None = no item.
    """

    path: str
    visit: int
    kind: str
    fields: Mapping[str, Any]
    tools: tuple[str, ...] | None = None
    model: str | None = None
    budget: Mapping[str, int] | None = None
    schema: type[BaseModel] | None = None
    check: Callable[[Any], str] | None = None
    history: tuple[Message, ...] = ()
    model_calls: int = 0
    tokens: int = 0
    timeout_s: float | None = None
    item: Any = None

    @property
    def label(self) -> str:
        """Path with the visit, as events and the journal name it."""
        return f"{self.path}#{self.visit}"


@dataclass(frozen=True, slots=True)
class Failure:
    """The graph ends here as failed, with this message and exit code."""

    message: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What a visit gave.

    Attributes:
        value: JSON data; goes to `output.to` and is `output` in the node's edges.
        summary: one line for people.
        messages: the conversation, for a node that continues it.
        state: values that the node itself writes to state keys, each by its key's reducer.
        edits: values that take the place of all a state key holds (a person's edit).
        failure: set by a `fail` node.
        resets: True when a person's answer lets the counters of its cycle start again.
    """

    value: Any = None
    summary: str = ""
    messages: tuple[Message, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    edits: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    resets: bool = False


def attempts(call_id: str) -> Iterator[str]:
    """Yield a call's ids in the journal: its own, then one for each time that it is tried again after a failure."""
    yield call_id
    for number in count(2):
        yield f"{call_id}.{number}"


NodeType = Callable[[NodeCall, NodeDeps], Awaitable[NodeResult]]


def budget_of(preset: Budget, wanted: Mapping[str, int] | None) -> Budget:
    """Return the preset with the parts that a graph file set; keys that are not prompt parts are left out."""
    if wanted is None:
        return preset
    return Budget(
        repo_map=wanted.get("repo_map", preset.repo_map),
        code=wanted.get("code", preset.code),
        docs=wanted.get("docs", preset.docs),
        memory=wanted.get("memory", preset.memory),
        mentions=wanted.get("mentions", preset.mentions),
    )


def denied(call: NodeCall, why: str) -> RunFailed:
    """Return the error of a node whose command or tool call was refused by a rule, the mode or a person."""
    hint = '`flow permissions check "COMMAND"` tells what the rules say; once it is allowed, `flow resume` goes on.'
    return RunFailed(f"{call.path}: {why}", hint=hint, exit_code=Denied.exit_code)
