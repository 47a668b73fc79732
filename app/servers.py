"""Which model server a command talks to, and which of its models may be used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from ..configs.catalog import load_catalog
from ..configs.settings import ROLES, ModelSettings, ServerSettings, Settings
from ..core.errors import FlowError, ModelUnavailable
from ..llm.policy import denied_family, require_allowed
from ..llm.probe import USUAL_TIMEOUT_S, choose_model, find_usual_servers, probe_server
from ..llm.server_info import ServerInfo
from ..llm.servers import USUAL_SERVERS, UsualServer


async def find_server(settings: Settings, *, usual: Sequence[UsualServer] = USUAL_SERVERS) -> ServerInfo:
    """Return the configured server or, when none is configured, the first of the usual ones that has the models.

    Raises:
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
    return sorted(found, key=lambda info: not _has_models(info, settings.models))


def api_key(server: ServerSettings) -> str:
    """Return the key of an OpenAI-compatible server, "" = none is configured."""
    return os.environ.get(server.api_key_env, "") if server.api_key_env else ""


def choose_allowed(settings: Settings, info: ServerInfo, wanted: str) -> str:
    """Return the server's own name of the wanted model, as `choose_model` does; "" = its only one that is allowed.

    Raises:
        ModelUnavailable: it is not there, or more than one could be meant.
        Denied: the policy denies it.
    """
    if not wanted:
        allowed = tuple(name for name in info.models if not _denied(settings, info, name))
        info = replace(info, models=allowed or info.models)
    name = choose_model(info, wanted)
    check_allowed(settings, name, info.listing(name).family)
    return name


def check_allowed(settings: Settings, name: str, architecture: str = "") -> None:
    """Check a model against the policy, in whatever role it would be used.

    Raises:
        Denied: it belongs to a denied family; the message names the setting.
    """
    require_allowed(load_catalog(), name, architecture, settings.models.denied_families)


def _denied(settings: Settings, info: ServerInfo, name: str) -> str:
    return denied_family(load_catalog(), name, info.listing(name).family, settings.models.denied_families)


def _has_models(info: ServerInfo, models: ModelSettings) -> bool:
    """Return whether a server has every model that is set; with none set, whether it has any."""
    try:
        for wanted in {models.for_role(role) for role in ROLES} - {""}:
            choose_model(info, wanted)
    except FlowError:
        return False
    return len(info.models) > len(info.embedders)
