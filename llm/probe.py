"""Quick questions to a model server before a run: what is it, what does it have, how long is a model's context."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import httpx

from ..core.errors import ModelNotUsable, ModelUnavailable, ServerBusy
from .ask import NEXT_STEP, Asked, ask, json_object
from .faults import missing_model, raise_busy, unreachable
from .probe_openai import describe_listed, read_openai
from .server_info import ListedModel, ModelDetails, ServerInfo
from .servers import TITLES, USUAL_SERVERS, UsualServer, get_model_hint

LARGEST_DEFAULT_WINDOW = 32768
# Ollama's default for small GPUs is 4096; twice that holds a first request and its answer.
UNKNOWN_MODEL_WINDOW = 8192
# The usual servers are on this machine: one that says nothing for so long is none.
USUAL_TIMEOUT_S = 1.5

Wanted = Literal["auto", "ollama", "openai"]
"""Which API a server must speak; "auto" = either."""


async def probe_server(url: str, timeout_s: float = 2.0, *, wanted: Wanted = "auto", api_key: str = "") -> ServerInfo:
    """Return what runs at the address; takes `timeout_s` at most.

    Raises:
        ModelUnavailable: nothing answers there, or no model server; the message says what was tried and what to do.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _probe(url, timeout_s, wanted, api_key)
    except TimeoutError as err:
        raise unreachable(url, f"no answer within {timeout_s:g} s", hint=NEXT_STEP) from err


async def find_usual_servers(
    timeout_s: float = USUAL_TIMEOUT_S, *, usual: Sequence[UsualServer] = USUAL_SERVERS, wanted: Wanted = "auto"
) -> tuple[list[ServerInfo], list[str]]:
    """Return the servers found at the usual addresses, and why there is none at the others; asked side by side.

    Raises:
        ServerBusy: the only one there is has no time.
    """

    async def one(server: UsualServer) -> ServerInfo | ModelUnavailable:
        try:
            # Without a key: what listens at 8000 or 8080 may be anything of the user's.
            return await probe_server(server.url, timeout_s, wanted=wanted)
        except ModelUnavailable as err:
            return err

    found = await asyncio.gather(*map(one, usual))
    servers = [item for item in found if isinstance(item, ServerInfo)]
    busy = [item for item in found if isinstance(item, ServerBusy)]
    if busy and not servers:
        raise busy[0]
    return servers, [
        f"{TITLES[server.kind]} at {server.url}: {item.message.partition(': ')[2].rstrip('.')}"
        for server, item in zip(usual, found, strict=True)
        if isinstance(item, ModelUnavailable)
    ]


