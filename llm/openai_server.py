"""A small server that speaks OpenAI's chat API on the loopback as llama-server, vLLM or LM Studio do; runs no model.

Tests and replays put it behind the real client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from .answers import Answers, ChatRequest, merge_parts
from .loopback import LoopbackHandler, LoopbackServer, ServerOptions
from .openai_wire import as_ollama
from .servers import ServerKind

_REASONS = {"stop": "stop", "length": "length"}
_NINE = re.compile(r"[a-zA-Z0-9]{9}")


class _Handler(LoopbackHandler):
    server_version = "OpenAI-compatible"
    stream_type = "text/event-stream"
    tells_progress = False

    def answer_get(self) -> None:
        found = self.owner.pages().get(self.path)
        if found is not None:
            self.send_json(200, found)
        elif self.owner.kind == "lmstudio":
            self.send_json(200, {"error": f"Unexpected endpoint or method. (GET {self.path})"})
        else:
            self.send_error_text(404, "File Not Found")

    def answer_post(self, body: dict[str, Any]) -> None:
        owner: OpenAIServer = self.owner
        if owner.api_key and self.headers.get("authorization") != f"Bearer {owner.api_key}":
            self.send_error_text(401, "Invalid API Key")
        elif self.path == "/tokenize" and owner.kind in ("llama.cpp", "vllm"):
            self._tokenize(body)
        elif self.path == "/apply-template" and owner.kind == "llama.cpp":
            self.send_json(200, {"prompt": prompt_text(body)})
        elif self.path != "/v1/chat/completions":
            self.send_error_text(404, "File Not Found")
        elif not owner.has_model(body.get("model")):
            self.send_error_text(404, f"The model `{body.get('model')}` does not exist.")
        elif fault := owner.call_id_fault(body):
            self.send_error_text(500, fault)
        else:
            owner.note_body(body)
            self.tells_progress = owner.kind == "llama.cpp" and bool(body.get("return_progress"))
            self.chat(as_ollama(body), one_token=body.get("max_tokens") == 1, stream=bool(body.get("stream")))

    def encode(self, parts: Sequence[Mapping[str, Any]]) -> list[bytes]:
        has_calls = any(part.get("message", {}).get("tool_calls") for part in parts)
        encoded = [self._encoded(part, has_calls) for part in parts]
        if self.tells_progress and encoded:
            encoded[0] = b"".join(_event(_progress(parts[0], read)) for read in (50, 100)) + encoded[0]
        return encoded

    def whole(self, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        merged = merge_parts(parts)
        message = dict(merged["message"])
        if "thinking" in message:
            message["reasoning_content"] = message.pop("thinking")
        if calls := message.get("tool_calls"):
            message["tool_calls"] = [_wire_call(n, call["function"]) for n, call in enumerate(calls)]
        choice = {"index": 0, "message": message, "finish_reason": _reason(merged, bool(calls))}
        return {**_chunk(merged, []), "object": "chat.completion", "choices": [choice], **self._counts(merged)}

    def error_line(self, text: str) -> bytes:
        return _event(self.error_body(500, text))

    def error_body(self, status: int, text: str) -> dict[str, Any]:
        if self.owner.kind == "lmstudio":
            return {"error": text}
        return {"error": {"code": status, "message": text, "type": "server_error"}}

    def send_loading(self, request: ChatRequest, stream: bool) -> None:
        self.send_error_text(503, "Loading model")

    def _encoded(self, part: Mapping[str, Any], has_calls: bool) -> bytes:
        """Return a part's events; the last part's end with [DONE]."""
        if "error" in part:
            return self.error_line(str(part["error"]))
        if part.get("done"):
            choice = {"index": 0, "delta": {}, "finish_reason": _reason(part, has_calls)}
            events = [_chunk(part, [choice])]
            if self.owner.reports_usage:
                events.append({**_chunk(part, []), **self._counts(part)})
            return b"".join(map(_event, events)) + b"data: [DONE]\n\n"
        deltas = _deltas(part["message"])
        return b"".join(_event(_chunk(part, [{"index": 0, "delta": d, "finish_reason": None}])) for d in deltas)

    def _counts(self, last: Mapping[str, Any]) -> dict[str, Any]:
        prompt, completion = last.get("prompt_eval_count", 0), last.get("eval_count", 0)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        cached = last.get("prompt_cached_count")
        # vLLM and LM Studio tell it when they were started to, llama-server always.
        details = None if cached is None else {"cached_tokens": cached}
        counts: dict[str, Any] = {"usage": {**usage, "prompt_tokens_details": details}}
        if self.owner.kind == "llama.cpp":
            cached = cached or 0
            times = (last.get("prompt_eval_duration", 0) / 1e6, last.get("eval_duration", 0) / 1e6)
            counts["timings"] = {"cache_n": cached, "prompt_ms": times[0], "predicted_ms": times[1]}
        return counts

    def _tokenize(self, body: Mapping[str, Any]) -> None:
        text = str(body.get("content") or body.get("prompt") or "")
        numbers = list(range(count_words(prompt_text(body) if body.get("messages") else text)))
        self.owner.note_tokenized()
        self.send_json(200, {"tokens": numbers, "count": len(numbers), "max_model_len": self.owner.context_length})


def prompt_text(body: Mapping[str, Any]) -> str:
    """Return the prompt of a chat request: its tools, then a line a message."""
    parts = [*(body.get("tools") or ()), *(body.get("messages") or ())]
    return "\n".join(json.dumps(part, ensure_ascii=False) for part in parts)


def count_words(text: str) -> int:
    """Return the words and single marks of a text: a tokenizer that a test can follow by hand."""
    return len(re.findall(r"\w+|[^\w\s]", text))


class OpenAIServer(LoopbackServer):
    """A LoopbackServer that speaks OpenAI's API; see there for what is not named here.

    Args:
        kind: the server it passes for: which further paths it knows and how it writes errors.
        caps: what llama-server says of its chat template; None = it says nothing.
        api_key: refuse requests without it; "" = none is needed.
        reports_usage: end streams with the counts of tokens.

    Attributes:
        bodies: chat requests as they came, those for one token included.
        tokenized: how often the tokenizer was asked.
    """

    handler = _Handler

    def __init__(
        self,
        answers: Answers,
        *,
        kind: ServerKind = "llama.cpp",
        version: str = "b7000",
        caps: Mapping[str, bool] | None = None,
        api_key: str = "",
        reports_usage: bool = True,
        **options: Unpack[ServerOptions],
    ) -> None:
        super().__init__(answers, **options)
        self.kind: ServerKind = kind
        self.version = version
        self.caps = caps
        self.api_key = api_key
        self.reports_usage = reports_usage
        self.bodies: list[dict[str, Any]] = []
        self.tokenized = 0

    def note_body(self, body: dict[str, Any]) -> None:
        with self._lock:
            self.bodies.append(body)

    def note_tokenized(self) -> None:
        with self._lock:
            self.tokenized += 1

    def call_id_fault(self, body: Mapping[str, Any]) -> str:
        """Return what a template of Mistral says of the names of calls, "" = nothing."""
        if self._grammar != "mistral":
            return ""
        messages = body.get("messages") or []
        ids = [call.get("id") for message in messages for call in message.get("tool_calls") or ()]
        ids += [message.get("tool_call_id") for message in messages if message.get("role") == "tool"]
        fits = all(isinstance(name, str) and _NINE.fullmatch(name) for name in ids)
        return "" if fits else "Tool call IDs should be alphanumeric strings with length 9!"

    def pages(self) -> dict[str, dict[str, Any]]:
        """Return what GET answers, by path."""
        listed = [self._listing(name) for name in self.models]
        pages: dict[str, dict[str, Any]] = {"/v1/models": {"object": "list", "data": listed}}
        if self.kind == "vllm":
            pages["/version"] = {"version": self.version}
        elif self.kind == "lmstudio":
            pages["/api/v0/models"] = {"object": "list", "data": [{**one, **self._loaded()} for one in listed]}
        elif self.kind == "llama.cpp":
            settings = {"n_ctx": self.context_length}
            pages["/props"] = {
                "default_generation_settings": settings,
                "total_slots": 1,
                "model_path": f"/models/{self.models[0]}.gguf",
                "build_info": self.version,
                **({} if self.caps is None else {"chat_template_caps": dict(self.caps)}),
            }
        return pages

    def _listing(self, name: str) -> dict[str, Any]:
        listing: dict[str, Any] = {"id": name, "object": "model", "owned_by": "local"}
        if self.kind == "vllm":
            listing["max_model_len"] = self.context_length
        return listing

    def _loaded(self) -> dict[str, Any]:
        window = {"max_context_length": 131072, "loaded_context_length": self.context_length}
        return {"type": "llm", "arch": "llama", "state": "loaded", "capabilities": ["tool_use"], **window}


def _deltas(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pieces in which a message's part is sent: text at once, a call's name and then its arguments."""
    deltas: list[dict[str, Any]] = []
    if message.get("thinking"):
        deltas.append({"reasoning_content": message["thinking"]})
    if message.get("content"):
        deltas.append({"content": message["content"]})
    for place, call in enumerate(message.get("tool_calls") or ()):
        index = call["function"].get("index", place)
        whole = _wire_call(index, call["function"])
        arguments = whole["function"]["arguments"]
        deltas.append({"tool_calls": [{**whole, "index": index, "function": {**whole["function"], "arguments": ""}}]})
        for start in range(0, len(arguments), 7):
            piece = {"index": index, "function": {"arguments": arguments[start : start + 7]}}
            deltas.append({"tool_calls": [piece]})
    return deltas


def _wire_call(index: int, function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
    return {
        "id": f"id{index:07d}",
        "type": "function",
        "function": {"name": function.get("name", ""), "arguments": text},
    }


def _progress(part: Mapping[str, Any], read: int) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}
    told = {"total": 100, "cache": 0, "processed": read, "time_ms": read}
    return {**_chunk(part, [choice]), "prompt_progress": told}


def _reason(last: Mapping[str, Any], has_calls: bool) -> str:
    reason = str(last.get("done_reason") or "")
    return "tool_calls" if has_calls and reason == "stop" else _REASONS.get(reason, reason)


def _chunk(part: Mapping[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
    # A fixed id and time keep the bytes of a scripted run equal from run to run.
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": part.get("model", ""),
        "choices": choices,
    }


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n\n"
