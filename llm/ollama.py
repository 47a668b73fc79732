"""The ChatModel over Ollama's /api/chat: timeouts, retries, whole replies only. Built by app/, called by nodes/."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx

from ..core.errors import ModelFault, ReplyCut, ReplyInvalid
from ..core.events import Phase
from ..core.messages import CallKey, ModelReply, ModelRequest, ToolCall, Usage
from .cassette import CALL_HEADER, Recorder
from .faults import BrokenStream, Refused, Silence, check_url, judge, next_delay
from .roles import check_roles
from .tokens import tool_json

if TYPE_CHECKING:
    from .chat_ollama import Exchange, FlowChatOllama

_THINKING = re.compile(r"\s*(?:<think>(.*?)(?:</think>|\Z)|\[THINK\](.*?)(?:\[/THINK\]|\Z))\s*", re.DOTALL)

Progress = Callable[[Phase, int], None]


class OllamaChat:
    """One model on one Ollama server at one window size; a core.ports.ChatModel.

    Calls may run side by side. Every request carries the same `num_ctx`, for another one would make the server load
    the model again, and none would let it cut the prompt silently.

    Args:
        url: base URL of the server.
        window: tokens of prompt and output together.
        keep_alive: how long the server keeps the model loaded, as Ollama writes durations.
        think: switch the model's thinking on or off; None = the model's default.
        first_token_timeout_s: silence allowed before the first part, in which a model may be loading.
        stall_timeout_s: silence allowed between parts. A request with tools is allowed `first_token_timeout_s` there,
            since Ollama holds a tool call back until it is complete.
        retry_patience_s: seconds of asking again, from the first failure on.
        recorder: gets every finished call; None = nothing is recorded.
        tag_calls: send each call's key in a header, for a server that replays a cassette.

    Raises:
        ModelUnavailable: `url` is no http or https address.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        window: int,
        temperature: float = 0.0,
        keep_alive: str = "10m",
        think: bool | None = None,
        connect_timeout_s: float = 2.0,
        first_token_timeout_s: float = 300.0,
        stall_timeout_s: float = 60.0,
        retry_patience_s: float = 120.0,
        recorder: Recorder | None = None,
        tag_calls: bool = False,
    ) -> None:
        from .chat_ollama import FlowChatOllama

        check_url(url)
        self.name = model
        self.window = window
        self._url = url
        self._temperature = temperature
        self._first_token_timeout_s = first_token_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._retry_patience_s = retry_patience_s
        self._recorder = recorder
        self._tag_calls = tag_calls
        self._chat: FlowChatOllama = FlowChatOllama(
            model=model,
            base_url=url,
            keep_alive=keep_alive,
            reasoning=think,
            client_kwargs=http_options(url, httpx.Timeout(None, connect=connect_timeout_s)),
        )

    async def complete(self, request: ModelRequest, on_progress: Progress) -> ModelReply:
        """Return a complete reply; see core.ports.ChatModel.

        The ids of its calls are made of the request's turn and the call's place: "t3.0".

        Raises:
            CassetteMismatch: the replayed request is not the recorded one.
            ValueError: the conversation breaks the order of roles, or schema and tools are given together.
        """
        check_roles(request.messages)
        if request.schema is not None and request.tools:
            raise ValueError("schema and tools in one request: the server would return no tool calls")
        return await self._ask_until_whole(request, on_progress)

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._chat.aclose()

    async def _ask_until_whole(self, request: ModelRequest, on_progress: Progress) -> ModelReply:
        from .chat_ollama import Exchange

        first_failure: float | None = None
        retries = 0
        while True:
            exchange = Exchange(headers=self._headers(request.key))
            try:
                return await self._attempt(request, exchange, on_progress)
            except (Refused, BrokenStream, Silence, httpx.HTTPError) as err:
                verdict = judge(err, url=self._url, model=self.name, replaying=self._tag_calls)
                if isinstance(verdict.error, ReplyInvalid):
                    # The server could not read the model's call: a finished answer, which a replay must repeat.
                    self._record(request.key, exchange.body, [{"error": str(err)}])
                now = time.monotonic()
                first_failure = now if first_failure is None else first_failure
                delay_s = next_delay(verdict.retry, retries, now - first_failure, self._retry_patience_s)
                if delay_s is None:
                    raise verdict.error from err
            retries += 1
            await asyncio.sleep(delay_s)

    async def _attempt(self, request: ModelRequest, exchange: Exchange, on_progress: Progress) -> ModelReply:
        from langsmith import tracing_context

        text: list[str] = []
        calls: list[ToolCall] = []
        on_progress("waiting for model", 0)
        # No environment variable may send a conversation to a tracing service.
        with tracing_context(enabled=False):
            async with aclosing(exchange), aclosing(self._chunks(request, exchange)) as chunks:
                async for chunk in chunks:
                    text.append(str(chunk.text))
                    for call in chunk.tool_calls:
                        call_id = f"t{request.key.turn}.{len(calls)}"
                        calls.append(ToolCall(call_id, call["name"], _clean(call["args"])))
                    on_progress("generating", len(exchange.parts))
        self._record(request.key, exchange.body, exchange.parts)
        _check_usable(exchange, request.max_tokens)
        return _reply("".join(text), calls, exchange)

    async def _chunks(self, request: ModelRequest, exchange: Exchange) -> AsyncGenerator[Any, None]:
        """Yield the stream's pieces; Silence when one takes too long."""
        from .chat_ollama import to_langchain

        settings: dict[str, Any] = {"options": self._options(request), "exchange": exchange}
        if request.tools:
            settings["tools"] = [tool_json(tool) for tool in request.tools]
        if request.schema is not None:
            settings["format"] = request.schema
        # Callbacks of an enclosing graph are left out: a tracer could be among them.
        stream = self._chat.astream(to_langchain(request.messages), {"callbacks": []}, **settings)
        limit_s = self._first_token_timeout_s
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError as err:
                raise Silence(f"it sent nothing for {limit_s:g} s") from err
            yield chunk
            limit_s = self._first_token_timeout_s if request.tools else self._stall_timeout_s

    def _options(self, request: ModelRequest) -> dict[str, Any]:
        return {"num_ctx": self.window, "num_predict": request.max_tokens, "temperature": self._temperature}

    def _headers(self, key: CallKey) -> dict[str, str]:
        # Node names may hold any character, headers only ASCII.
        return {CALL_HEADER: quote(str(key), safe="#[]/.-_")} if self._tag_calls else {}

    def _record(self, key: CallKey, body: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        if self._recorder is not None:
            self._recorder.record(key, body, parts)


def http_options(url: str, timeout: httpx.Timeout) -> dict[str, Any]:
    """Return the arguments for an httpx client that talks to a model server."""
    parts = urlsplit(url)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1", "0.0.0.0")
    return {
        "timeout": timeout,
        "follow_redirects": False,
        # A proxy of the environment has no business between us and this machine.
        "trust_env": not loopback,
        # Without TLS there is nothing to verify; loading the certificates takes 30 ms.
        "verify": parts.scheme == "https",
    }


def split_thinking(text: str) -> tuple[str, str]:
    """Return (thinking, answer) of a text that may start with a thinking block; an open block takes everything."""
    found = _THINKING.match(text)
    if found is None:
        return "", text
    return (found[1] or found[2] or "").strip(), text[found.end() :]


def _check_usable(exchange: Exchange, max_tokens: int) -> None:
    reason = exchange.parts[-1]["done_reason"]
    if reason == "length":
        raise ReplyCut(f"the reply was cut at its limit of {max_tokens} tokens, so none of it was used")
    if reason != "stop":
        raise ModelFault(f"the reply ended with the reason {reason!r}, which is not known")
    if exchange.invalid:
        raise ReplyInvalid(exchange.invalid)


def _reply(text: str, calls: list[ToolCall], exchange: Exchange) -> ModelReply:
    thought, answer = split_thinking(text)
    apart = "".join(str(part["message"].get("thinking") or "") for part in exchange.parts)
    last = exchange.parts[-1]
    return ModelReply(
        text=_clean(answer),
        calls=tuple(calls),
        thinking=_clean("\n".join(filter(None, (apart, thought)))),
        model=str(last.get("model") or ""),
        usage=_usage(last),
    )


def _usage(last: dict[str, Any]) -> Usage:
    def number(name: str) -> int | None:
        value = last.get(name)
        return value if isinstance(value, int) else None

    def seconds(name: str) -> float | None:
        nanoseconds = number(name)
        return None if nanoseconds is None else nanoseconds / 1e9

    return Usage(
        prompt_tokens=number("prompt_eval_count"),
        completion_tokens=number("eval_count"),
        load_s=seconds("load_duration"),
        prefill_s=seconds("prompt_eval_duration"),
        decode_s=seconds("eval_duration"),
    )


def _clean(value: Any) -> Any:
    """Return a value whose texts can be written as UTF-8; a lone half of a surrogate pair becomes U+FFFD."""
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value
