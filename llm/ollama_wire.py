"""Ollama's /api/chat on the wire: the body of a request, and a streamed reply part by part. Used by llm/ollama.py.

It speaks HTTP itself, as openai_compatible.py does. Importing langchain-ollama takes 0.2 s of CPU beside httpx, it
makes values of strings that look like JSON, and the client under it drops what it does not know of a tool's schema.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from ..core.events import Phase
from ..core.messages import ModelReply, ModelRequest
from .faults import BrokenStream, Refused, error_text
from .openai_wire import plain_messages
from .roles import RoleGrammar, fit_roles
from .tokens import tool_json
from .whole_reply import call_arguments, call_fault, check_usable, tool_call, whole_reply


@dataclass(slots=True)
class OllamaExchange:
    """One request and what came back; a wire_chat.Exchange.

    Attributes:
        parts: the stream's parts as they came.
        text: the pieces of the reply's text.
        calls: name and arguments of each tool call that can be used.
        invalid: why a tool call cannot be used, for the model; "" = all are usable.
    """

    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    invalid: str = ""

    @property
    def began(self) -> bool:
        return bool(self.parts)

    @property
    def told(self) -> tuple[Phase, int] | None:
        return "generating", len(self.parts)

    async def read(self, http: httpx.AsyncClient) -> AsyncGenerator[None, None]:
        async with http.stream("POST", "/api/chat", json=self.body, headers=self.headers) as response:
            if response.status_code >= 300:
                raise Refused(response.status_code, error_text(await response.aread()))
            async for line in _lines(response):
                self._take(_read_part(line))
                yield
                if self.parts[-1].get("done") is True:
                    break  # whatever follows is no part of this reply
        self._check_ended()

    def whole(self) -> list[dict[str, Any]]:
        return self.parts

    def reply(self, request: ModelRequest) -> ModelReply:
        check_usable(self.parts, self.invalid, request.max_tokens)
        calls = [tool_call(request.key.turn, place, *call) for place, call in enumerate(self.calls)]
        return whole_reply("".join(self.text), calls, self.parts)

    def plain_body(self) -> dict[str, Any]:
        return self.body

    def _take(self, part: dict[str, Any]) -> None:
        message = part["message"]
        self.parts.append(part)
        self.text.append(message.get("content") or "")
        for call in message.get("tool_calls") or ():
            if fault := call_fault(call):
                self.invalid = self.invalid or fault
                continue
            function = call["function"]
            self.calls.append((function["name"], call_arguments(function.get("arguments")) or {}))

    def _check_ended(self) -> None:
        if not self.parts:
            raise BrokenStream("the server sent nothing")
        last = self.parts[-1]
        if last.get("done") is not True or not last.get("done_reason"):
            raise BrokenStream("the stream ended without its last part")
        if last["done_reason"] == "load":
            raise BrokenStream("the server loaded the model and generated nothing")


def request_body(
    request: ModelRequest,
    *,
    model: str,
    window: int,
    grammar: RoleGrammar,
    temperature: float,
    think: bool | None,
    keep_alive: str,
) -> dict[str, Any]:
    """Return the body of a request. The order of its fields is fixed, so that equal requests are equal bytes.

    Args:
        think: None = the model's default, which is not sent.
    """
    body: dict[str, Any] = {"model": model, "messages": plain_messages(fit_roles(request.messages, grammar))}
    if request.tools:
        body["tools"] = [tool_json(tool) for tool in request.tools]
    if request.schema is not None:
        body["format"] = request.schema
    body["stream"] = True
    if think is not None:
        body["think"] = think
    # A prompt without room is refused then, not cut; old versions do not know it, so prompt_cut.py looks as well.
    body["truncate"] = False
    options = {"num_ctx": window, "num_predict": request.max_tokens, "temperature": temperature}
    return {**body, "options": options, "keep_alive": keep_alive}


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """Yield the lines that are not empty.

    httpx's own lines also end at characters such as U+2028 and U+0085, which stand in JSON texts as they are.
    """
    rest = b""
    async for data in response.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                yield line.decode("utf-8", "replace")
    if rest.strip():
        yield rest.decode("utf-8", "replace")


def _read_part(line: str) -> dict[str, Any]:
    try:
        part = json.loads(line)
    except ValueError as err:
        raise BrokenStream(f"a part is no whole JSON ({line[:80]!r})") from err
    if not isinstance(part, dict):
        raise BrokenStream(f"a part is no JSON object ({line[:80]!r})")
    if "error" in part:
        status = part.get("status")
        raise Refused(status if isinstance(status, int) else 200, str(part["error"]))
    message = part.get("message")
    if not isinstance(message, dict) or not isinstance(message.get("content") or "", str):
        raise BrokenStream(f"a part has no message ({line[:80]!r})")
    return part