async def describe_model(
    url: str, name: str, timeout_s: float = 5.0, *, info: ServerInfo | None = None, api_key: str = ""
) -> ModelDetails:
    """Return what the server says of a model.

    Args:
        info: what was found at the address; None = an Ollama server.

    Raises:
        ModelUnavailable: the server does not answer, or has no such model.
    """
    if info is not None and info.kind != "ollama":
        return await describe_listed(info, name, timeout_s, api_key)
    (response,) = await ask(url, timeout_s, [Asked("POST", "/api/show", {"model": name})], api_key=api_key)
    shown = _ollama_json(response, url)
    model_info = _object(shown.get("model_info"))
    family = str(model_info.get("general.architecture") or _object(shown.get("details")).get("family") or "")
    length = model_info.get(f"{family}.context_length")
    capabilities = shown.get("capabilities")
    return ModelDetails(
        name=name,
        context_length=length if isinstance(length, int) and length > 0 else None,
        capabilities=frozenset(map(str, capabilities)) if isinstance(capabilities, list) else frozenset(),
        family=family,
        kv_bytes_per_token=_kv_bytes(model_info, family),
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
    raise ModelNotUsable(
        f"the server at {info.url!r} has no model {wanted!r}; it has {_listed(chat)}.",
        model=wanted,
        hint=get_model_hint(info.kind, wanted) + (f", or did you mean `-m {near[0]}`?" if near else "."),
    )


def choose_window(num_ctx: int, context_length: int | None) -> int:
    """Return the window in tokens to ask for.

    Args:
        num_ctx: the setting; 0 = the model's own context, at most 32,768.
        context_length: what the model was made for or the server gives, which is never passed; None = unknown.
    """
    if num_ctx > 0:
        return num_ctx if context_length is None else min(num_ctx, context_length)
    return UNKNOWN_MODEL_WINDOW if context_length is None else min(LARGEST_DEFAULT_WINDOW, context_length)


async def _probe(url: str, timeout_s: float, wanted: Wanted, api_key: str) -> ServerInfo:
    paths = {
        "ollama": ("/api/version", "/api/tags"),
        "openai": ("/v1/models",),
        "auto": ("/api/version", "/api/tags", "/v1/models"),
    }[wanted]
    root = url.removesuffix("/v1")
    asked = [Asked("GET", path) for path in paths]
    answers = dict(zip(paths, await ask(root, timeout_s, asked, api_key=api_key), strict=True))
    for answer in answers.values():
        raise_busy(answer, url)
    if wanted == "ollama":
        return _read_ollama(url, answers)
    if wanted == "auto" and _looks_like_ollama(answers):
        return _read_ollama(url, answers)
    return await read_openai(url, answers["/v1/models"], timeout_s, api_key)


def _looks_like_ollama(answers: Mapping[str, httpx.Response]) -> bool:
    # llama-server answers /api/tags too, LM Studio everything, but neither tells a version.
    return isinstance(json_object(answers["/api/version"]).get("version"), str)


def _read_ollama(url: str, answers: Mapping[str, httpx.Response]) -> ServerInfo:
    shown = _ollama_json(answers["/api/version"], url).get("version")
    listed = _ollama_json(answers["/api/tags"], url).get("models")
    if not isinstance(shown, str) or not isinstance(listed, list):
        raise unreachable(url, "something answers there, but not as Ollama does", hint=NEXT_STEP)
    models = [model for model in listed if isinstance(model, dict) and isinstance(model.get("name"), str)]
    return ServerInfo(
        url=url,
        version=shown,
        models=tuple(str(model["name"]) for model in models),
        embedders=tuple(str(model["name"]) for model in models if _only_embeds(model)),
        listed=tuple(map(_listing, models)),
    )


def _listing(model: Mapping[str, Any]) -> ListedModel:
    details = _object(model.get("details"))
    size = model.get("size")
    return ListedModel(
        name=str(model["name"]),
        family=str(details.get("family") or ""),
        digest=str(model.get("digest") or ""),
        size_bytes=size if isinstance(size, int) and size > 0 else None,
        quantisation=str(details.get("quantization_level") or ""),
    )


def _kv_bytes(info: Mapping[str, Any], family: str) -> int | None:
    """Return what a token of the key-value cache takes in 16 bits; None = a figure is missing."""
    layers, heads, width = (
        _number(info.get(f"{family}.{name}")) for name in ("block_count", "attention.head_count", "embedding_length")
    )
    key, value = (_number(info.get(f"{family}.attention.{name}")) for name in ("key_length", "value_length"))
    if width and heads:
        key, value = key or width // heads, value or width // heads
    told = info.get(f"{family}.attention.head_count_kv")
    # Some models have another number of heads in each layer.
    kv_heads = sum(map(_number, told)) if isinstance(told, list) else _number(told) * layers
    return 2 * kv_heads * (key + value) or None if key and value else None


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _only_model(info: ServerInfo, chat: list[str]) -> str:
    if len(chat) == 1:
        return chat[0]
    if not chat:
        example = ", then for example `ollama pull devstral-small-2:24b`" if info.kind == "ollama" else ""
        raise ModelUnavailable(
            f"the server at {info.url!r} has no chat model.",
            hint=f"See which fit this machine with `flow models recommend`{example}.",
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


def _ollama_json(response: httpx.Response, url: str) -> dict[str, Any]:
    if response.status_code == 404 and "not found" in response.text and response.request.method == "POST":
        raise missing_model(str(json.loads(response.request.content)["model"]), url)
    raise_busy(response, url)
    if response.status_code != 200:
        path = response.request.url.path
        raise unreachable(url, f"it is no Ollama server (HTTP {response.status_code} for {path})", hint=NEXT_STEP)
    try:
        data = response.json()
    except ValueError as err:
        raise unreachable(url, "it is no Ollama server (its answer is no JSON)", hint=NEXT_STEP) from err
    return _object(data)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
