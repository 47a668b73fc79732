"""The chat models of one run, by role: made once each, replaced by a fallback when one is not usable any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from ..core.errors import ModelNotUsable, RunFailed
from ..core.events import ModelReplaced, Noticed
from ..core.messages import CallKey, ModelRequest
from ..core.ports import ChatModel, EventSink
from ..core.tool_names import ToolNames
from ..llm.capabilities import Capabilities
from ..llm.server_info import ModelDetails
from .fallbacks import Places
from .spending import require_prices

if TYPE_CHECKING:
    from ..configs.model_settings import ModelSettings
    from ..llm.ollama import OllamaChat
    from ..llm.openai_compatible import OpenAIChat
    from ..nodes.deps import FallBack
    from ..runs.store import RunStore
    from .tool_profiles import ToolProfiles

Chat = Union["OllamaChat", "OpenAIChat"]

ROLE_OF_TYPE = {"agent": "main", "llm": "main"}
"""Node types that are no role of the settings."""


class Made(NamedTuple):
    """A model that is ready, with what was found of it and what its server says."""

    chat: Chat
    found: Capabilities
    details: ModelDetails


class Told(NamedTuple):
    """What a cassette tells of a model: tokens of its window, 0 = not told; those counted for one estimated."""

    window: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a cassette tells of the run that was recorded, so that a replay comes to the same requests.

    Attributes:
        profiles: tool profiles by key of the call.
        models: what is told by model; "" = of any, the smallest window.
        places: model by role and tag; {} = one for all.
        counted: returns what its tokenizer counted for a request; None = it was not asked.
    """

    profiles: Mapping[str, str]
    models: Mapping[str, Told]
    places: Mapping[str, str]
    counted: Callable[[ModelRequest], int | None]

    def told(self, model: str) -> Told:
        """Return what is told of a model."""
        return self.models.get(model) or self.models[""]


Make = Callable[[Sequence[str]], Awaitable[list[Made]]]
"""Makes models by the names that the server has for them; a ModelNotUsable names the one that does not work."""


async def _makes_none(names: Sequence[str]) -> list[Made]:
    return []


@dataclass(frozen=True, slots=True)
class Served:
    """What the models of a run are made from, once their server is found.

    Attributes:
        note: one line about how they were chosen, for a person; "" = nothing to say.
        keep: keeps what was found of a model for later runs; None = nothing is kept.
        record: keeps which model works for each role and tag in a recording; None = nothing is recorded.
    """

    places: Places
    make: Make
    note: str = ""
    keep: Callable[[Capabilities], None] | None = None
    record: Callable[[Mapping[str, str]], None] | None = None


