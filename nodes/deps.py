"""What a node is given: ports and plain values, built once a run by app/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..context.assemble import TurnAssembler
from ..core.errors import ModelNotUsable
from ..core.masking import SecretMask
from ..core.messages import CallKey, ModelRequest
from ..core.ports import Blobs, Changes, ChatModel, EffectRunner, EventSink, HookTrust, Jobs, PromptCounts, Retriever
from ..core.prices import Prices
from ..core.run_ports import StepGate, VisitEnds
from ..core.tool import OUTPUT_BYTES, MemoryRules, ToolSpec
from ..core.tool_names import OWN_NAMES, ToolNames

if TYPE_CHECKING:
    from .agent_loop import AgentLoop
    from .call import NodeCall


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
        no_map_for: names and patterns of the models that get no repository map.
    """

    max_tokens: int = 4096
    model_calls: int = 40
    spawn_depth: int = 1
    spawn_count: int = 8
    compact_at: float = 0.7
    output_bytes: int = OUTPUT_BYTES
    no_map_for: tuple[str, ...] = ()


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
        reads_only: True where nothing may be changed: tools that do it are not offered.
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
    reads_only: bool = False

    def offered(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the tools that may be offered, of these; an unknown name stays."""
        if not self.reads_only:
            return tuple(names)
        return tuple(name for name in names if name not in self.specs or self.specs[name].category != "edit")


def own_names(model: str, key: CallKey) -> ToolNames:
    """Show every tool under its own name."""
    return OWN_NAMES


FallBack = Callable[[str, ModelNotUsable, int], Awaitable[None]]
"""Lets another model take over a role or an exact tag, or raises the error that it is given: none does. The number is
the window in tokens that it must have."""


async def no_other_model(wanted: str, err: ModelNotUsable, window: int) -> None:
    """Raise the error: nothing takes over."""
    raise err


async def always_connected() -> None:
    """Return at once: the models can be asked."""


class NoCounts:
    """Nothing is known of how the models count (core.ports.PromptCounts)."""

    def ratio(self, wanted: str) -> float:
        """Return that every token is counted as it is estimated."""
        return 1.0

    async def exact(self, wanted: str, request: ModelRequest) -> int | None:
        """Return that there is no tokenizer to ask."""
        return None

    def learned(self, model: str, ratio: float) -> None:
        """Keep nothing."""


class NoEnds:
    """Keeps no ends of visits (core.run_ports.VisitEnds)."""

    def find(self, visit: str) -> dict[str, Any] | None:
        """Return that the visit did not end before."""
        return None

    def keeping(self, visit: str, graph: str, update: dict[str, Any]) -> AbstractContextManager[None]:
        """Return a block that does nothing more than its statements do."""
        return nullcontext()


class Checkouts(Protocol):
    """Checkouts of single visits of a run."""

    async def enter(self, visit: str, deps: NodeDeps) -> NodeDeps:
        """Return the deps of a visit (its label) in a checkout of its own, made now or found as it was left.

        Raises:
            UsageError: there is no commit to make it from, or git cannot.
        """
        ...

    async def leave(self, call: NodeCall, deps: NodeDeps) -> str:
        """Keep what the visit changed in a branch, and return its name; "" = nothing was changed.

        Args:
            deps: what `enter` returned.
        """
        ...


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
    checkouts: gives visits a checkout of their own; None = there are none, or this is one already.
    counts: how the models count prompts.
    ends: keeps what visits came to.
    connected: returns once the models can be asked, which code does first; agents have no need, since a graph with
        agents connects before it begins.
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
    checkouts: Checkouts | None = None
    counts: PromptCounts = field(default_factory=NoCounts)
    ends: VisitEnds = field(default_factory=NoEnds)
    connected: Callable[[], Awaitable[None]] = always_connected
