"""Quick questions to a model server before a run: is it there, what does it have, how long is a model's context."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import httpx

from ..core.errors import ModelUnavailable
from .faults import check_url, connect_reason, missing_model, unreachable
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
    version, tags = await _ask(url, timeout_s, ("GET", "/api/version", None), ("GET", "/api/tags", None))
    shown, listed = version.get("version"), tags.get("models")
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
    (shown,) = await _ask(url, timeout_s, ("POST", "/api/show", {"model": name}))
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


async def _ask(url: str, timeout_s: float, *requests: tuple[str, str, dict[str, str] | None]) -> list[Any]:
    """Return the JSON objects answered to (method, path, body), asked side by side; all within `timeout_s`."""
    host, port = check_url(url)
    try:
        async with asyncio.timeout(timeout_s):
            await _resolve(host, port)
            async with httpx.AsyncClient(base_url=url, **http_options(url, httpx.Timeout(timeout_s))) as http:
                asked = [http.request(method, path, json=body) for method, path, body in requests]
                responses = await asyncio.gather(*asked)
    except (TimeoutError, httpx.TimeoutException) as err:
        raise unreachable(url, f"no answer within {timeout_s:g} s", hint=_NEXT_STEP) from err
    except httpx.ConnectError as err:
        raise unreachable(url, connect_reason(err), hint=_NEXT_STEP) from err
    except OSError as err:
        raise unreachable(url, "its host name is not known", hint=_NEXT_STEP) from err
    except httpx.HTTPError as err:
        raise unreachable(url, f"it does not speak HTTP ({type(err).__name__})", hint=_NEXT_STEP) from err
    return [_json(response, url) for response in responses]


async def _resolve(host: str, port: int | None) -> None:
    """Look the host name up in a thread that nobody waits for.

    The event loop's own look-up runs in a thread that is joined when the loop ends, so a name server that does not
    answer would hold the command for seconds after the time limit.

    Raises:
        OSError: the name is not known.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: OSError | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def look_up() -> None:
        error: OSError | None = None
        try:
            socket.getaddrinfo(host, port)
        except OSError as err:
            error = err
        except UnicodeError as err:
            error = OSError(str(err))  # a label too long or empty
        # The loop may have ended meanwhile, after the time limit.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=look_up, daemon=True).start()
    await done


def _json(response: httpx.Response, url: str) -> dict[str, Any]:
    if response.status_code == 404 and "not found" in response.text and response.request.method == "POST":
        raise missing_model(str(json.loads(response.request.content)["model"]), url)
    if response.status_code != 200:
        path = response.request.url.path
        raise unreachable(url, f"it is no Ollama server (HTTP {response.status_code} for {path})", hint=_NEXT_STEP)
    try:
        data = response.json()
    except ValueError as err:
        raise unreachable(url, "it is no Ollama server (its answer is no JSON)", hint=_NEXT_STEP) from err
    return _object(data)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
