"""What `flow models` knows: the server's models beside the catalogue, a model's record, and getting a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from ..configs.catalog import CatalogModel, load_catalog
from ..configs.model_settings import ROLES
from ..configs.settings import Settings
from ..core.errors import ModelUnavailable, UsageError
from ..core.ports import ChatModel
from ..llm.capabilities import Capabilities, CapabilityFile
from ..llm.policy import denied_family, lineage
from ..llm.probe import choose_window, describe_model
from ..llm.server_info import ModelDetails, ServerInfo
from ..llm.servers import TITLES, get_model_hint, on_this_machine
from .hardware import measure_memory
from .models import chat_alone, role_grammar
from .recommend import fit_notice
from .servers import api_key, check_allowed, choose_allowed, find_server, patience

_AT_ONCE = 4
"""Models that a server is asked about side by side."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model, from what the server says and what the catalogue knows; None and "" = unknown.

    Attributes:
        installed: the server has it.
        role: "chat", "embed" or "rerank".
        window: tokens it was made for or, where the server was started with a window, that window.
        denied: the family for which the policy denies it, "" = it is allowed.
        catalogued: the catalogue knows this very tag.
    """

    name: str
    installed: bool
    role: str
    families: tuple[str, ...]
    origin: str
    denied: str
    catalogued: bool
    size_bytes: int | None
    quantisation: str
    window: int | None
    tools: bool | None


async def list_models(settings: Settings) -> tuple[ServerInfo, list[KnownModel]]:
    """Return the server and its models, then those of the catalogue that it does not have.

    Raises:
        ModelUnavailable: no model server answers.
    """
    info = await find_server(settings)
    catalog = load_catalog()
    details = await _described(settings, info)
    shown = [_installed(settings, info, name, details.get(name)) for name in info.models]
    for name, model in catalog.models.items():
        if not any(tag in info.models for tag in (name, *model.aliases)):
            shown.append(_from_catalog(settings, name, model))
    return info, shown


async def uncatalogued(settings: Settings) -> tuple[tuple[str, ...], dict[str, CatalogModel]]:
    """Return the names of the server's models, and what it says of the chat models that the catalogue does not know.

    Nothing when no server answers. Denied models are left out of the second.
    """
    try:
        info = await find_server(settings)
    except ModelUnavailable:
        return (), {}
    details, catalog = await _described(settings, info), load_catalog()
    found = {}
    for name in info.models:
        one = _installed(settings, info, name, details.get(name))
        if one.role != "chat" or one.denied or catalog.find(name) is not None:
            continue
        kv_bytes = details[name].kv_bytes_per_token if name in details else None
        found[name] = CatalogModel(
            family=", ".join(one.families) or "unknown",
            context=one.window,
            quantisation=one.quantisation,
            weights_bytes=one.size_bytes,
            kv_bytes_per_token=kv_bytes,
            tools=one.tools,
        )
    return info.models, found


async def _described(settings: Settings, info: ServerInfo) -> dict[str, ModelDetails]:
    """Return what an Ollama server says of each of its models; others say all they do in their listing."""
    if info.kind != "ollama":
        return {}
    few, limit_s = asyncio.Semaphore(_AT_ONCE), 5 * settings.server.connect_timeout_s

    async def one(name: str) -> ModelDetails | None:
        async with few:
            try:
                return await describe_model(info.url, name, limit_s, info=info, api_key=api_key(settings.server))
            except ModelUnavailable:
                return None  # a model whose files are broken; its listing has to do

    found = await asyncio.gather(*map(one, info.models))
    return {details.name: details for details in found if details is not None}


async def check_model(
    settings: Settings, records: CapabilityFile, wanted: str, tell: Callable[[str], None]
) -> Capabilities:
    """Return what a model is found to do now, its speeds measured, a call and a schema tried; kept for runs.

    Args:
        wanted: a name as for `-m`; "" = that of the main role.
        tell: told what goes on, a few words each time.

    Raises:
        FlowError: the server or the model does not work, or the policy denies it.
    """
    from ..llm.preflight import measure_speed, preflight
    from ..llm.trial import try_model

    server = settings.server
    key = api_key(server)
    info = await find_server(settings)
    name = choose_allowed(settings, info, wanted or settings.models.main)
    details = await describe_model(info.url, name, server.connect_timeout_s, info=info, api_key=key)
    check_allowed(settings, name, details.family)
    window = choose_window(settings.models.num_ctx, details.context_length)
    details = replace(details, grammar=role_grammar(details))
    shared: dict[str, Any] = {
        "keep_alive": settings.models.keep_alive,
        "patience": patience(server),
        "api_key": key,
    }
    tell("loading")
    assumed = details.context_length is None and not settings.models.num_ctx
    found = await preflight(info, details, window, assumed=assumed, **shared)
    tell("measuring its speed")
    found = await measure_speed(info, found, **shared)
    async with AsyncExitStack() as closing:

        def chat(tools_in_text: bool) -> ChatModel:
            made = chat_alone(settings, info, details, found.window, tools_in_text)
            closing.push_async_callback(made.aclose)
            return made

        found = await try_model(found, chat, tell)
    records.keep(info, found)
    return found


async def known_record(
    settings: Settings, info: ServerInfo, name: str, records: CapabilityFile
) -> Capabilities | None:
    """Return what was found of a model before, at the window that a run would ask for; None = nothing."""
    server = settings.server
    details = await describe_model(info.url, name, server.connect_timeout_s, info=info, api_key=api_key(server))
    return records.find(info, name, choose_window(settings.models.num_ctx, details.context_length))


def models_of_roles(settings: Settings) -> tuple[str, ...]:
    """Return the models that are set for roles, each once; "" stands for the server's only one."""
    return tuple(dict.fromkeys(settings.models.for_role(role) for role in ROLES))


