"""What the chat models over HTTP share: a whole reply or none, asked again while that helps, watched for silence.

llm/ollama.py and llm/openai_compatible.py give it the two wires.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, Required, TypedDict

import httpx

from ..core.errors import NoRoom, ReplyInvalid
from ..core.events import Phase
from ..core.messages import ModelReply, ModelRequest
from ..core.ports import OnProgress
from .attempts import ask_until_whole
from .faults import Patience, Silence, Verdict, check_url, judge
from .http_client import call_headers, http_options, key_headers
from .openai_wire import plain_messages
from .prompt_cut import CutWatch
from .roles import RoleGrammar, check_roles
from .servers import ServerKind
from .timely import Silences, timely
from .tools_in_text import with_tools_in_text
from .whole_reply import whole_reply

if TYPE_CHECKING:
    from .cassette import Recorder
    from .cassette_lines import Wire


class ChatOptions(TypedDict, total=False):
    """What every chat model is made with.

    Attributes:
        url: base URL of the server.
        model: its name there.
        window: tokens of prompt and output together.
        grammar: what the model's family wants of the order of roles; conversations are fitted to it.
        tools_in_text: the model takes no tools, so they are described to it and called as JSON.
        temperature: 0 when it is not given.
        think: switch the model's thinking on or off; None = the model's default.
        api_key: sent as a bearer token; "" = none.
        connect_timeout_s: seconds to reach the server in.
        first_token_timeout_s: silence allowed before the first part, in which a model may be loading.
        stall_timeout_s: silence allowed between parts. A request with tools is allowed more there, since servers hold
            a tool call back until it is complete; see timely.Silences.
        retry_patience_s: seconds of asking again, from the first failure on.
        recorder: gets every finished call; None = nothing is recorded.
        tag_calls: send each call's key in a header, for a server that replays a cassette.
        token_ratio: tokens that the model counts for one that is estimated; 1 when it is not given.
    """

    url: Required[str]
    model: Required[str]
    window: Required[int]
    grammar: RoleGrammar
    tools_in_text: bool
    temperature: float
    think: bool | None
    api_key: str
    connect_timeout_s: float
    first_token_timeout_s: float
    stall_timeout_s: float
    retry_patience_s: float
    recorder: Recorder | None
    tag_calls: bool
    token_ratio: float


class Exchange(Protocol):
    """One attempt: what is sent, and what has come of it. Parts have the form of Ollama's, whatever the server."""

    body: dict[str, Any]

    @property
    def began(self) -> bool:
        """Whether a piece of the reply came."""

    @property
    def told(self) -> tuple[Phase, int] | None:
        """What there is to say of the last thing that came, for OnProgress; None = nothing."""

    def read(self, http: httpx.AsyncClient) -> AsyncGenerator[None, None]:
        """Send the request and take the reply; yields after each thing that came.

        Raises:
            Refused: the server answered with an error.
            BrokenStream: the reply did not come to its end, or is none.
        """

    def whole(self) -> list[dict[str, Any]]:
        """Return the parts of the reply, once it was read; raises BrokenStream when it is not whole."""

    def reply(self, request: ModelRequest) -> ModelReply:
        """Return the reply; raises what `check_usable` does."""

    def plain_body(self) -> dict[str, Any]:
        """Return the body in the form of Ollama's."""


