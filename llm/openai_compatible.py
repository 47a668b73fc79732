"""The ChatModel over /v1/chat/completions: llama-server, vLLM, LM Studio. Built by app/, called by nodes/.

It speaks HTTP itself: importing langchain-openai takes 1.3 s of CPU where httpx takes 0.1, and it drops what these
servers add to OpenAI's API (thinking, progress of the prompt, timings).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx

from ..core.errors import ReplyInvalid
from ..core.messages import ModelReply, ModelRequest
from ..core.ports import OnProgress
from .attempts import ask_until_whole
from .cassette import Recorder
from .faults import BrokenStream, Patience, Refused, Silence, Verdict, check_url, error_text, judge, said_error
from .ollama import call_headers, http_options
from .openai_wire import Assembly, as_ollama, plain_messages, request_body
from .prompt_cut import CutWatch
from .roles import RoleGrammar, check_roles
from .servers import ServerKind
from .timely import Silences, timely
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
        self._silences = Silences(first_token_timeout_s, stall_timeout_s)
        self._cuts = CutWatch(window)
        self._patience = Patience(first_token_timeout_s, connect_timeout_s, retry_patience_s)
        self._recorder = recorder
        self._tag_calls = tag_calls
        self._http = httpx.AsyncClient(
            base_url=api_base(url),
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            **http_options(url, httpx.Timeout(None, connect=connect_timeout_s)),
        )

    async def complete(self, request: ModelRequest, on_progress: OnProgress) -> ModelReply:
        """Return a complete reply; see core.ports.ChatModel.

        The ids of its calls are made of the request's turn and the call's place: "t3.0".

        Raises:
            CassetteMismatch: the replayed request is not the recorded one.
            LimitReached: the server cut the prompt.
            ValueError: the conversation breaks the order of roles, or schema and tools are given together.
        """
        check_roles(request.messages)
        if request.schema is not None and request.tools:
            raise ValueError("schema and tools in one request: the server would return no tool calls")
        body = self._body(request)
        headers = call_headers(request.key) if self._tag_calls else {}
        reply = await ask_until_whole(
            lambda: _Exchange(body, headers),
            lambda exchange: self._attempt(request, exchange, on_progress),
            lambda err, exchange: self._judged(err, exchange, request),
            self._patience,
            on_progress,
        )
        if not self._tag_calls:
            await self._cuts.check(request, reply.usage.prompt_tokens, self._count_prompt)
        return reply

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._http.aclose()

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        return request_body(
            with_tools_in_text(request) if self._tools_in_text else request,
            model=self.name,
            kind=self._kind,
            grammar=self._grammar,
            temperature=self._temperature,
            think=self._think,
        )

    async def _count_prompt(self, request: ModelRequest) -> int | None:
        """Return the server's count of a prompt, whatever it replies; None = it does not tell."""
        exchange = _Exchange(self._body(request), {})
        async with aclosing(self._timely_events(exchange, request)) as events:
            async for event in events:
                exchange.assembly.take(event)
        return whole_reply("", (), exchange.assembly.parts()).usage.prompt_tokens

    def _judged(self, err: Exception, exchange: _Exchange, request: ModelRequest) -> Verdict:
        verdict = judge(err, url=self._url, model=self.name, replaying=self._tag_calls, kind=self._kind)
        if isinstance(verdict.error, ReplyInvalid):
            # The server could not read the model's call: a finished answer, which a replay must repeat.
            self._record(request, exchange, [{"error": str(err)}])
        return verdict

    async def _attempt(self, request: ModelRequest, exchange: _Exchange, on_progress: OnProgress) -> ModelReply:
        assembly = exchange.assembly
        on_progress("waiting for model", 0)
        async with aclosing(self._timely_events(exchange, request)) as events:
            async for event in events:
                assembly.take(event)
                percent = assembly.progress(event)
                if percent is not None and not assembly.pieces:
                    on_progress("reading prompt", percent)
                elif assembly.pieces:
                    on_progress("generating", assembly.pieces)
        parts = assembly.parts()
        self._record(request, exchange, parts)
        reply = _read_whole(parts, request)
        self._silences.learn(reply.usage)
        return reply

    async def _timely_events(
        self, exchange: _Exchange, request: ModelRequest
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the stream's events; see timely for what ends it."""
        holds_back, most = bool(request.tools), request.max_tokens

        def allowed() -> Silence:
            began = exchange.assembly.pieces > 0
            return self._silences.allowed(began=began, holds_back=holds_back, max_tokens=most)

        async with (
            aclosing(self._events(exchange)) as events,
            aclosing(timely(events, allowed, most)) as watched,
        ):
            async for event in watched:
                yield event

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
            told = {"messages": plain_messages(request.messages), "profile": request.profile}
            self._recorder.record(request.key, {**as_ollama(exchange.body), **told}, parts, "openai")


def api_base(url: str) -> str:
    """Return the address that the paths of OpenAI's API are joined to."""
    return url if url.endswith("/v1") else f"{url}/v1"


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
