"""What `flow models` knows: the server's models beside the catalogue, a model's record, and getting a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..configs.catalog import CatalogModel, load_catalog
from ..configs.model_settings import ROLES
from ..configs.settings import Settings
from ..core.errors import UsageError
from ..llm.capabilities import Capabilities, CapabilityFile
from ..llm.policy import denied_family, lineage
from ..llm.probe import choose_window, describe_model
from ..llm.server_info import ServerInfo
from ..llm.servers import TITLES, get_model_hint
from .models import role_grammar
from .servers import api_key, check_allowed, choose_allowed, find_server, patience


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
    shown = [_installed(settings, info, name) for name in info.models]
    for name, model in catalog.models.items():
        if not any(tag in info.models for tag in (name, *model.aliases)):
            shown.append(_from_catalog(settings, name, model))
    return info, shown


async def check_model(settings: Settings, records: CapabilityFile, wanted: str) -> Capabilities:
    """Return what a model is found to do now, its speeds measured; kept for runs.

    Args:
        wanted: a name as for `-m`; "" = that of the main role.

    Raises:
        FlowError: the server or the model does not work, or the policy denies it.
    """
    from ..llm.preflight import measure_speed, preflight

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
    found = await preflight(info, details, window, **shared)
    found = await measure_speed(info, found, **shared)
    records.keep(info, found)
    return found


def models_of_roles(settings: Settings) -> tuple[str, ...]:
    """Return the models that are set for roles, each once; "" stands for the server's only one."""
    return tuple(dict.fromkeys(settings.models.for_role(role) for role in ROLES))


async def pull_model(settings: Settings, name: str, on_progress: Callable[[str, int, int], None]) -> None:
    """Let the server download a model.

    Args:
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
    server = settings.server
    await pull(info.url, name, on_progress, connect_s=server.connect_timeout_s, stall_s=server.first_token_timeout_s)


def _installed(settings: Settings, info: ServerInfo, name: str) -> KnownModel:
    catalog = load_catalog()
    listed, known = info.listing(name), catalog.find(name)
    found = lineage(catalog, name, listed.family)
    tools = "tools" in listed.capabilities if listed.capabilities is not None else None
    return KnownModel(
        name=name,
        installed=True,
        role="embed" if name in info.embedders else known.role if known else "chat",
        families=found.families,
        origin=found.origin,
        denied=denied_family(catalog, name, listed.family, settings.models.denied_families),
        catalogued=known is not None,
        size_bytes=listed.size_bytes,
        quantisation=listed.quantisation,
        window=listed.window or (known.context if known else None),
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
