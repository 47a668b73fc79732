"""The ChatModel over /v1/chat/completions: llama-server, vLLM, LM Studio. Built by app/, called by nodes/.

It speaks HTTP itself: importing langchain-openai takes 1.3 s of CPU where httpx takes 0.1, and it drops what these
servers add to OpenAI's API (thinking, progress of the prompt, timings).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Unpack

import httpx

from ..core.events import Phase
from ..core.messages import ModelReply, ModelRequest
from .faults import BrokenStream, Refused, error_text, said_error
from .openai_wire import Assembly, as_ollama, request_body
from .servers import ServerKind, api_base
from .whole_reply import call_arguments, call_fault, check_usable, tool_call, whole_reply
from .wire_chat import ChatOptions, WireChat


class OpenAIChat(WireChat):
    """One model on one OpenAI-compatible server; a core.ports.ChatModel.

    The window belongs to the server, which was started with it: it is not sent.

    Args:
        kind: what answers there; decides which extras of the API are used.
        options: as for every chat model; `url` with or without /v1 at its end, `think` where the server passes it on.
            Progress of the prompt counts as a sign of life.

    Raises:
        ModelUnavailable: the URL is no http or https address.
    """

    def __init__(self, *, kind: ServerKind = "openai", **options: Unpack[ChatOptions]) -> None:
        super().__init__(kind, api_base(options["url"]), options)

    def _wire_body(self, request: ModelRequest) -> dict[str, Any]:
        return request_body(
            request,
            model=self.name,
            kind=self._kind,
            grammar=self._grammar,
            temperature=self._temperature,
            think=self._think,
        )

    def _exchange(self, body: dict[str, Any], headers: dict[str, str]) -> _Exchange:
        return _Exchange(body, headers)


@dataclass(slots=True)
class _Exchange:
    """One request and what came back; a wire_chat.Exchange."""

    body: dict[str, Any]
    headers: dict[str, str]
    assembly: Assembly = field(default_factory=Assembly)
    percent: int | None = None
    """How much of the prompt was read, as the last event said; None = it did not say."""

    @property
    def began(self) -> bool:
        return self.assembly.pieces > 0

    @property
    def told(self) -> tuple[Phase, int] | None:
        if self.began:
            return "generating", self.assembly.pieces
        return None if self.percent is None else ("reading prompt", self.percent)

    async def read(self, http: httpx.AsyncClient) -> AsyncGenerator[None, None]:
        async with http.stream("POST", "chat/completions", json=self.body, headers=self.headers) as response:
            if response.status_code >= 300:
                raise Refused(response.status_code, error_text(await response.aread()))
            if "event-stream" not in response.headers.get("content-type", ""):
                raise _no_stream(await response.aread())
            async for data in sse_data(response):
                if data == "[DONE]":
                    self.assembly.done = True
                    return
                event = _event(data)
                self.assembly.take(event)
                self.percent = self.assembly.progress(event)
                yield

    def whole(self) -> list[dict[str, Any]]:
        return self.assembly.parts()

    def reply(self, request: ModelRequest) -> ModelReply:
        return _read_whole(self.whole(), request)

    def plain_body(self) -> dict[str, Any]:
        return as_ollama(self.body)


async def sse_data(response: httpx.Response) -> AsyncIterator[str]:
    """Yield the data of server-sent events; comments, names of events and empty lines are skipped.

    llama-server wrote errors under the field "error" once, which counts as data here.

    Raises:
        BrokenStream: a line is nothing of that; what it should have brought would be missing in the reply.
    """
    rest = b""
    async for data in response.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if found := _field(line):
                yield found
    if found := _field(rest):
        yield found


def _field(line: bytes) -> str:
    name, _, value = line.decode("utf-8", "replace").strip().partition(":")
    if name not in ("data", "error", "event", "id", "retry", ""):
        raise BrokenStream(f"a line is none of an event stream ({line[:80]!r})")
    return value.strip() if name in ("data", "error") else ""


def _event(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError as err:
        raise BrokenStream(f"a part is no whole JSON ({data[:80]!r})") from err
    if not isinstance(event, dict):
        raise BrokenStream(f"a part is no JSON object ({data[:80]!r})")
    if "choices" not in event and not said_error(event) and event.get("message"):
        return {"error": event}
    return event


def _no_stream(body: bytes) -> Exception:
    """Return the failure of an answer that is no stream although it came with HTTP 200, as LM Studio sends errors."""
    try:
        error = said_error(json.loads(body))
    except ValueError:
        error = ""
    if "unexpected endpoint" in error.lower():
        return Refused(404, error)
    return Refused(200, error) if error else BrokenStream(f"the answer is no event stream ({body[:80]!r})")


def _read_whole(parts: list[dict[str, Any]], request: ModelRequest) -> ModelReply:
    message = parts[0]["message"]
    wanted = message.get("tool_calls") or ()
    check_usable(parts, next(filter(None, map(call_fault, wanted)), ""), request.max_tokens)
    functions = [call["function"] for call in wanted]
    calls = [
        tool_call(request.key.turn, n, f["name"], call_arguments(f["arguments"]) or {})
        for n, f in enumerate(functions)
    ]
    return whole_reply(message["content"], calls, parts)
