"""From settings to chat models: probing the server, choosing a model for each role, one window for each model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ..configs.catalog import load_catalog
from ..configs.settings import ROLES, ServerSettings, Settings
from ..core.errors import UsageError
from ..core.masking import SecretMask
from ..core.ports import ChatModel
from ..llm.capabilities import Capabilities, CapabilityFile, told_capabilities
from ..llm.cassette import Cassette, Recorder
from ..llm.loopback import LoopbackServer
from ..llm.normalise import Normaliser
from ..llm.ollama_server import OllamaServer
from ..llm.openai_server import OpenAIServer
from ..llm.policy import lineage
from ..llm.preload import preload
from ..llm.probe import choose_model, choose_window, describe_model
from ..llm.roles import RoleGrammar
from ..llm.server_info import ModelDetails, ServerInfo
from ..llm.servers import TITLES
from .servers import api_key, check_allowed, choose_allowed, find_server

if TYPE_CHECKING:
    from ..llm.ollama import OllamaChat
    from ..llm.openai_compatible import OpenAIChat
    from ..llm.preflight import Patience

_ROLE_OF_TYPE = {"agent": "main", "llm": "main"}
"""Node types that are no role of the settings."""

_SLOW_S = 1.0
"""Seconds after which a person is told that a model is being loaded."""


Chat = Union["OllamaChat", "OpenAIChat"]


class ModelPool:
    """The chat models of one run, each made once; closed at its end."""

    def __init__(self, settings: Settings, info: ServerInfo, named: Mapping[str, str]) -> None:
        self._settings = settings
        self._info = info
        self._named = dict(named)
        self._models: dict[str, Chat] = {}
        self._found: dict[str, Capabilities] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def names(self) -> dict[str, str]:
        """Model by role, as chosen."""
        return dict(self._named)

    def model(self, wanted: str) -> ChatModel:
        """Return the model of a role, or of an exact tag.

        Raises:
            ModelUnavailable: the server does not have that tag.
        """
        return self._models[self._name(wanted)]

    def capabilities(self, wanted: str) -> Capabilities:
        """Return what is known of the model of a role, or of an exact tag.

        Raises:
            ModelUnavailable: the server does not have that tag.
        """
        return self._found[self._name(wanted)]

    def add(self, model: Chat, found: Capabilities) -> None:
        self._models[found.model] = model
        self._found[found.model] = found

    def _name(self, wanted: str) -> str:
        role = _ROLE_OF_TYPE.get(wanted, wanted)
        return self._named.get(role) or choose_model(self._info, wanted)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on beside the run; it ends with the pool at the latest."""
        self._tasks.append(asyncio.ensure_future(work))

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        for model in self._models.values():
            await model.aclose()


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
    tag_calls: bool = False,
    preflight: Preflight | None = None,
) -> ModelPool:
    """Return the models of a run, after the server and every model were found to be there.

    Args:
        tags: exact tags that the graph itself names.
        tag_calls: True when a cassette answers, which needs to know which call it is.
        preflight: None = no model is asked for anything.

    Raises:
        ModelUnavailable: no server, or a model is missing.
        Denied: the policy denies a model.
    """
    if settings.embed.backend != "none":
        check_allowed(settings, settings.embed.model)
    info = await find_server(settings)
    named, details = await _chosen(settings, info, tags, any_family=tag_calls)
    windows = {one.name: choose_window(settings.models.num_ctx, one.context_length) for one in details}
    pool = ModelPool(settings, info, named)
    # Importing the client takes most of a second: that goes on while the models are asked, and a dead server is told
    # without it.
    imported = asyncio.to_thread(_import_client, info)
    if preflight is not None and settings.models.preflight and not tag_calls:
        last = named["planner"]
        known = preflight.records.find(info, last, windows[last])
        if known is not None and info.kind == "ollama":
            pool.in_background(preload(info.url, last, known.window, settings.models.keep_alive))
        ordered = sorted(details, key=lambda one: one.name == last)
        found, _ = await asyncio.gather(look_at_models(settings, info, ordered, windows, preflight), imported)
    else:
        await imported
        found = {one.name: told_capabilities(info, one, windows[one.name]) for one in details}
    for one in details:
        # What a cassette answers was called for as it was, whatever the recorded model could do.
        record = found[one.name]
        in_text = not tag_calls and record.tools is False
        pool.add(_chat(settings, info, one, record.window, recorder, tag_calls, tools_in_text=in_text), record)
    return pool


