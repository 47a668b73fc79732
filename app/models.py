"""From settings to chat models: probing the server, choosing a model for each role, one window for each model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configs.catalog import load_catalog
from ..configs.model_settings import ROLES
from ..configs.settings import Settings
from ..core.errors import UsageError
from ..llm.capabilities import Capabilities, CapabilityFile, told_capabilities
from ..llm.policy import lineage
from ..llm.preload import preload
from ..llm.probe import choose_model, choose_window, describe_model
from ..llm.roles import RoleGrammar
from ..llm.server_info import ModelDetails, ServerInfo
from ..llm.servers import TITLES
from .fallbacks import Places, wanted_places
from .model_pool import Chat, Made, ModelPool, Recorded, Served
from .servers import api_key, check_allowed, choose_allowed, find_server, patience, preset_of, while_busy

if TYPE_CHECKING:
    from ..llm.cassette import Recorder

_SLOW_S = 1.0
"""Seconds after which a person is told that a model is being loaded."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """How a run looks at its models before it begins.

    Attributes:
        records: where what was found is kept.
        notify: shows a person one line.
    """

    records: CapabilityFile
    notify: Callable[[str], None]


async def connect(
    settings: Settings,
    tags: tuple[str, ...],
    recorder: Recorder | None,
    *,
    preflight: Preflight | None = None,
    recorded: Recorded | None = None,
    replaced: Mapping[str, str] | None = None,
    late: bool = False,
) -> ModelPool:
    """Return the models of a run, after the server and every model were found to be there.

    Args:
        tags: exact tags that the graph itself names.
        preflight: None = no model is asked for anything.
        recorded: of the cassette that answers in place of a model; None = none does.
        replaced: models that took over from exact tags earlier in the run; None = none did.
        late: nothing is looked for before `ModelPool.connect`.

    Raises:
        ModelUnavailable: no server, or a model is missing or does not work, and none takes over.
        Denied: the policy denies a model, be it one that would only take over.
        ConfigError: there is no tool profile of the name that is set.
    """
    from .tool_profiles import ToolProfiles  # late: it loads the tools, which doctor does without

    profiles = ToolProfiles(settings.models.tool_profile, recorded.profiles if recorded else None)
    # A cassette needs to know which call it is.
    tag_calls = recorded is not None
    if settings.embed.backend not in ("none", "auto"):  # auto may come to none; what it takes is checked there
        check_allowed(settings, settings.embed.model)
    notify = preflight.notify if preflight is not None else lambda text: None

    async def find() -> Served:
        info = await while_busy(partial(find_server, settings), settings.server, notify)
        choose, note = _choice(settings, info, any_family=tag_calls)
        taken = replaced or {}
        if recorded is not None:
            taken = {tag: recorded.places.get(tag, info.models[0]) for tag in tags}
        places = Places(choose, wanted_places(settings.models, tags, taken))
        looks = preflight if recorded is None else None
        maker = _Maker(settings, info, recorder, recorded, looks, places, pool.in_background)
        # A run that looks at no model has no record to add to.
        keep = partial(looks.records.keep, info) if looks is not None and settings.models.preflight else None
        return Served(places, maker.make, note, keep, None if recorder is None else recorder.record_places)

    wanted = {
        "models": {role: settings.models.for_role(role) for role in ROLES},
        "replaced_tags": dict(replaced or {}),
    }
    pool = ModelPool(find, profiles, recorded, lambda ready: while_busy(ready, settings.server, notify), wanted)
    try:
        if not late:
            await pool.connect()
    except BaseException:
        await pool.aclose()
        raise
    return pool


def _choice(settings: Settings, info: ServerInfo, *, any_family: bool) -> tuple[Callable[[str], str], str]:
    """Return what chooses a model of the server, and a line about the one that is taken where none is named.

    Args:
        any_family: the policy does not count: what a cassette answers with is no model.

    Raises:
        Denied: the policy denies a model that would take over.
    """
    if any_family:
        return partial(choose_model, info), ""
    models = settings.models
    for name in models.all_fallbacks():
        check_allowed(settings, name, info.listing(name).family)
    unnamed = any(not models.for_role(role) for role in ROLES)
    preset = preset_of(settings, info) if unnamed else None

    def choose(wanted: str) -> str:
        return preset.name if preset and not wanted else choose_allowed(settings, info, wanted)

    return choose, preset.why if preset else ""


@dataclass(slots=True)
class _Maker:
    """Makes chat models of one server."""

    settings: Settings
    info: ServerInfo
    recorder: Recorder | None
    recorded: Recorded | None
    preflight: Preflight | None
    places: Places
    in_background: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    loading: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def make(self, names: Sequence[str]) -> list[Made]:
        """Return models that are ready; see model_pool.Make."""
        settings, info = self.settings, self.info
        limit_s, key = settings.server.connect_timeout_s, api_key(settings.server)
        described = [describe_model(info.url, name, limit_s, info=info, api_key=key) for name in names]
        details = await asyncio.gather(*described)
        for one in () if self.recorded else details:
            check_allowed(settings, one.name, one.family)
        windows = {one.name: self._window(one) for one in details}
        found = await self._found(details, windows)
        return [self._made(one, found[one.name]) for one in details]

    def _window(self, details: ModelDetails) -> int:
        told = self.recorded.told(details.name).window if self.recorded is not None else 0
        return told or choose_window(self.settings.models.num_ctx, details.context_length)

    async def _found(self, details: Sequence[ModelDetails], windows: Mapping[str, int]) -> dict[str, Capabilities]:
        settings, info, preflight = self.settings, self.info, self.preflight
        if preflight is None or not settings.models.preflight:
            return {one.name: told_capabilities(info, one, windows[one.name]) for one in details}
        last = self.places.name("planner")
        known = preflight.records.find(info, last, windows[last]) if last in windows else None
        if known is not None and info.kind == "ollama":
            loading = preload(info.url, last, known.window, settings.models.keep_alive)
            self.loading[last] = self.in_background(loading)
        ordered = sorted(details, key=lambda one: one.name == last)
        return await look_at_models(settings, info, ordered, windows, preflight)

    def _made(self, details: ModelDetails, found: Capabilities) -> Made:
        # What a cassette answers was called for as it was, whatever the recorded model could do.
        in_text = self.recorded is None and found.tools is False
        ratio = self.recorded.told(details.name).ratio if self.recorded else found.token_ratio
        chat = _chat(
            self.settings,
            self.info,
            details,
            found.window,
            self.recorder,
            self.recorded is not None,
            tools_in_text=in_text,
            token_ratio=max(ratio or 1.0, 1.0),
            loading=self.loading.get(details.name),
        )
        return Made(chat, found, details)


async def look_at_models(
    settings: Settings,
    info: ServerInfo,
    details: Sequence[ModelDetails],
    windows: Mapping[str, int],
    preflight: Preflight,
) -> dict[str, Capabilities]:
    """Return what each model was found to do, by name: from an earlier run where nothing changed since.

    One after the other, so that the last of them stays loaded where the GPU holds only one.

    Raises:
        FlowError: the server or a model does not work.
    """
    from ..llm.preflight import preflight as ask_model

    found: dict[str, Capabilities] = {}
    for one in details:
        assumed = one.context_length is None and not settings.models.num_ctx
        record = preflight.records.find(info, one.name, windows[one.name])
        if record is None:
            asked = ask_model(
                info,
                one,
                windows[one.name],
                assumed=assumed,
                keep_alive=settings.models.keep_alive,
                patience=patience(settings.server),
                api_key=api_key(settings.server),
            )
            record = await _told_when_slow(
                asked, f"Loading model {one.name} ({TITLES[info.kind]}, {info.url}).", preflight
            )
            preflight.records.keep(info, record)
        if assumed and record.window == windows[one.name]:
            preflight.notify(assumed_window(record))
        for notice in record.notices():
            preflight.notify(notice)
        found[one.name] = record
    return found


def assumed_window(record: Capabilities) -> str:
    """Return one line that says that nobody knows a model's window."""
    return (
        f"{record.model}: the server does not tell its window, so {record.window:,} tokens are assumed; "
        "-c models.num_ctx=N sets what it has."
    )


