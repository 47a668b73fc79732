"""Which model server a command talks to, and which of its models may be used."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ..configs.catalog import load_catalog
from ..configs.model_settings import ROLES, ModelSettings, ServerSettings
from ..configs.settings import Settings
from ..core.errors import FlowError, ModelUnavailable, ServerBusy
from ..llm.policy import denied_family, require_allowed
from ..llm.probe import USUAL_TIMEOUT_S, choose_model, find_usual_servers, probe_server
from ..llm.server_info import ServerInfo
from ..llm.servers import USUAL_SERVERS, UsualServer

if TYPE_CHECKING:
    from .presets import Preset

if TYPE_CHECKING:
    from ..llm.faults import Patience

Found = TypeVar("Found")


async def find_server(settings: Settings, *, usual: Sequence[UsualServer] = USUAL_SERVERS) -> ServerInfo:
    """Return the configured server or, when none is configured, the first of the usual ones that has the models.

    Raises:
        ServerBusy: the only one there is has no time.
        ModelUnavailable: no model server answers.
    """
    return (await find_servers(settings, usual=usual))[0]


async def find_servers(settings: Settings, *, usual: Sequence[UsualServer] = USUAL_SERVERS) -> list[ServerInfo]:
    """Return the servers found, the one that is used first; the configured one alone where one is.

    Args:
        usual: addresses to look at when none is configured.

    Raises:
        ModelUnavailable: no model server answers.
    """
    server = settings.server
    if server.url:
        key = api_key(server)
        return [await probe_server(server.url, server.connect_timeout_s, wanted=server.kind, api_key=key)]
    looked = [one for one in usual if server.kind == "auto" or (server.kind == "ollama") == (one.kind == "ollama")]
    limit_s = min(server.connect_timeout_s, USUAL_TIMEOUT_S)
    found, silent = await find_usual_servers(limit_s, usual=looked, wanted=server.kind)
    if not found:
        raise ModelUnavailable(
            f"no model server answers at the usual addresses: {'; '.join(silent)}.",
            hint="Start one (`ollama serve`), name another with `-c server.url=URL`, or see `flow demo`, which needs "
            "no model.",
        )
    return sorted(found, key=lambda info: _lacks_models(info, settings.models))


async def while_busy(
    ask: Callable[[], Awaitable[Found]], server: ServerSettings, notify: Callable[[str], None]
) -> Found:
    """Return what `ask` brings, which is asked again while the server is busy, as in mid-run.

    Args:
        notify: shows a person one line: what is waited for.

    Raises:
        ServerBusy: it stayed so.
    """
    from ..llm.faults import next_delay

    began, retries = time.monotonic(), 0
    while True:
        try:
            return await ask()
        except ServerBusy as err:
            delay_s = next_delay("loading", retries, 0, time.monotonic() - began, patience(server))
            if delay_s is None:
                raise
            if retries == 1:
                notify(f"Waiting for the model server: {err.message}")
        retries += 1
        await asyncio.sleep(delay_s)


def patience(server: ServerSettings) -> Patience:
    """Return how long a model is waited for."""
    from ..llm.faults import Patience

    return Patience(server.first_token_timeout_s, server.connect_timeout_s, server.retry_patience_s)


def api_key(server: ServerSettings) -> str:
    """Return the key of an OpenAI-compatible server, "" = none is configured."""
    return os.environ.get(server.api_key_env, "") if server.api_key_env else ""


def choose_allowed(settings: Settings, info: ServerInfo, wanted: str) -> str:
    """Return the server's own name of the wanted model, as `choose_model` does.

    Args:
        wanted: "" = its only one that is allowed, else the one that fits this machine best.

    Raises:
        ModelUnavailable: it is not there, or more than one could be meant.
        Denied: the policy denies it.
    """
    if not wanted and (preset := preset_of(settings, info)):
        return preset.name
    if wanted:
        # Before it is looked for: nobody is told to download what is denied then.
        check_allowed(settings, wanted)
    name = choose_model(info if wanted else _allowed(settings, info), wanted)
    check_allowed(settings, name, info.listing(name).family)
    return name


def preset_of(settings: Settings, info: ServerInfo) -> Preset | None:
    """Return the model that is taken where none is named and several could be; None = there is no choice to make, or
    nothing to make it by."""
    allowed = _allowed(settings, info)
    chat = [name for name in allowed.models if name not in info.embedders]
    if len(chat) < 2:
        return None
    from .presets import best_installed

    return best_installed(allowed, settings.models)


def _allowed(settings: Settings, info: ServerInfo) -> ServerInfo:
    """Return the server with the models that the policy allows; with all where it allows none, so that it is told."""
    allowed = tuple(name for name in info.models if not _denied(settings, info, name))
    return replace(info, models=allowed or info.models)


def check_allowed(settings: Settings, name: str, architecture: str = "") -> None:
    """Check a model against the policy, in whatever role it would be used.

    Raises:
        Denied: it belongs to a denied family; the message names the setting.
    """
    require_allowed(load_catalog(), name, architecture, settings.models.denied_families)


def _denied(settings: Settings, info: ServerInfo, name: str) -> str:
    return denied_family(load_catalog(), name, info.listing(name).family, settings.models.denied_families)


def _lacks_models(info: ServerInfo, models: ModelSettings) -> int:
    """Return 0 when a server has every model that is set (with none set: any), 1 when others take over, else 2."""
    lacks = 0 if len(info.models) > len(info.embedders) else 2
    for role in ROLES:
        wanted = models.for_role(role)
        if wanted and not _has(info, wanted):
            lacks = max(lacks, 1 if any(_has(info, other) for other in models.fallbacks_for(role)) else 2)
    return lacks


def _has(info: ServerInfo, wanted: str) -> bool:
    try:
        choose_model(info, wanted)
    except FlowError:
        return False
    return True
