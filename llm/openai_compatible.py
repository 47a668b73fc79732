"""The ChatModel over /v1/chat/completions: llama-server, vLLM, LM Studio. Built by app/, called by nodes/.

It speaks HTTP itself: importing langchain-openai takes 1.3 s of CPU where httpx takes 0.1, and it drops what these
servers add to OpenAI's API (thinking, progress of the prompt, timings).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx

from ..core.errors import ReplyInvalid
from ..core.messages import ModelReply, ModelRequest
from .attempts import ask_until_whole
from .cassette import Recorder
from .faults import BrokenStream, Refused, Silence, Verdict, check_url, error_text, judge, said_error
from .ollama import Progress, call_headers, http_options
from .openai_wire import Assembly, as_ollama, plain_messages, request_body
from .roles import RoleGrammar, check_roles
from .servers import ServerKind
from .tools_in_text import with_tools_in_text
from .whole_reply import call_arguments, call_fault, check_usable, tool_call, whole_reply


@dataclass(slots=True)
class _Exchange:
    """One attempt: what was sent and what came of it."""

    body: dict[str, Any]
    headers: dict[str, str]
    assembly: Assembly = field(default_factory=Assembly)


class OpenAIChat:
    """One model on one OpenAI-compatible server; a core.ports.ChatModel.

    Calls may run side by side. The window belongs to the server, which was started with it: it is not sent.

    Args:
        url: base URL of the server, with or without /v1 at its end.
        window: tokens of prompt and output together that the server gives a request.
        kind: what answers there; decides which extras of the API are used.
        grammar: what the model's family wants of the order of roles; conversations are fitted to it.
        tools_in_text: the model takes no tools, so they are described to it and called as JSON.
        think: switch the model's thinking on or off, where the server passes that on; None = the model's default.
        api_key: sent as a bearer token; "" = none.
        first_token_timeout_s, stall_timeout_s, retry_patience_s, recorder, tag_calls: as for OllamaChat. Progress of
            the prompt counts as a sign of life.

    Raises:
        ModelUnavailable: `url` is no http or https address.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        window: int,
        kind: ServerKind = "openai",
        grammar: RoleGrammar = "",
        tools_in_text: bool = False,
        temperature: float = 0.0,
        think: bool | None = None,
        api_key: str = "",
        connect_timeout_s: float = 2.0,
        first_token_timeout_s: float = 300.0,
        stall_timeout_s: float = 60.0,
        retry_patience_s: float = 120.0,
        recorder: Recorder | None = None,
        tag_calls: bool = False,
    ) -> None:
        check_url(url)
        self.name = model
        self.window = window
        self._url = url
        self._kind: ServerKind = kind
        self._grammar: RoleGrammar = grammar
        self._tools_in_text = tools_in_text
        self._temperature = temperature
        self._think = think
        self._first_token_timeout_s = first_token_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._retry_patience_s = retry_patience_s
        self._recorder = recorder
        self._tag_calls = tag_calls
        self._http = httpx.AsyncClient(
            base_url=api_base(url),
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            **http_options(url, httpx.Timeout(None, connect=connect_timeout_s)),
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
        body = request_body(
            with_tools_in_text(request) if self._tools_in_text else request,
            model=self.name,
            kind=self._kind,
            grammar=self._grammar,
            temperature=self._temperature,
            think=self._think,
        )
        headers = call_headers(request.key) if self._tag_calls else {}
        return await ask_until_whole(
            lambda: _Exchange(body, headers),
            lambda exchange: self._attempt(request, exchange, on_progress),
            lambda err, exchange: self._judged(err, exchange, request),
            self._retry_patience_s,
        )

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._http.aclose()

    def _judged(self, err: Exception, exchange: _Exchange, request: ModelRequest) -> Verdict:
        verdict = judge(err, url=self._url, model=self.name, replaying=self._tag_calls, kind=self._kind)
        if isinstance(verdict.error, ReplyInvalid):
            # The server could not read the model's call: a finished answer, which a replay must repeat.
            self._record(request, exchange, [{"error": str(err)}])
        return verdict

    async def _attempt(self, request: ModelRequest, exchange: _Exchange, on_progress: Progress) -> ModelReply:
        assembly = exchange.assembly
        on_progress("waiting for model", 0)
        async with aclosing(self._timely_events(exchange, holds_back=bool(request.tools))) as events:
            async for event in events:
                assembly.take(event)
                percent = assembly.progress(event)
                if percent is not None and not assembly.pieces:
                    on_progress("reading prompt", percent)
                elif assembly.pieces:
                    on_progress("generating", assembly.pieces)
        parts = assembly.parts()
        self._record(request, exchange, parts)
        return _read_whole(parts, request)

    async def _timely_events(self, exchange: _Exchange, *, holds_back: bool) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the stream's events; Silence when one takes too long.

        Args:
            holds_back: some servers send nothing of a tool call until it is complete.
        """
        limit_s = self._first_token_timeout_s
        async with aclosing(self._events(exchange)) as events:
            while True:
                try:
                    async with asyncio.timeout(limit_s):
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError as err:
                    raise Silence(f"it sent nothing for {limit_s:g} s") from err
                yield event
                began = exchange.assembly.pieces and not holds_back
                limit_s = self._stall_timeout_s if began else self._first_token_timeout_s

    async def _events(self, exchange: _Exchange) -> AsyncGenerator[dict[str, Any], None]:
        sent = self._http.stream("POST", "chat/completions", json=exchange.body, headers=exchange.headers)
        async with sent as response:
            if response.status_code >= 300:
                raise Refused(response.status_code, error_text(await response.aread()))
            if "event-stream" not in response.headers.get("content-type", ""):
                raise _no_stream(await response.aread())
            async for data in sse_data(response):
                if data == "[DONE]":
                    exchange.assembly.done = True
                    return
                yield _event(data)

    def _record(self, request: ModelRequest, exchange: _Exchange, parts: list[dict[str, Any]]) -> None:
        if self._recorder is not None:
            body = {**as_ollama(exchange.body), "messages": plain_messages(request.messages)}
            self._recorder.record(request.key, body, parts, "openai")


def api_base(url: str) -> str:
    """Return the address that the paths of OpenAI's API are joined to."""
    return url if url.endswith("/v1") else f"{url}/v1"


async def sse_data(response: httpx.Response) -> AsyncIterator[str]:
    """Yield the data of server-sent events; comments, names of events and empty lines are skipped.

    llama-server wrote errors under the field "error" once, which counts as data here.
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
    name, colon, value = line.decode("utf-8", "replace").partition(":")
    return value.strip() if colon and name in ("data", "error") else ""


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
