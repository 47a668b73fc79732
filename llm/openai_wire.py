"""OpenAI's chat API in both directions: what is sent, and how its streamed pieces become one reply.

llm/openai_compatible.py speaks it, llm/openai_server.py answers in it. Replies are brought into the form of Ollama's
parts, so that recordings have one form whatever server answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.messages import Message, ModelRequest
from .faults import BrokenStream, Refused, said_error
from .roles import RoleGrammar, fit_roles
from .servers import ServerKind
from .tokens import tool_json

_ENDS = {"stop": "stop", "tool_calls": "stop", "function_call": "stop", "length": "length"}


def request_body(
    request: ModelRequest,
    *,
    model: str,
    kind: ServerKind,
    grammar: RoleGrammar = "",
    temperature: float = 0.0,
    think: bool | None = None,
) -> dict[str, Any]:
    """Return the body of a streamed chat request; equal requests give equal bytes.

    What only one server knows is sent to that one alone: progress of the prompt and its cache to llama-server, the
    switch for thinking to the servers that pass it to the chat template.
    """
    body: dict[str, Any] = {"model": model, "messages": wire_messages(fit_roles(request.messages, grammar))}
    if request.tools:
        body["tools"] = [tool_json(tool) for tool in request.tools]
    if request.schema is not None:
        schema = {"name": "reply", "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    body |= {
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens,
        "temperature": temperature,
    }
    if kind == "llama.cpp":
        body |= {"cache_prompt": True, "return_progress": True}
    if think is not None and kind in ("llama.cpp", "vllm"):
        body["chat_template_kwargs"] = {"enable_thinking": think}
    return body


def wire_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a conversation as OpenAI's API takes it, without thinking, which is never sent again.

    A call is named by its place in the conversation, in nine letters and digits: templates of Mistral refuse any
    other length, and the name of a call must not change when the conversation grows.
    """
    wire: list[dict[str, Any]] = []
    asked = answered = 0
    for message in messages:
        shown: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.role == "tool":
            shown["tool_call_id"] = _call_id(answered)
            answered += 1
        if message.calls:
            shown["tool_calls"] = [
                {
                    "id": _call_id(asked + place),
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.args, ensure_ascii=False)},
                }
                for place, call in enumerate(message.calls)
            ]
            asked += len(message.calls)
        wire.append(shown)
    return wire


