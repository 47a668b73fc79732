"""Telling OpenAI-compatible servers apart, and what each says of its models: llama-server, vLLM, LM Studio."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from .ask import NEXT_STEP, Asked, ask, json_object
from .faults import missing_model, unreachable
from .roles import RoleGrammar
from .server_info import ListedModel, ModelDetails, ServerInfo

_TELLING = ("/props", "/version", "/api/v0/models")


async def read_openai(url: str, models: httpx.Response, timeout_s: float, api_key: str) -> ServerInfo:
    """Return what runs at the address, from its answer to /v1/models and to what only one kind of server knows.

    Raises:
        ModelUnavailable: it is no model server, or the questions are not answered in time.
    """
    if models.status_code in (401, 403):
        hint = "Name the environment variable that holds its key in the setting server.api_key_env."
        raise unreachable(url, f"it refuses access (HTTP {models.status_code})", hint=hint)
    data = json_object(models).get("data")
    if not isinstance(data, list):
        reason = f"something answers there, but no model server (HTTP {models.status_code} for /v1/models)"
        raise unreachable(url, reason, hint=NEXT_STEP)
    names = [item for item in data if isinstance(item, dict) and isinstance(item.get("id"), str)]
    info = ServerInfo(url, "", tuple(str(item["id"]) for item in names), kind="openai", listed=_plain(names))
    asked = [Asked("GET", path) for path in _TELLING]
    props, version, lm_studio = await ask(url.removesuffix("/v1"), timeout_s, asked, api_key=api_key)
    if found := json_object(props).get("default_generation_settings"):
        return _llama_server(info, json_object(props), found)
    if isinstance(listed := json_object(lm_studio).get("data"), list):
        return _lm_studio(info, listed)
    told = json_object(version).get("version")
    return _vllm(info, names, told) if isinstance(told, str) else info


async def describe_listed(info: ServerInfo, name: str, timeout_s: float, api_key: str) -> ModelDetails:
    """Return what the listing says of a model.

    Args:
        timeout_s, api_key: for llama-server with several models, which tells a window only when asked for that one.

    Raises:
        ModelUnavailable: the server has no such model, or does not answer any more.
    """
    if name not in info.models:
        raise missing_model(name, info.url, info.kind)
    listed = info.listing(name)
    if info.kind == "llama.cpp" and listed.window is None:
        listed = await _routed(info, listed, timeout_s, api_key)
    return ModelDetails(
        name=name,
        context_length=listed.window,
        capabilities=listed.capabilities or frozenset(),
        family=listed.family,
        grammar=listed.grammar,
    )


async def count_tokens(info: ServerInfo, model: str, text: str, timeout_s: float, api_key: str) -> int | None:
    """Return the tokens of a text as the model's own tokenizer counts them; None = the server does not tell.

    Raises:
        ModelUnavailable: the server does not answer any more.
    """
    if info.kind not in ("llama.cpp", "vllm"):
        return None
    body = {"model": model, "prompt": text} if info.kind == "vllm" else {"content": text, "add_special": False}
    asked = [Asked("POST", "/tokenize", body)]
    (response,) = await ask(info.url.removesuffix("/v1"), timeout_s, asked, api_key=api_key)
    tokens, count = json_object(response).get("tokens"), json_object(response).get("count")
    if isinstance(count, int):
        return count
    return len(tokens) if isinstance(tokens, list) else None


def _plain(items: list[dict[str, Any]]) -> tuple[ListedModel, ...]:
    return tuple(ListedModel(str(item["id"]), digest=str(item.get("root") or "")) for item in items)


def _llama_server(info: ServerInfo, props: dict[str, Any], settings: Any) -> ServerInfo:
    listed = tuple(_with_props(model, props, settings) for model in info.listed)
    return replace(info, kind="llama.cpp", version=str(props.get("build_info") or ""), listed=listed)


def _with_props(model: ListedModel, props: dict[str, Any], settings: Any) -> ListedModel:
    caps = props.get("chat_template_caps")
    capabilities: frozenset[str] | None = None
    grammar: RoleGrammar = ""
    if isinstance(caps, dict) and caps:
        tools = caps.get("supports_tools") or caps.get("supports_tool_calls")
        capabilities = frozenset({"completion", "tools"} if tools else {"completion"})
        grammar = "llama" if tools and caps.get("supports_parallel_tool_calls") is False else ""
    window = _positive(settings.get("n_ctx")) if isinstance(settings, dict) else None
    digest = str(props.get("model_path") or "")
    return replace(model, window=window, capabilities=capabilities, grammar=grammar, digest=digest)


async def _routed(info: ServerInfo, model: ListedModel, timeout_s: float, api_key: str) -> ListedModel:
    asked = [Asked("GET", f"/props?model={model.name}")]
    (response,) = await ask(info.url.removesuffix("/v1"), timeout_s, asked, api_key=api_key)
    props = json_object(response)
    return _with_props(model, props, props.get("default_generation_settings"))


def _lm_studio(info: ServerInfo, listed: list[Any]) -> ServerInfo:
    items = {str(item.get("id")): item for item in listed if isinstance(item, dict)}
    models = tuple(_lm_studio_model(model, items.get(model.name, {})) for model in info.listed)
    embedders = tuple(name for name in info.models if items.get(name, {}).get("type") == "embeddings")
    return replace(info, kind="lmstudio", listed=models, embedders=embedders)


def _lm_studio_model(model: ListedModel, item: dict[str, Any]) -> ListedModel:
    told = item.get("capabilities")
    tools = (
        frozenset({"completion", "tools"} if "tool_use" in told else {"completion"})
        if isinstance(told, list)
        else None
    )
    return replace(
        model,
        family=str(item.get("arch") or ""),
        quantisation=str(item.get("quantization") or ""),
        # What it was made for says nothing here: LM Studio loads a model with the window of its own settings.
        window=_positive(item.get("loaded_context_length")) if item.get("state") == "loaded" else None,
        capabilities=tools,
    )


def _vllm(info: ServerInfo, items: list[dict[str, Any]], version: str) -> ServerInfo:
    windows = {str(item["id"]): _positive(item.get("max_model_len")) for item in items}
    listed = tuple(replace(model, window=windows.get(model.name)) for model in info.listed)
    return replace(info, kind="vllm", version=version, listed=listed)


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
