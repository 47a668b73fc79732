"""langchain-ollama's ChatOllama with its wire defects closed. Imported lazily by llm/ollama.py: it loads LangChain.

It overrides private methods, which is why langchain-ollama is pinned; tests/llm/test_contract.py holds their names.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_ollama import ChatOllama

from ..core.messages import Message
from .faults import BrokenStream, Refused, error_text
from .whole_reply import call_arguments, call_fault

# The order of a request's fields is fixed, so that equal requests are equal bytes.
_FIELDS = ("model", "messages", "tools", "format", "stream", "think", "options", "keep_alive")


@dataclass(slots=True)
class Exchange:
    """One request and what came back.

    Attributes:
        body: the request as it was sent; {} before.
        parts: the stream's parts as they came.
        invalid: why a tool call cannot be used, for the model; "" = all are usable.
    """

    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)
    invalid: str = ""
    response: httpx.Response | None = None

    async def aclose(self) -> None:
        """End the HTTP stream, also one that nobody reads on; no wait for a garbage collector."""
        if self.response is not None:
            await self.response.aclose()


class FlowChatOllama(ChatOllama):
    """ChatOllama that sends what Ollama documents and leaves string arguments alone."""

    def _convert_messages_to_ollama_messages(self, messages: list[BaseMessage]) -> Sequence[Any]:
        converted = super()._convert_messages_to_ollama_messages(messages)
        return [_wire_message(old, new) for old, new in zip(messages, converted, strict=True)]

    async def _acreate_chat_stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[Mapping[str, Any] | str]:
        exchange: Exchange = kwargs.pop("exchange")
        params = self._chat_params(messages, stop, **kwargs)
        exchange.body = {name: params[name] for name in _FIELDS if params.get(name) is not None}
        # The client underneath would drop what its own classes do not know of a tool's schema (nested properties,
        # limits) and fail on arguments that are no object, so the request goes to its HTTP client directly.
        http = self._async_client._client
        async with http.stream("POST", "/api/chat", json=exchange.body, headers=exchange.headers) as response:
            exchange.response = response
            if response.status_code >= 300:
                raise Refused(response.status_code, error_text(await response.aread()))
            async for line in _lines(response):
                yield _take_part(line, exchange)
        _check_ended(exchange.parts)

    async def aclose(self) -> None:
        """Close both clients that ChatOllama makes."""
        await self._async_client._client.aclose()
        self._client._client.close()


def to_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """Return LangChain's form of a conversation, without thinking, which is never sent again."""
    return [_to_langchain(message) for message in messages]


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


def _to_langchain(message: Message) -> BaseMessage:
    if message.role == "system":
        return SystemMessage(message.content)
    if message.role == "user":
        return HumanMessage(message.content)
    if message.role == "tool":
        return ToolMessage(message.content, tool_call_id=message.call_id, name=message.tool_name)
    calls = [{"name": call.name, "args": call.args, "id": call.id, "type": "tool_call"} for call in message.calls]
    return AIMessage(message.content, tool_calls=calls)


def _wire_message(message: BaseMessage, converted: Any) -> dict[str, Any]:
    """Return a message with the fields that Ollama's API documents, and no others."""
    wire: dict[str, Any] = {"role": converted["role"], "content": converted["content"]}
    if calls := converted.get("tool_calls"):
        functions = [call["function"] for call in calls]
        wire["tool_calls"] = [{"function": {"name": f["name"], "arguments": f["arguments"]}} for f in functions]
    if isinstance(message, ToolMessage) and message.name:
        wire["tool_name"] = message.name
    return wire


def _take_part(line: str, exchange: Exchange) -> dict[str, Any]:
    """Return one part of the stream as LangChain may read it, the original being kept in the exchange."""
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
    if not isinstance(message, dict):
        raise BrokenStream(f"a part has no message ({line[:80]!r})")
    exchange.parts.append(part)
    calls = [_readable_call(call, exchange) for call in message.get("tool_calls") or ()]
    readable = {**message, "content": message.get("content") or "", "tool_calls": [call for call in calls if call]}
    return {**part, "message": readable}


def _readable_call(call: Any, exchange: Exchange) -> dict[str, Any] | None:
    """Return a call with its arguments as JSON text, which LangChain parses once and looks into no further.

    Given an object, it would turn every string in it that looks like JSON or a Python literal into a value, so that
    no JSON file could ever be written. None = unusable; the exchange says why.
    """
    if fault := call_fault(call):
        exchange.invalid = exchange.invalid or fault
        return None
    function = call["function"]
    return {
        "function": {"name": function["name"], "arguments": json.dumps(call_arguments(function.get("arguments")))}
    }


def _check_ended(parts: Sequence[Mapping[str, Any]]) -> None:
    """Check that a stream came to its end.

    Raises:
        BrokenStream: it did not.
    """
    if not parts:
        raise BrokenStream("the server sent nothing")
    last = parts[-1]
    if last.get("done") is not True or not last.get("done_reason"):
        raise BrokenStream("the stream ended without its last part")
    if last["done_reason"] == "load":
        raise BrokenStream("the server loaded the model and generated nothing")