def as_ollama(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat request in the form of Ollama's API: what cassettes and scripted answers know."""
    messages = [message for message in body.get("messages") or () if isinstance(message, dict)]
    names = {
        call.get("id"): call.get("function", {}).get("name")
        for message in messages
        for call in message.get("tool_calls") or ()
    }
    same: dict[str, Any] = {
        "model": body.get("model", ""),
        "messages": [_ollama_message(message, names) for message in messages],
    }
    if body.get("tools"):
        same["tools"] = body["tools"]
    if schema := _schema(body.get("response_format")):
        same["format"] = schema
    return same


def plain_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a conversation in the form of Ollama's API, as it was before it was fitted to a model's template."""
    plain: list[dict[str, Any]] = []
    for message in messages:
        shown: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.calls:
            functions = [{"name": call.name, "arguments": call.args} for call in message.calls]
            shown["tool_calls"] = [{"function": function} for function in functions]
        if message.tool_name:
            shown["tool_name"] = message.tool_name
        plain.append(shown)
    return plain


@dataclass(slots=True)
class _Fragments:
    """One tool call as it comes in pieces."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    whole: Any = None

    def take(self, call_id: str, function: Mapping[str, Any]) -> None:
        self.id = self.id or call_id
        name = function.get("name")
        # Some servers repeat the whole name with every piece.
        if isinstance(name, str) and name != self.name:
            self.name += name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            self.arguments += arguments
        elif arguments is not None:
            self.whole = arguments


@dataclass(slots=True)
class Assembly:
    """A streamed reply being put together from its events.

    Attributes:
        pieces: events that brought a piece of the answer.
        done: the server said that the stream is at its end.
    """

    model: str = ""
    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    reason: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    pieces: int = 0
    done: bool = False
    _calls: list[_Fragments] = field(default_factory=list)
    _by_index: dict[int, _Fragments] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event of the stream.

        Raises:
            Refused: it tells an error.
            BrokenStream: it is no event of a chat.
        """
        if error := said_error(event):
            raise Refused(200, error)
        self.model = self.model or str(event.get("model") or "")
        for name, kept in (("usage", self.usage), ("timings", self.timings)):
            if isinstance(event.get(name), dict):
                kept.update(event[name])
        choices = event.get("choices")
        if not isinstance(choices, list):
            raise BrokenStream(f"an event is no piece of a reply ({json.dumps(event)[:80]!r})")
        for choice in choices[:1]:
            self._take_choice(choice)

    def progress(self, event: Mapping[str, Any]) -> int | None:
        """Return the percentage of the prompt that llama-server has read, None when the event tells none."""
        told = event.get("prompt_progress")
        if not isinstance(told, dict):
            return None
        total, processed = told.get("total"), told.get("processed")
        if not isinstance(total, int) or not isinstance(processed, int) or total <= 0:
            return None
        return min(100, 100 * processed // total)

    def parts(self) -> list[dict[str, Any]]:
        """Return the whole reply as Ollama's stream would have brought it: one part, and the one that ends it.

        Raises:
            BrokenStream: it did not come to its end.
        """
        if not self.done or not self.reason:
            began = self.pieces or self.reason
            raise BrokenStream("the stream ended without its last part" if began else "the server sent nothing")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.text)}
        if self.thinking:
            message["thinking"] = "".join(self.thinking)
        if self._calls:
            message["tool_calls"] = [{"function": _function(call)} for call in self._calls]
        empty = {"role": "assistant", "content": ""}
        last = {
            "model": self.model,
            "message": empty,
            "done": True,
            "done_reason": _ENDS.get(self.reason, self.reason),
        }
        return [{"model": self.model, "message": message, "done": False}, {**last, **self._counts()}]

    def _take_choice(self, choice: Any) -> None:
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict):
            raise BrokenStream(f"an event has no piece of a message ({json.dumps(choice)[:80]!r})")
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        for text, kept in ((delta.get("content"), self.text), (thought, self.thinking)):
            if isinstance(text, str) and text:
                kept.append(text)
                self.pieces += 1
        for call in delta.get("tool_calls") or ():
            self._take_call(call)
            self.pieces += 1
        if isinstance(choice.get("finish_reason"), str):
            self.reason = choice["finish_reason"]

    def _take_call(self, call: Any) -> None:
        if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
            raise BrokenStream(f"a piece of a tool call is none ({json.dumps(call)[:80]!r})")
        call_id = call["id"] if isinstance(call.get("id"), str) else ""
        index = call.get("index")
        if not isinstance(index, int):
            # Without an index a named piece begins a call, and any other belongs to the last one.
            index = len(self._calls) if call["function"].get("name") else max(0, len(self._calls) - 1)
        known = self._by_index.get(index)
        # Some servers give every call the index 0 and only another id.
        if known is None or (call_id and known.id and call_id != known.id and call["function"].get("name")):
            known = self._by_index[index] = _Fragments()
            self._calls.append(known)
        known.take(call_id, call["function"])

    def _counts(self) -> dict[str, Any]:
        """Return the counts that were reported, under Ollama's names; times in nanoseconds."""
        details = self.usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        told = {
            "prompt_eval_count": self.usage.get("prompt_tokens"),
            "eval_count": self.usage.get("completion_tokens"),
            "prompt_cached_count": self.timings.get("cache_n", cached),
        }
        times = {
            "prompt_eval_duration": self.timings.get("prompt_ms"),
            "eval_duration": self.timings.get("predicted_ms"),
        }
        counts = {name: value for name, value in told.items() if isinstance(value, int)}
        spent = {name: int(value * 1e6) for name, value in times.items() if isinstance(value, (int, float))}
        return {**counts, **spent}


def _call_id(place: int) -> str:
    return f"call{place:05d}"


def _function(call: _Fragments) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.whole if call.whole is not None else _parsed(call.arguments)}


def _parsed(arguments: str) -> Any:
    """Return the arguments as data; text that is no JSON stays as it is, for the model to be told."""
    if not arguments.strip():
        return {}
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _ollama_message(message: Mapping[str, Any], names: Mapping[Any, Any]) -> dict[str, Any]:
    same: dict[str, Any] = {"role": message.get("role"), "content": message.get("content") or ""}
    calls = [call.get("function", {}) for call in message.get("tool_calls") or ()]
    if calls:
        functions = [{"name": c.get("name"), "arguments": _parsed(str(c.get("arguments") or ""))} for c in calls]
        same["tool_calls"] = [{"function": function} for function in functions]
    if name := names.get(message.get("tool_call_id")):
        same["tool_name"] = name
    return same


def _schema(response_format: object) -> Any:
    if not isinstance(response_format, dict):
        return None
    named = response_format.get("json_schema")
    return named.get("schema") if isinstance(named, dict) else response_format.get("schema")