async def pull_model(
    settings: Settings, name: str, on_progress: Callable[[str, int, int], None], tell: Callable[[str], None]
) -> None:
    """Let the server download a model.

    Args:
        tell: told in one line, before, where this machine will hold the model badly.
        on_progress: called with what goes on, bytes done and bytes in all; 0 of 0 where there is nothing to count.

    Raises:
        ModelUnavailable: no server, it has no such model to offer, or the download broke.
        UsageError: the server gets its models another way; the hint says which.
        Denied: the policy denies the model.
    """
    from ..llm.pull import pull

    check_allowed(settings, name)
    info = await find_server(settings)
    if info.kind != "ollama":
        raise UsageError(
            f"{TITLES[info.kind]} at {info.url} does not download models when asked.",
            hint=f"{get_model_hint(info.kind, name)}.",
        )
    if on_this_machine(info.url) and (notice := fit_notice(name, settings.models, measure_memory())):
        tell(notice)
    server = settings.server
    await pull(info.url, name, on_progress, connect_s=server.connect_timeout_s, stall_s=server.first_token_timeout_s)


def _installed(settings: Settings, info: ServerInfo, name: str, details: ModelDetails | None) -> KnownModel:
    catalog = load_catalog()
    listed, known = info.listing(name), catalog.find(name)
    told = listed.capabilities or (details.capabilities if details else None)
    tools = "tools" in told if told else None
    family = listed.family or (details.family if details else "")
    window = listed.window or (details.context_length if details else None)
    found = lineage(catalog, name, family)
    return KnownModel(
        name=name,
        installed=True,
        role="embed" if name in info.embedders else known.role if known else "chat",
        families=found.families,
        origin=found.origin,
        denied=denied_family(catalog, name, family, settings.models.denied_families),
        catalogued=known is not None,
        size_bytes=listed.size_bytes,
        quantisation=listed.quantisation,
        window=window or (known.context if known else None),
        tools=known.tools if tools is None and known else tools,
    )


def _from_catalog(settings: Settings, name: str, model: CatalogModel) -> KnownModel:
    catalog = load_catalog()
    found = lineage(catalog, name)
    return KnownModel(
        name=name,
        installed=False,
        role=model.role,
        families=found.families,
        origin=found.origin,
        denied=denied_family(catalog, name, "", settings.models.denied_families),
        catalogued=True,
        size_bytes=model.weights_bytes,
        quantisation=model.quantisation,
        window=model.context,
        tools=model.tools,
    )
