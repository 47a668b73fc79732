"""The ChatModel over Ollama's /api/chat: timeouts, retries, whole replies only. Built by app/, called by nodes/."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import httpx

from ..core.errors import ReplyInvalid
from ..core.messages import CallKey, ModelReply, ModelRequest
from ..core.ports import OnProgress
from .attempts import ask_until_whole
from .cassette import CALL_HEADER, Recorder
from .faults import Patience, Silence, Verdict, check_url, judge
from .ollama_wire import Exchange, request_body
from .openai_wire import plain_messages
from .prompt_cut import CutWatch
from .roles import RoleGrammar, check_roles
from .servers import on_this_machine
from .timely import Silences, timely
from .tools_in_text import with_tools_in_text
from .whole_reply import check_usable, tool_call, whole_reply


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
        stall_timeout_s: silence allowed between parts. A request with tools is allowed more there, since Ollama holds
            a tool call back until it is complete; see timely.Silences.
        retry_patience_s: seconds of asking again, from the first failure on.
        recorder: gets every finished call; None = nothing is recorded.
        tag_calls: send each call's key in a header, for a server that replays a cassette.
        grammar: what the model's family wants of the order of roles; conversations are fitted to it.
        tools_in_text: the model takes no tools, so they are described to it and called as JSON.
        api_key: sent as a bearer token; "" = none.
        loading: is done when the model, which is being loaded meanwhile, is ready; None = nothing is known of that.

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
        api_key: str = "",
        loading: asyncio.Future[None] | None = None,
    ) -> None:
        check_url(url)
        self.name = model
        self.window = window
        self._url = url
        self._temperature = temperature
        self._silences = Silences(first_token_timeout_s, stall_timeout_s)
        self._cuts = CutWatch(window)
        self._patience = Patience(first_token_timeout_s, connect_timeout_s, retry_patience_s)
        self._recorder = recorder
        self._tag_calls = tag_calls
        self._grammar: RoleGrammar = grammar
        self._tools_in_text = tools_in_text
        self._keep_alive = keep_alive
        self._think = think
        self._loading = loading
        self._http = httpx.AsyncClient(
            base_url=url,
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
            lambda: Exchange(body, headers),
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

    def _judged(self, err: Exception, exchange: Exchange, request: ModelRequest) -> Verdict:
        verdict = judge(err, url=self._url, model=self.name, replaying=self._tag_calls)
        if isinstance(verdict.error, ReplyInvalid):
            # The server could not read the model's call: a finished answer, which a replay must repeat.
            self._record(request, exchange.body, [{"error": str(err)}])
        return verdict

    async def _attempt(self, request: ModelRequest, exchange: Exchange, on_progress: OnProgress) -> ModelReply:
        self._tell_waiting(on_progress)
        async with aclosing(self._timely_parts(exchange, request)) as parts:
            async for _ in parts:
                on_progress("generating", len(exchange.parts))
        self._record(request, exchange.body, exchange.parts)
        check_usable(exchange.parts, exchange.invalid, request.max_tokens)
        calls = [tool_call(request.key.turn, place, *call) for place, call in enumerate(exchange.calls)]
        reply = whole_reply("".join(exchange.text), calls, exchange.parts)
        self._silences.learn(reply.usage)
        return reply

    def _tell_waiting(self, on_progress: OnProgress) -> None:
        if self._loading is None or self._loading.done():
            on_progress("waiting for model", 0)
        else:
            on_progress("loading model", 0)
            # No reply begins before the model is loaded.
            self._loading.add_done_callback(lambda _: on_progress("waiting for model", 0))

    async def _count_prompt(self, request: ModelRequest) -> int | None:
        """Return the server's count of a prompt, whatever it replies; None = it does not tell."""
        exchange = Exchange(self._body(request))
        async with aclosing(self._timely_parts(exchange, request)) as parts:
            async for _ in parts:
                pass
        return whole_reply("", (), exchange.parts).usage.prompt_tokens

    async def _timely_parts(self, exchange: Exchange, request: ModelRequest) -> AsyncGenerator[None, None]:
        """Yield at each part of the reply; see timely for what ends it."""
        holds_back, most = "tools" in exchange.body, request.max_tokens

        def allowed() -> Silence:
            return self._silences.allowed(began=bool(exchange.parts), holds_back=holds_back, max_tokens=most)

        async with (
            aclosing(exchange.read(self._http)) as parts,
            aclosing(timely(parts, allowed, most)) as watched,
        ):
            async for _ in watched:
                yield

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        return request_body(
            with_tools_in_text(request) if self._tools_in_text else request,
            model=self.name,
            window=self.window,
            grammar=self._grammar,
            temperature=self._temperature,
            think=self._think,
            keep_alive=self._keep_alive,
        )

    def _record(self, request: ModelRequest, body: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        if self._recorder is not None:
            told = {"messages": plain_messages(request.messages), "profile": request.profile}
            self._recorder.record(request.key, {**body, **told}, parts)


def http_options(url: str, timeout: httpx.Timeout) -> dict[str, Any]:
    """Return the arguments for an httpx client that talks to a model server."""
    return {
        "timeout": timeout,
        "follow_redirects": False,
        # A proxy of the environment has no business between us and this machine.
        "trust_env": not on_this_machine(url),
        # Without TLS there is nothing to verify; loading the certificates takes 30 ms.
        "verify": url.startswith("https:"),
    }


def call_headers(key: CallKey) -> dict[str, str]:
    """Return what names a call to a server that replays a cassette."""
    # Node names may hold any character, headers only ASCII.
    return {CALL_HEADER: quote(str(key), safe="#[]/.-_")}