async def _chosen(
    settings: Settings, info: ServerInfo, tags: tuple[str, ...], *, any_family: bool
) -> tuple[dict[str, str], list[ModelDetails]]:
    """Return the model of each role, and what the server says of every model, each once.

    Args:
        any_family: the policy does not count: what a cassette answers with is no model.
    """
    choose = choose_model if any_family else partial(choose_allowed, settings)
    named = {role: choose(info, settings.models.for_role(role)) for role in ROLES}
    names = dict.fromkeys([*named.values(), *(choose(info, tag) for tag in tags)])
    limit_s, key = settings.server.connect_timeout_s, api_key(settings.server)
    described = [describe_model(info.url, name, limit_s, info=info, api_key=key) for name in names]
    details = await asyncio.gather(*described)
    for one in () if any_family else details:
        check_allowed(settings, one.name, one.family)
    return named, details


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
        record = preflight.records.find(info, one.name, windows[one.name])
        if record is None:
            asked = ask_model(
                info,
                one,
                windows[one.name],
                keep_alive=settings.models.keep_alive,
                patience=patience(settings.server),
                api_key=api_key(settings.server),
            )
            record = await _told_when_slow(
                asked, f"Loading model {one.name} ({TITLES[info.kind]}, {info.url}).", preflight
            )
            preflight.records.keep(info, record)
        for notice in record.notices():
            preflight.notify(notice)
        found[one.name] = record
    return found


def patience(server: ServerSettings) -> Patience:
    """Return how long a model is waited for."""
    from ..llm.preflight import Patience

    return Patience(server.first_token_timeout_s, server.connect_timeout_s, server.retry_patience_s)


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


def _import_client(info: ServerInfo) -> None:
    if info.kind == "ollama":
        from ..llm import chat_ollama  # noqa: F401 - loads LangChain, so that OllamaChat need not
    else:
        from ..llm import openai_compatible  # noqa: F401 - the same, and much lighter


def _chat(
    settings: Settings,
    info: ServerInfo,
    details: ModelDetails,
    window: int,
    recorder: Recorder | None,
    tag_calls: bool,
    *,
    tools_in_text: bool,
) -> Chat:
    server = settings.server
    shared: dict[str, Any] = {
        "url": info.url,
        "model": details.name,
        "window": window,
        # A cassette holds conversations as they were before they were fitted to a model.
        "grammar": "" if tag_calls else role_grammar(details),
        "tools_in_text": tools_in_text,
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

        return OllamaChat(keep_alive=settings.models.keep_alive, **shared)
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
    return next((family for family in ("mistral", "llama", "gemma") if family in families), "")


def model_flags(choices: Mapping[str, str]) -> dict[str, str]:
    """Return `-m` choices as settings; "main" stands for every role that names none.

    Raises:
        UsageError: a role that does not exist.
    """
    for role in choices:
        if role not in ROLES:
            raise UsageError(f"-m: there is no role {role!r}.", hint=f"Roles: {', '.join(ROLES)}.")
    return {f"models.{role}": name for role, name in choices.items()}


@contextmanager
def replay_server(path: Path, workspace: Path, secrets: SecretMask) -> Iterator[LoopbackServer]:
    """Give a server on this machine's loopback that answers from a cassette, as one model for all roles.

    It speaks the API that the recorded model was called over.

    Raises:
        UsageError: the cassette cannot be read or holds nothing.
    """
    cassette = Cassette.load(path)
    if not cassette.keys:
        raise UsageError(f"the cassette {str(path)!r} is empty.", hint="Record one with `--record FILE`.")
    answers = cassette.answers(normaliser(workspace, secrets))
    models = cassette.models[:1] or ("replay:latest",)
    server: LoopbackServer = OllamaServer(answers, models=models)
    if cassette.wire == "openai":
        server = OpenAIServer(answers, models=models)
    with server:
        yield server


def normaliser(workspace: Path, secrets: SecretMask) -> Normaliser:
    """Return what makes a recording independent of this machine's folders and of the time."""
    return Normaliser(workspace, Path.home(), secrets)
