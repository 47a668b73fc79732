"""The ChatModel over Ollama's /api/chat: timeouts, retries, whole replies only. Built by app/, called by nodes/."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx

from ..core.errors import ReplyInvalid
from ..core.events import Phase
from ..core.messages import CallKey, ModelReply, ModelRequest, ToolCall
from .attempts import ask_until_whole
from .cassette import CALL_HEADER, Recorder
from .faults import Silence, Verdict, check_url, judge
from .openai_wire import plain_messages
from .roles import RoleGrammar, check_roles, fit_roles
from .tokens import tool_json
from .tools_in_text import with_tools_in_text
from .whole_reply import check_usable, tool_call, whole_reply

if TYPE_CHECKING:
    from .chat_ollama import Exchange, FlowChatOllama

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
        grammar: what the model's family wants of the order of roles; conversations are fitted to it.
        tools_in_text: the model takes no tools, so they are described to it and called as JSON.

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
        grammar: RoleGrammar = "",
        tools_in_text: bool = False,
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
        self._grammar: RoleGrammar = grammar
        self._tools_in_text = tools_in_text
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
        from .chat_ollama import Exchange

        check_roles(request.messages)
        if request.schema is not None and request.tools:
            raise ValueError("schema and tools in one request: the server would return no tool calls")
        return await ask_until_whole(
            lambda: Exchange(headers=call_headers(request.key) if self._tag_calls else {}),
            lambda exchange: self._attempt(request, exchange, on_progress),
            lambda err, exchange: self._judged(err, exchange, request),
            self._retry_patience_s,
        )

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._chat.aclose()

    def _judged(self, err: Exception, exchange: Exchange, request: ModelRequest) -> Verdict:
        verdict = judge(err, url=self._url, model=self.name, replaying=self._tag_calls)
        if isinstance(verdict.error, ReplyInvalid):
            # The server could not read the model's call: a finished answer, which a replay must repeat.
            self._record(request, exchange.body, [{"error": str(err)}])
        return verdict

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
                        calls.append(tool_call(request.key.turn, len(calls), call["name"], call["args"]))
                    on_progress("generating", len(exchange.parts))
        self._record(request, exchange.body, exchange.parts)
        check_usable(exchange.parts, exchange.invalid, request.max_tokens)
        return whole_reply("".join(text), calls, exchange.parts)

    async def _chunks(self, request: ModelRequest, exchange: Exchange) -> AsyncGenerator[Any, None]:
        """Yield the stream's pieces; Silence when one takes too long."""
        from .chat_ollama import to_langchain

        if self._tools_in_text:
            request = with_tools_in_text(request)
        settings: dict[str, Any] = {"options": self._options(request), "exchange": exchange}
        if request.tools:
            settings["tools"] = [tool_json(tool) for tool in request.tools]
        if request.schema is not None:
            settings["format"] = request.schema
        # Callbacks of an enclosing graph are left out: a tracer could be among them.
        messages = fit_roles(request.messages, self._grammar)
        stream = self._chat.astream(to_langchain(messages), {"callbacks": []}, **settings)
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

    def _record(self, request: ModelRequest, body: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        if self._recorder is not None:
            self._recorder.record(request.key, {**body, "messages": plain_messages(request.messages)}, parts)


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


def call_headers(key: CallKey) -> dict[str, str]:
    """Return what names a call to a server that replays a cassette."""
    # Node names may hold any character, headers only ASCII.
    return {CALL_HEADER: quote(str(key), safe="#[]/.-_")}