Find = Callable[[], Awaitable[Served]]
Patiently = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does something, and does it again while the server is busy."""


async def at_once(ready: Callable[[], Awaitable[None]]) -> None:
    """Do something without waiting for a server that is busy."""
    await ready()


class ModelPool:
    """All models of a run; to be closed at its end. It has none, and no server, until `connect`.

    Args:
        recorded: what a cassette tells in a replay; None = the servers are asked.
        wanted: what `stored` returns until then.
    """

    def __init__(
        self,
        find: Find,
        profiles: ToolProfiles,
        recorded: Recorded | None = None,
        patiently: Patiently = at_once,
        wanted: Mapping[str, Any] | None = None,
    ) -> None:
        self._wanted = wanted or {}
        self._find: Find | None = find
        self._served = Served(Places(str, {}), _makes_none)
        self._recorded = recorded
        self._profiles = profiles
        self._patiently = patiently
        self._made: dict[str, Made] = {}
        self._working: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._replacing = asyncio.Lock()

    @property
    def names(self) -> dict[str, str]:
        """Model by role, as it is now; {} = nothing is known of a server yet."""
        return self._served.places.roles()

    @property
    def is_connected(self) -> bool:
        """Whether models can be asked."""
        return bool(self._working)

    def stored(self) -> dict[str, Any]:
        """Return what a run's options keep, so that a resume goes on with the same models."""
        if not self.is_connected:
            return dict(self._wanted)
        return {"models": self.names, "replaced_tags": self._served.places.replaced_tags()}

    async def connect(self) -> bool:
        """Find the server and make the models, unless that was done before; return whether it was done now.

        Where a model is not usable, the next one takes over.

        Raises:
            ModelNotUsable: none is left for a place.
            FlowError: there is no server, it does not work, or the policy denies a model.
        """
        async with self._replacing:
            if self.is_connected:
                return False
            await self._patiently(self._make_ready)
            return True

    async def _make_ready(self) -> None:
        if self._find is not None:
            self._served, self._find = await self._find(), None
        places = self._served.places
        while missing := [name for name in places.names() if name not in self._made]:
            try:
                made = await self._served.make(missing)
            except ModelNotUsable as err:
                places.lose(err)
            else:
                self._made.update({one.details.name: one for one in made})
        self._working = places.all()
        if self._served.record is not None:
            self._served.record(self._working)

    def news(self) -> list[Noticed | ModelReplaced]:
        """Return how the models were chosen and what took over, since this was last asked."""
        note, self._served = self._served.note, replace(self._served, note="")
        return [*([Noticed(note)] if note else []), *self._served.places.told()]

    async def fall_back(self, wanted: str, err: ModelNotUsable, window: int) -> list[ModelReplaced]:
        """Let another model take over from one that failed, and return what is to be told of it.

        Args:
            wanted: the role or exact tag that it failed for.
            window: tokens that the other model must have.

        Returns:
            [] when another agent of the run was here first.

        Raises:
            ModelNotUsable: none takes over.
        """
        key = ROLE_OF_TYPE.get(wanted, wanted)
        async with self._replacing:
            if self._working[key] != err.model:
                return []
            served = self._served
            while True:
                served.places.lose(err, key)
                name = served.places.name(key)
                try:
                    if name not in self._made:
                        self._made.update({one.details.name: one for one in await served.make([name])})
                    _require_window(self._made[name], window)
                except ModelNotUsable as further:
                    err = further
                else:
                    # Not before it is made: agents side by side ask for their models meanwhile.
                    self._working = served.places.all()
                    return served.places.told()

    def model(self, wanted: str) -> ChatModel:
        """Return the model of a role, or of an exact tag that the graph names."""
        return self._made[self._name(wanted)].chat

    def capabilities(self, wanted: str) -> Capabilities:
        """Return what is known of the model of a role, or of an exact tag that the graph names."""
        return self._made[self._name(wanted)].found

    def ratio(self, wanted: str) -> float:
        """Return the tokens that a model counts for one that is estimated (core.ports.PromptCounts)."""
        return self._made[self._name(wanted)].chat.token_ratio

    async def exact(self, wanted: str, request: ModelRequest) -> int | None:
        """Return the tokens of a prompt by the server's own tokenizer (core.ports.PromptCounts)."""
        if self._recorded is not None:
            return self._recorded.counted(request)
        return await self._made[self._name(wanted)].chat.count(request)

    def learned(self, model: str, ratio: float) -> None:
        """Keep how a model counts for later runs (core.ports.PromptCounts); this run goes on as it began."""
        made = self._made[model]
        if self._served.keep is None or ratio <= (made.found.token_ratio or 1.0):
            return
        self._made[model] = made._replace(found=replace(made.found, token_ratio=ratio))
        self._served.keep(self._made[model].found)

    def tool_names(self, wanted: str, key: CallKey) -> ToolNames:
        """Return what tools are called in front of the model of a role or an exact tag, at one call of it."""
        return self._profiles.names(self._made[self._name(wanted)].details, key)

    def _name(self, wanted: str) -> str:
        """Return the model that works for a role or a tag. Raises: RunFailed: it is neither, as code may ask."""
        key = ROLE_OF_TYPE.get(wanted, wanted)
        if key not in self._working:
            raise RunFailed(
                f"The run has no model {wanted!r}: it is no role, and no graph of the run names it.",
                hint=f"Write the tag out in the graph's code, chat_model({wanted!r}), or set it for a role.",
            )
        return self._working[key]

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let something go on beside the run; it ends with the pool at the latest."""
        self._tasks.append(asyncio.ensure_future(work))
        return self._tasks[-1]

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        for made in self._made.values():
            await made.chat.aclose()


def _require_window(made: Made, window: int) -> None:
    if made.found.window >= window:
        return
    raise ModelNotUsable(
        f"the window of {made.details.name!r} holds {made.found.window:,} tokens, and the next request with its "
        f"answer needs {window:,}.",
        model=made.details.name,
        hint="Name one with a larger window in models.fallback.",
    )


def falling_back(pool: ModelPool, store: RunStore, run_id: str, sink: EventSink) -> FallBack:
    """Return how a run's agents let another model take over: that is stored and told before it is asked."""

    async def fall_back(wanted: str, err: ModelNotUsable, window: int) -> None:
        replaced = await pool.fall_back(wanted, err, window)
        if not replaced:
            return
        with store.change():
            store.update_run(run_id, options={**store.get_run(run_id).options, **pool.stored()})
            for event in replaced:
                sink.emit("", event)

    return fall_back


def connecting(
    pool: ModelPool, models: ModelSettings, store: RunStore, run_id: str, sink: EventSink
) -> Callable[[], Awaitable[None]]:
    """Return what a run whose graph names no model does before its code asks one: it finds the server, once.

    What was found is stored and told before it is asked. It raises what `ModelPool.connect` and `require_prices` do.
    """
    is_checked = pool.is_connected

    async def connected() -> None:
        nonlocal is_checked
        if is_checked:
            return
        if await pool.connect():
            with store.change():
                store.update_run(run_id, options={**store.get_run(run_id).options, **pool.stored()})
                for event in pool.news():
                    sink.emit("", event)
        require_prices(models, store.get_run(run_id).options, pool.names.values())
        is_checked = True

    return connected
