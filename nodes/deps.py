"""What a node is given: ports and plain values, built once a run by app/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..context.assemble import TurnAssembler
from ..core.errors import ModelNotUsable
from ..core.masking import SecretMask
from ..core.messages import CallKey
from ..core.ports import Blobs, Changes, ChatModel, EffectRunner, EventSink, HookTrust, Jobs, Retriever, StepGate
from ..core.prices import Prices
from ..core.tool import OUTPUT_BYTES, MemoryRules, ToolSpec
from ..core.tool_names import OWN_NAMES, ToolNames

if TYPE_CHECKING:
    from .agent_loop import AgentLoop


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """Bounds of one agent.

    Attributes:
        max_tokens: output cap of one model call, in tokens.
        model_calls: model calls of one visit.
        spawn_depth: how deep sub-agents may nest; 0 = none.
        spawn_count: sub-agents one agent may start in one visit.
        compact_at: share of the window at which a conversation is made smaller.
        output_bytes: of one result of a tool, in a window that is not small.
    """

    max_tokens: int = 4096
    model_calls: int = 40
    spawn_depth: int = 1
    spawn_count: int = 8
    compact_at: float = 0.7
    output_bytes: int = OUTPUT_BYTES


class CompactNow:
    """A person's wish that the next conversation with a model is made smaller first, granted once."""

    def __init__(self, wished: bool = False) -> None:
        self._wished = wished

    def take(self) -> bool:
        """Return whether it is still open; it is not any more."""
        wished, self._wished = self._wished, False
        return wished


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Everything that tool calls of this run go through.

    Attributes:
        hooks: which git hooks commits run; None = none.
        jobs: what runs in the background; None = nothing can.
        memory: of what agents keep for later runs; None = they can keep nothing.
    """

    specs: Mapping[str, ToolSpec]
    workspace: Path
    blobs: Blobs
    retriever: Retriever
    effects: EffectRunner
    secrets: SecretMask = field(default_factory=SecretMask)
    hooks: HookTrust | None = None
    jobs: Jobs | None = None
    memory: MemoryRules | None = None


def own_names(model: str, key: CallKey) -> ToolNames:
    """Show every tool under its own name."""
    return OWN_NAMES


FallBack = Callable[[str, ModelNotUsable, int], Awaitable[None]]
"""Lets another model take over a role or an exact tag, or raises the error that it is given: none does. The number is
the window in tokens that it must have."""


async def no_other_model(wanted: str, err: ModelNotUsable, window: int) -> None:
    """Raise the error: nothing takes over."""
    raise err


@dataclass(frozen=True, slots=True)
class NodeDeps:
    """Attributes:
    model: gives the chat model of a role ("planner") or of an exact tag ("llama3.3:70b"), as it is now.
    fall_back: what is done when a model is not usable any more.
    prices: of the models.
    commit_trailer: the last line of a commit's message; "" = none.
    names: what the tools are called in front of a model, given as for `model`, at one call of it.
    opened: loops of visits, by label, whose first steps are under way already.
    compact_now: whether the next conversation is made smaller before anything is asked.
    tests: the project's own test command, as it is shown; "" = it is not known.
    """

    model: Callable[[str], ChatModel]
    toolbox: Toolbox
    assembler: TurnAssembler
    events: EventSink
    gate: StepGate
    changes: Changes
    limits: AgentLimits = AgentLimits()
    commit_trailer: str = ""
    fall_back: FallBack = no_other_model
    prices: Prices = field(default_factory=Prices)
    names: Callable[[str, CallKey], ToolNames] = own_names
    opened: dict[str, AgentLoop] = field(default_factory=dict)
    compact_now: CompactNow = field(default_factory=CompactNow)
    tests: str = ""
