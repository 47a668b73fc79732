"""What the in-package server answers with: replies, recorded streams and faults. For tests, demo and replays."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .tokens import EstimatingCounter

FaultKind = Literal[
    "http",  # an HTTP error: `status` and `text`
    "http-404",
    "http-500",
    "http-503",
    "not-json",  # HTTP 200 with a web page
    "error-object",  # HTTP 200 with an error as JSON
    "wrong-type",  # the stream under a content type that is none of a stream
    "slow-start",  # silence before the first byte, then a reply
    "slow-drip",  # silence before each part of a reply
    "stall",  # all parts but the last, then silence, then that
    "drop",  # the connection closes in the middle of a part
    "reset",  # the same, by a reset
    "truncated-json",  # a part ends in its middle, and so does the stream
    "garbage",  # a part with bytes in it that are no text
    "no-done",  # the stream ends without its last part
    "double-done",  # the whole stream twice
    "endless",  # the first part again and again until the client leaves
    "error-line",  # an `error` part in the place of the last one
    "empty",  # HTTP 200 with no part at all
    "load",  # the model was loaded and nothing was generated
    "length",  # cut at the output limit, in the middle of a tool call's text
    "bad-arguments",  # a tool call whose arguments are no object
]


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of a reply. `arguments` is an object unless a test wants it broken."""

    name: str
    arguments: Any = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as the model gives it.

    Attributes:
        prompt_tokens, completion_tokens: reported counts; None = estimated from the request and the reply.
        cached_tokens: reported of the prompt's, by servers that report it; None = it is not.
        delay_s: seconds before the first part.
        piece_chars: characters of text a part carries.
    """

    text: str = ""
    calls: Sequence[Call] = ()
    thinking: str = ""
    done_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    delay_s: float = 0.0
    piece_chars: int = 24


@dataclass(frozen=True, slots=True)
class RawReply:
    """A stream given part by part, sent as it stands."""

    parts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong. `text` is the error message or the text of the broken reply; "" = a usual one.

    Attributes:
        status: HTTP status of the kind "http".
        delay_s: seconds of silence of the kinds "slow-start", "slow-drip" and "stall".
        reply: what breaks, where it is more than text; None = `text`.
    """

    kind: FaultKind
    status: int = 500
    text: str = ""
    delay_s: float = 0.0
    reply: Reply | None = None


Answer = Reply | RawReply | Fault


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One accepted chat request. `headers` have lower-case names; `index` counts from 0."""

    body: dict[str, Any]
    headers: dict[str, str]
    index: int

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages as they came over the wire."""
        messages = self.body.get("messages")
        return messages if isinstance(messages, list) else []


Answers = Callable[[ChatRequest], Answer]


def scripted(answers: Sequence[Answer]) -> Answers:
    """Return answers given one after the other, whatever is asked.

    Past the end every request is refused with HTTP 400, which no client retries, and a text that says so.
    """
    left = iter(list(answers))
    lock = threading.Lock()
    count = len(answers)

    def answer(request: ChatRequest) -> Answer:
        with lock:
            found = next(left, None)
        if found is not None:
            return found
        text = f"the script has {count} answers, and request {request.index + 1} finds none left"
        return Fault("http", status=400, text=text)

    return answer


def reply_parts(reply: Reply, request: ChatRequest) -> Iterator[dict[str, Any]]:
    """Yield the stream parts of a reply, as Ollama sends them: thinking, text, one part a call, the counts."""
    model = str(request.body.get("model", ""))
    for piece in _pieces(reply.thinking, reply.piece_chars):
        yield _part(model, {"content": "", "thinking": piece})
    for piece in _pieces(reply.text, reply.piece_chars):
        yield _part(model, {"content": piece})
    for index, call in enumerate(reply.calls):
        function = {"index": index, "name": call.name, "arguments": call.arguments}
        yield _part(model, {"content": "", "tool_calls": [{"function": function}]})
    cached = {} if reply.cached_tokens is None else {"prompt_cached_count": reply.cached_tokens}
    yield {**last_part(model, reply.done_reason, _counts(reply, request)), **cached}


def last_part(model: str, done_reason: str, counts: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """Return the part that ends a stream; `counts` are prompt and completion tokens, durations are nominal."""
    prompt_tokens, completion_tokens = counts
    return {
        **_part(model, {"content": ""}),
        "done_reason": done_reason,
        "done": True,
        "total_duration": 2_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": prompt_tokens,
        "prompt_eval_duration": 500_000,
        "eval_count": completion_tokens,
        "eval_duration": 500_000,
    }


def merge_parts(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one part holding a whole stream: what a request with `stream: false` gets."""
    merged: dict[str, Any] = dict(parts[-1]) if parts else {}
    messages = [part.get("message") or {} for part in parts]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(m.get("content") or "" for m in messages)}
    if thinking := "".join(m.get("thinking") or "" for m in messages):
        message["thinking"] = thinking
    if calls := [call for m in messages for call in m.get("tool_calls") or ()]:
        message["tool_calls"] = calls
    merged["message"] = message
    return merged


def cut_pieces(pieces: list[bytes]) -> list[bytes]:
    """Return the pieces of a stream that ends in the middle of its last part but one."""
    middle = pieces[-2]
    return [*pieces[:-2], middle[: len(middle) // 2]]


def spoiled_pieces(kind: FaultKind, pieces: list[bytes]) -> list[bytes]:
    """Return the pieces of a stream that comes to its end with something wrong in it."""
    match kind:
        case "garbage":
            *before, cut = cut_pieces(pieces)
            return [*before, cut + b"\x00\xff\xfe" + pieces[-2][len(cut) :], pieces[-1]]
        case "no-done":
            return pieces[:-1]
        case "double-done":
            return [*pieces, *pieces]
        case _:  # "truncated-json"
            return cut_pieces(pieces)


def _part(model: str, message: dict[str, Any]) -> dict[str, Any]:
    # A fixed time keeps the bytes of a scripted run equal from run to run.
    return {
        "model": model,
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", **message},
        "done": False,
    }


def _pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def _counts(reply: Reply, request: ChatRequest) -> tuple[int, int]:
    counter = EstimatingCounter()
    prompt, completion = reply.prompt_tokens, reply.completion_tokens
    if prompt is None:
        shown = [request.messages, request.body.get("tools") or []]
        prompt = counter.count(json.dumps(shown, ensure_ascii=False))
    if completion is None:
        calls = "".join(f"{call.name}{json.dumps(call.arguments, ensure_ascii=False)}" for call in reply.calls)
        completion = counter.count(reply.thinking + reply.text + calls)
    return prompt, completion