class WireChat(ABC):
    """One model on one server; a core.ports.ChatModel. Calls may run side by side.

    Args:
        kind: what answers there.
        base_url: what the paths of its API are joined to.

    Raises:
        ModelUnavailable: the URL is no http or https address.
    """

    def __init__(self, kind: ServerKind, base_url: str, options: ChatOptions) -> None:
        self._url = options["url"]
        check_url(self._url)
        self.name = options["model"]
        self.window = options["window"]
        self.token_ratio = options.get("token_ratio", 1.0)
        self._kind: ServerKind = kind
        self._grammar: RoleGrammar = options.get("grammar", "")
        self._tools_in_text = options.get("tools_in_text", False)
        self._temperature = options.get("temperature", 0.0)
        self._think = options.get("think")
        self._recorder = options.get("recorder")
        self._tag_calls = options.get("tag_calls", False)
        connect_s, first_token_s = options.get("connect_timeout_s", 2.0), options.get("first_token_timeout_s", 300.0)
        self._silences = Silences(first_token_s, options.get("stall_timeout_s", 60.0))
        self._patience = Patience(first_token_s, connect_s, options.get("retry_patience_s", 120.0))
        self._cuts = CutWatch(self.window)
        self._has_tokenizer = kind in ("llama.cpp", "vllm") and not self._tag_calls
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers=key_headers(options.get("api_key", "")),
            **http_options(self._url, httpx.Timeout(None, connect=connect_s)),
        )

    @abstractmethod
    def _wire_body(self, request: ModelRequest) -> dict[str, Any]:
        """Return the body of a request; equal requests give equal bytes."""

    @abstractmethod
    def _exchange(self, body: dict[str, Any], headers: dict[str, str]) -> Exchange:
        """Return a new attempt at a request."""

    async def complete(self, request: ModelRequest, on_progress: OnProgress) -> ModelReply:
        """Return a complete reply; see core.ports.ChatModel.

        The ids of its calls are made of the request's turn and the call's place: "t3.0".

        Raises:
            CassetteMismatch: the replayed request is not the recorded one.
            NoRoom: the prompt does not fit the server's window: it says so, or cut it.
            ValueError: the conversation breaks the order of roles, or schema and tools are given together.
        """
        check_roles(request.messages)
        if request.schema is not None and request.tools:
            raise ValueError("schema and tools in one request: the server would return no tool calls")
        body = self._body(request)
        headers = call_headers(request.key) if self._tag_calls else {}
        reply = await ask_until_whole(
            lambda: self._exchange(body, headers),
            lambda exchange: self._attempt(request, exchange, on_progress),
            lambda err, exchange: self._judged(err, exchange, request),
            self._patience,
            on_progress,
        )
        if not self._tag_calls:
            await self._require_uncut(request, body, reply.usage.prompt_tokens)
        return reply

    async def count(self, request: ModelRequest) -> int | None:
        """Return the tokens of a prompt by the server's own tokenizer; None = it has none, or does not tell."""
        if not self._has_tokenizer:
            return None
        from .prompt_count import count_prompt

        counted = await count_prompt(self._http, self._url.removesuffix("/v1"), self._kind, self._body(request))
        if counted is None:
            # Once is enough: the estimate has to do from here on.
            self._has_tokenizer = False
        elif self._recorder is not None:
            self._recorder.record_count(request.key, plain_messages(request.messages), counted)
        return counted

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._http.aclose()

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        return self._wire_body(with_tools_in_text(request) if self._tools_in_text else request)

    async def _require_uncut(self, request: ModelRequest, body: dict[str, Any], counted: int | None) -> None:
        try:
            await self._cuts.check(request, counted, self._count_prompt)
        except NoRoom as err:
            # What was recorded as a reply is none.
            self._record(request, self._exchange(body, {}), [{"error": err.message}])
            raise

    def _judged(self, err: Exception, exchange: Exchange, request: ModelRequest) -> Verdict:
        verdict = judge(err, url=self._url, model=self.name, replaying=self._tag_calls, kind=self._kind)
        if isinstance(verdict.error, (ReplyInvalid, NoRoom)):
            # The model's call could not be read, or the prompt does not fit: answers that a replay must repeat.
            self._record(request, exchange, [{"error": str(err)}])
        return verdict

    async def _attempt(self, request: ModelRequest, exchange: Exchange, on_progress: OnProgress) -> ModelReply:
        self._tell_waiting(on_progress)
        async with aclosing(self._watched(exchange, request)) as moments:
            async for _ in moments:
                if told := exchange.told:
                    on_progress(*told)
        self._record(request, exchange, exchange.whole())
        reply = exchange.reply(request)
        self._silences.learn(reply.usage)
        return reply

    def _tell_waiting(self, on_progress: OnProgress) -> None:
        on_progress("waiting for model", 0)

    async def _count_prompt(self, request: ModelRequest) -> int | None:
        """Return the server's count of a prompt, whatever it replies; None = it does not tell."""
        exchange = self._exchange(self._body(request), {})
        async with aclosing(self._watched(exchange, request)) as moments:
            async for _ in moments:
                pass
        return whole_reply("", (), exchange.whole()).usage.prompt_tokens

    async def _watched(self, exchange: Exchange, request: ModelRequest) -> AsyncGenerator[None, None]:
        """Yield after each thing that came; see timely for what ends it."""
        holds_back, most = "tools" in exchange.body, request.max_tokens

        def allowed() -> Silence:
            return self._silences.allowed(began=exchange.began, holds_back=holds_back, max_tokens=most)

        # Each generator is closed here, not whenever it is collected: a fault of whoever watches, which holds on to
        # these frames, would leave the connection open, and the server generating.
        async with (
            aclosing(exchange.read(self._http)) as moments,
            aclosing(timely(moments, allowed, most)) as watched,
        ):
            async for _ in watched:
                yield

    def _record(self, request: ModelRequest, exchange: Exchange, parts: list[dict[str, Any]]) -> None:
        if self._recorder is not None:
            told = {
                "messages": plain_messages(request.messages),
                "profile": request.profile,
                "window": self.window,
                "ratio": self.token_ratio,
            }
            wire: Wire = "ollama" if self._kind == "ollama" else "openai"
            self._recorder.record(request.key, {**exchange.plain_body(), **told}, parts, wire)
