"""What a node is given: ports and plain values, built once a run by app/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..context.assemble import TurnAssembler
from ..core.masking import SecretMask
from ..core.ports import Blobs, Changes, ChatModel, EffectRunner, EventSink, Retriever, StepGate
from ..core.tool import ToolSpec


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """Bounds of one agent.

    Attributes:
        max_tokens: output cap of one model call, in tokens.
        model_calls: model calls of one visit.
        spawn_depth: how deep sub-agents may nest; 0 = none.
        spawn_count: sub-agents one agent may start in one visit.
    """

    max_tokens: int = 4096
    model_calls: int = 40
    spawn_depth: int = 1
    spawn_count: int = 8


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Everything that tool calls of this run go through."""

    specs: Mapping[str, ToolSpec]
    workspace: Path
    blobs: Blobs
    retriever: Retriever
    effects: EffectRunner
    secrets: SecretMask = field(default_factory=SecretMask)


@dataclass(frozen=True, slots=True)
class NodeDeps:
    """Attributes:
    model: gives the chat model of a role ("planner") or of an exact tag ("llama3.3:70b").
    commit_trailer: the last line of a commit's message; "" = none.
    """

    model: Callable[[str], ChatModel]
    toolbox: Toolbox
    assembler: TurnAssembler
    events: EventSink
    gate: StepGate
    changes: Changes
    limits: AgentLimits = AgentLimits()
    commit_trailer: str = ""