def record_file(cache: Path) -> CapabilityFile:
    """Return the file in which is kept what models were found to do."""
    return CapabilityFile(cache / "models.json")


async def _told_when_slow(asked: Coroutine[Any, Any, Capabilities], text: str, preflight: Preflight) -> Capabilities:
    task = asyncio.ensure_future(asked)
    try:
        done, _ = await asyncio.wait({task}, timeout=_SLOW_S)
        if not done:
            preflight.notify(text)
        return await task
    finally:
        task.cancel()


def chat_alone(settings: Settings, info: ServerInfo, details: ModelDetails, window: int, tools_in_text: bool) -> Chat:
    """Return a model as a run would ask it, outside of one; to be closed."""
    return _chat(
        settings, info, details, window, None, False, tools_in_text=tools_in_text, token_ratio=1.0, loading=None
    )


def _chat(
    settings: Settings,
    info: ServerInfo,
    details: ModelDetails,
    window: int,
    recorder: Recorder | None,
    tag_calls: bool,
    *,
    tools_in_text: bool,
    token_ratio: float,
    loading: asyncio.Future[None] | None,
) -> Chat:
    server = settings.server
    shared: dict[str, Any] = {
        "url": info.url,
        "model": details.name,
        "window": window,
        # A cassette holds conversations as they were before they were fitted to a model.
        "grammar": "" if tag_calls else role_grammar(details),
        "tools_in_text": tools_in_text,
        "token_ratio": token_ratio,
        "temperature": settings.models.temperature,
        "think": settings.models.think,
        "connect_timeout_s": server.connect_timeout_s,
        "first_token_timeout_s": server.first_token_timeout_s,
        "stall_timeout_s": server.stall_timeout_s,
        "retry_patience_s": server.retry_patience_s,
        "recorder": recorder,
        "tag_calls": tag_calls,
    }
    if info.kind == "ollama":
        from ..llm.ollama import OllamaChat

        # The variable that Ollama's own clients read.
        key = api_key(server) or os.environ.get("OLLAMA_API_KEY", "")
        return OllamaChat(keep_alive=settings.models.keep_alive, api_key=key, loading=loading, **shared)
    from ..llm.openai_compatible import OpenAIChat

    return OpenAIChat(kind=info.kind, api_key=api_key(server), **shared)


def role_grammar(details: ModelDetails) -> RoleGrammar:
    """Return what the model's chat template wants of the order of roles: as the server tells, else by its family."""
    if details.grammar:
        return details.grammar
    catalog = load_catalog()
    known = catalog.find(details.name)
    if known is not None:
        return known.role_grammar
    families = lineage(catalog, details.name, details.family).families
    found: RoleGrammar = next((family for family in ("mistral", "llama", "gemma") if family in families), "")
    # A Gemma that takes tools is of the fourth generation, whose template has system and tool messages.
    return "" if found == "gemma" and "tools" in details.capabilities else found


def model_flags(choices: Mapping[str, str]) -> dict[str, str]:
    """Return `-m` choices as settings; "main" stands for every role that names none.

    Raises:
        UsageError: a role that does not exist.
    """
    for role in choices:
        if role not in ROLES:
            raise UsageError(f"-m: there is no role {role!r}.", hint=f"Roles: {', '.join(ROLES)}.")
    return {f"models.{role}": name for role, name in choices.items()}
