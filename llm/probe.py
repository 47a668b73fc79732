"""Quick questions to a model server before a run: is it there, what does it have, how long is a model's context."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..core.errors import ModelUnavailable
from .faults import connect_reason, missing_model, unreachable
from .ollama import http_options

LARGEST_DEFAULT_WINDOW = 32768
# Ollama's default for small GPUs is 4096; twice that holds a first request and its answer.
UNKNOWN_MODEL_WINDOW = 8192

_NEXT_STEP = (
    "Start it with `ollama serve`, name another server with `-c server.url=URL`, "
    "or see `flow demo`, which needs no model."
)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that answered.

    Attributes:
        models: names with their tags, as the server lists them.
        embedders: those of them that only embed, as far as the listing tells.
    """

    url: str
    version: str
    models: tuple[str, ...]
    embedders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """What a server says of one model.

    Attributes:
        context_length: tokens the model was made for; None = not said.
        capabilities: such as "completion", "tools", "thinking"; empty = not said (an old server).
        family: architecture, "" = not said.
    """

    name: str
    context_length: int | None
    capabilities: frozenset[str]
    family: str


async def probe_server(url: str, timeout_s: float = 2.0) -> ServerInfo:
    """Return what runs at the address; takes `timeout_s` at most.

    Raises:
        ModelUnavailable: nothing answers there, or no Ollama; the message says what was tried and what to do.
    """
    async with _client(url, timeout_s) as http:
        async with _explained(url, timeout_s):
            await _resolve(url)
            version, tags = await asyncio.gather(http.get("/api/version"), http.get("/api/tags"))
    shown = _json(version, url).get("version")
    listed = _json(tags, url).get("models")
    if not isinstance(shown, str) or not isinstance(listed, list):
        raise unreachable(url, "something answers there, but not as Ollama does", hint=_NEXT_STEP)
    models = [model for model in listed if isinstance(model, dict) and isinstance(model.get("name"), str)]
    names = tuple(str(model["name"]) for model in models)
    return ServerInfo(url, shown, names, tuple(str(model["name"]) for model in models if _only_embeds(model)))


async def describe_model(url: str, name: str, timeout_s: float = 5.0) -> ModelDetails:
    """Return what the server says of a model.

    Raises:
        ModelUnavailable: the server does not answer, or has no such model.
    """
    async with _client(url, timeout_s) as http:
        async with _explained(url, timeout_s):
            await _resolve(url)
            response = await http.post("/api/show", json={"model": name})
    if response.status_code == 404 and "model" in response.text:
        raise missing_model(name, url)
    shown = _json(response, url)
    info = _object(shown.get("model_info"))
    family = str(info.get("general.architecture") or _object(shown.get("details")).get("family") or "")
    length = info.get(f"{family}.context_length")
    capabilities = shown.get("capabilities")
    return ModelDetails(
        name=name,
        context_length=length if isinstance(length, int) and length > 0 else None,
        capabilities=frozenset(map(str, capabilities)) if isinstance(capabilities, list) else frozenset(),
        family=family,
    )


def choose_model(info: ServerInfo, wanted: str) -> str:
    """Return the server's own name of the wanted model; "" wanted = its only chat model.

    A name without a tag means ":latest", or the only tag the server has of it.

    Raises:
        ModelUnavailable: it is not there, or more than one could be meant; the message lists what the server has.
    """
    chat = [name for name in info.models if name not in info.embedders]
    if not wanted:
        return _only_model(info, chat)
    if wanted in info.models:
        return wanted
    if f"{wanted}:latest" in info.models:
        return f"{wanted}:latest"
    tags = [name for name in info.models if name.rpartition(":")[0] == wanted]
    if len(tags) == 1:
        return tags[0]
    if tags:
        raise ModelUnavailable(
            f"the server at {info.url!r} has several models {wanted!r}: {', '.join(tags)}.",
            hint="Name one with its tag: `-m NAME:TAG`.",
        )
    near = get_close_matches(wanted, info.models, n=1)
    raise ModelUnavailable(
        f"the server at {info.url!r} has no model {wanted!r}; it has {_listed(chat)}.",
        hint=f"Get it with `ollama pull {wanted}`" + (f", or did you mean `-m {near[0]}`?" if near else "."),
    )


def choose_window(num_ctx: int, context_length: int | None) -> int:
    """Return the window in tokens to ask for.

    Args:
        num_ctx: the setting; 0 = the model's own context, at most 32,768.
        context_length: what the model was made for, which is never passed; None = unknown.
    """
    if num_ctx > 0:
        return num_ctx if context_length is None else min(num_ctx, context_length)
    return UNKNOWN_MODEL_WINDOW if context_length is None else min(LARGEST_DEFAULT_WINDOW, context_length)


def _only_model(info: ServerInfo, chat: list[str]) -> str:
    if len(chat) == 1:
        return chat[0]
    if not chat:
        raise ModelUnavailable(
            f"the server at {info.url!r} has no chat model.", hint="Get one, for example `ollama pull devstral`."
        )
    raise ModelUnavailable(
        f"the server at {info.url!r} has several models: {_listed(chat)}.",
        hint="Name one with `-m NAME`, or for good with the setting models.main.",
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "none"


def _only_embeds(model: dict[str, Any]) -> bool:
    capabilities = model.get("capabilities")
    if isinstance(capabilities, list) and capabilities:
        return "completion" not in capabilities
    # Most servers list no capabilities; every embedding model of Ollama's library is a BERT or says "embed".
    family = str(_object(model.get("details")).get("family") or "")
    return "bert" in family or "embed" in str(model["name"])


def _client(url: str, timeout_s: float) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, **http_options(url, httpx.Timeout(timeout_s)))


class _explained:
    """Bounds a block in time and turns what httpx raises in it into the error for a person."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._limit = asyncio.timeout(timeout_s)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
