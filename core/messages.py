"""Chat messages and model calls as plain data, independent of any client library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .effects import Spans, spans_from_json, spans_to_json

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call a model asked for. `id` is given by us and is the same again after a resume."""

    id: str
    name: str
    args: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "args": self.args}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> ToolCall:
        return ToolCall(id=data["id"], name=data["name"], args=data["args"])


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        calls: tool calls of an assistant message, in the order the model gave them; () for every other role.
        call_id, tool_name: of a tool message, the call it answers; "" otherwise.
        thinking: the model's reasoning, kept for the record and never sent back.
        seen: what the content shows of files, as in ToolResult; never sent.
        spans: which lines of them, as in ToolResult; what is not in `seen` any more does not count here either.
        output: blob id of the whole of what the content shows cut; "" = it is not cut.
    """

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    tool_name: str = ""
    thinking: str = ""
    seen: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, Spans] = field(default_factory=dict)
    output: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form kept in checkpoints; empty fields are left out."""
        data: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.calls:
            data["calls"] = [call.to_dict() for call in self.calls]
        for name in ("call_id", "tool_name", "thinking", "output"):
            if value := getattr(self, name):
                data[name] = value
        if self.seen:
            data["seen"] = dict(self.seen)
        if self.spans:
            data["spans"] = spans_to_json(self.spans)
        return data

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Message:
        return Message(
            role=data["role"],
            content=data["content"],
            calls=tuple(ToolCall.from_dict(call) for call in data.get("calls", ())),
            call_id=data.get("call_id", ""),
            tool_name=data.get("tool_name", ""),
            thinking=data.get("thinking", ""),
            seen=data.get("seen", {}),
            spans=spans_from_json(data.get("spans", {})),
            output=data.get("output", ""),
        )


@dataclass(frozen=True, slots=True)
class ToolDef:
    """What a model is shown of a tool: `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallKey:
    """Which model call of a run this is; the same again after a resume and in a replay.

    Attributes:
        node: path of the agent, e.g. "implement[add-flag]/code"; an item of an `each` stands in brackets.
        visit: 1 for the node's first visit in this invocation of its graph.
        turn: 0 for the first request of that visit.
    """

    node: str
    visit: int
    turn: int

    def __str__(self) -> str:
        return f"{self.node}#{self.visit}.{self.turn}"


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to a chat model.

    Attributes:
        tools: offered tools in a stable order; () = none.
        schema: JSON Schema the whole reply must follow; None = free. Never together with tools.
        max_tokens: output cap in tokens.
        described: tools the conversation was about and that may not be called now. A model whose tools stand in its
            prompt goes on reading of them, so that the prompt keeps its beginning.
        profile: tool profile whose names the tools and calls have, for the record; "" = our own names.
        keeps_earlier: no checkpoint holds what the visit was answered before, so that is not forgotten yet.
    """

    messages: tuple[Message, ...]
    key: CallKey
    tools: tuple[ToolDef, ...] = ()
    schema: dict[str, Any] | None = None
    max_tokens: int = 4096
    described: tuple[ToolDef, ...] = ()
    profile: str = ""
    keeps_earlier: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What the server reported of one call; None = not reported. Times in seconds.

    Attributes:
        cached_tokens: those of the prompt that it had computed before.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    load_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A complete reply: its stream ended with a done_reason of "stop", so its calls may run.

    Attributes:
        seconds: what the call took; None = the caller has to time it.
        told: True when an earlier process received it and its event is stored; it must not be counted again.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    thinking: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    seconds: float | None = None
    told: bool = False
