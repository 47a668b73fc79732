"""From settings to what computes embeddings and reranks, and the weights for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..configs.dirs import Dirs
from ..configs.model_settings import EmbedSettings
from ..configs.settings import Settings
from ..core.errors import ConfigError, UsageError
from ..core.masking import PLACEHOLDER, SecretMask
from ..core.ports import Embedder, Reranker
from ..retrieval.embed_folder import choose_runtime, origins_of
from ..retrieval.embeddings import EmbeddingModel, Overrides, WeightsKind, find_model, known_model
from .context import AppContext
from .servers import check_allowed

if TYPE_CHECKING:
    import httpx

PULL_HINT = "`flow models pull e5-small` downloads weights"

_SETTING_PATHS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
)
_WEIGHT_PATHS: dict[WeightsKind, tuple[str, ...]] = {
    "int8": ("onnx/model_quantized.onnx",),
    "fp32": ("onnx/model.onnx", "onnx/model.onnx_data"),
    "torch": ("model.safetensors", "sentencepiece.bpe.model"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What computes embeddings.

    Attributes:
        path: of the weights; Path() where there are none of ours.
        url: of the server, "" = none.
        note: why `auto` came to "none" although something is there; "" = nothing is.
    """

    backend: Literal["none", "onnx", "sentence-transformers", "http"]
    path: Path = Path()
    url: str = ""
    note: str = ""


def choose_backend(settings: Settings, dirs: Dirs) -> Choice:
    """Return what the settings come to: `auto` takes the server that is named, else the weights that are there.

    Raises:
        ConfigError: a folder or a server is needed, and is not set or lacks something; or the model is not known.
        Denied: the policy denies the model.
    """
    embed = settings.embed
    if embed.backend == "none":
        return Choice("none")
    if embed.backend != "auto" or embed.url or embed.path:
        check_allowed(settings, embed.model)
    if embed.backend == "http" or (embed.backend == "auto" and embed.url):
        return Choice("http", url=_server_of(settings))
    path = Path(embed.path) if embed.path else weights_folder(dirs, _record(embed))
    if embed.backend == "auto" and not embed.path:
        # Weights that nobody asked for by a setting must not keep a command from working.
        try:
            choose_runtime(path, embed.device)
        except ConfigError as err:
            return Choice("none", note=err.message if path.is_dir() else "")
        check_allowed(settings, embed.model)
    if not embed.path and not path.is_dir():
        raise ConfigError(
            f"no folder with the weights of {embed.model!r} is set, and none is in {str(path)!r}.",
            hint=f"{PULL_HINT}; or set embed.path to a folder, or embed.backend to 'none'.",
        )
    _check_origins(settings, path)
    if embed.backend == "auto":
        return Choice(choose_runtime(path, embed.device), path)
    return Choice("onnx" if embed.backend == "onnx" else "sentence-transformers", path)


def embedder(context: AppContext) -> Embedder | None:
    """Return the configured embedder; None = search by words only. Its libraries are loaded with its first text.

    Raises:
        ConfigError: the folder with the weights is not complete, no server is set, or the model is not known.
        Denied: the policy denies the model.
    """
    return make_embedder(context.settings, choose_backend(context.settings, context.dirs), context.workspace)


def make_embedder(settings: Settings, choice: Choice, workspace: Path | None = None) -> Embedder | None:
    """Return the embedder that was chosen.

    Args:
        workspace: whose secrets no server is sent; None = nothing will be embedded.

    Raises:
        ConfigError: the folder with the weights is not complete, or the model is not known.
    """
    embed = settings.embed
    match choice.backend:
        case "none":
            return None
        case "onnx":
            from ..retrieval.embed_onnx import OnnxEmbedder

            return OnnxEmbedder(choice.path, _record(embed), embed.threads)
        case "sentence-transformers":
            from ..retrieval.embed_torch import SentenceTransformerEmbedder

            return SentenceTransformerEmbedder(choice.path, embed.device, _record(embed))
        case "http":
            from ..retrieval.embed_http import HttpEmbedder

            api = None if embed.api == "auto" else embed.api
            connect, clean = _client(settings, choice.url), _without_secrets(workspace)
            return HttpEmbedder(connect, clean, choice.url, embed.model, _record(embed), api)


def reranker(context: AppContext) -> Reranker | None:
    """Return the configured reranker; None = results stay in their order.

    Raises:
        ConfigError: the folder with the weights is not set or not complete.
        Denied: the policy denies the model.
    """
    settings, rerank = context.settings, context.settings.rerank
    if rerank.backend == "none":
        return None
    if not rerank.path:
        raise ConfigError(
            "no folder with the weights of a reranking model is set.",
            hint="Set rerank.path to one, or rerank.backend to 'none'.",
        )
    path = Path(rerank.path)
    if rerank.model:
        check_allowed(settings, rerank.model)
    _check_origins(settings, path)
    name = rerank.model or path.name
    from ..retrieval.rerank import CrossEncoderReranker, OnnxReranker

    if rerank.backend == "onnx":
        return OnnxReranker(path, name, settings.embed.threads)
    return CrossEncoderReranker(path, rerank.device, name)


def weights_folder(dirs: Dirs, model: EmbeddingModel) -> Path:
    """Return where downloaded weights of a model lie."""
    return dirs.data / "models" / model.name


def hub_model(name: str) -> EmbeddingModel | None:
    """Return the model whose weights a hub has under this name; None = it is not one of ours to download."""
    model = known_model(name)
    if model is None or not model.hub:
        return None
    return model if name in {model.name, model.short, *(repository for _, repository in model.hub)} else None


def pull_weights(
    context: AppContext,
    model: EmbeddingModel,
    kind: WeightsKind,
    env: Mapping[str, str],
    on_progress: Callable[[str, int, int], None],
) -> list[Path]:
    """Download the weights of an embedding model from the hub; return the files.

    Args:
        env: HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to the hub's own tools.
        on_progress: called with the file, and bytes done and in all.

    Raises:
        ModelUnavailable: no way to the hub, or it does not have these weights.
        UsageError: there are none of this kind, or the hub's tools are told to stay offline.
        Denied: the policy denies the model.
    """
    from ..retrieval.hub import DEFAULT_HUB, Hub

    check_allowed(context.settings, model.name)
    repository = model.repository(kind)
    if not repository:
        others = " or ".join(other for other, _ in model.hub)
        raise UsageError(f"there are no {kind} weights of {model.name!r}.", hint=f"Choose --weights {others}.")
    if env.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise UsageError("HF_HUB_OFFLINE says that nothing is to be downloaded.", hint="Unset it for this command.")
    url = context.settings.embed.hub or env.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_HUB
    hub = Hub(url, env.get("HF_TOKEN", ""))
    paths = (*_WEIGHT_PATHS[kind], *_SETTING_PATHS)
    return hub.download(repository, paths, _WEIGHT_PATHS[kind][0], weights_folder(context.dirs, model), on_progress)


def _record(embed: EmbedSettings) -> EmbeddingModel:
    return find_model(embed.model, Overrides(embed.query_prefix, embed.passage_prefix, embed.pooling))


def _server_of(settings: Settings) -> str:
    url = settings.embed.url or settings.server.url
    if not url:
        raise ConfigError(
            "no embedding server is set.",
            hint="Set embed.url to its address: documents and code are sent to no server that nobody named.",
        )
    return url


def _client(settings: Settings, url: str) -> Callable[[], httpx.Client]:
    def connect() -> httpx.Client:
        import httpx

        from ..llm.http_client import http_options

        embed, server = settings.embed, settings.server
        key_env = embed.api_key_env or ("" if embed.url else server.api_key_env)
        key = os.environ.get(key_env, "") if key_env else ""
        timeout = httpx.Timeout(server.first_token_timeout_s, connect=server.connect_timeout_s)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=url, headers=headers, **http_options(url, timeout))

    return connect


def _without_secrets(workspace: Path | None) -> Callable[[str], str]:
    """Return what takes the secrets out of texts, the same each time: a vector belongs to its text, not to a run."""

    @cache
    def mask() -> SecretMask:
        from .secrets import make_mask

        return make_mask(b"", os.environ, *([workspace] if workspace is not None else []))

    # Not even the few figures of a hash, which in a placeholder tell secrets apart.
    return lambda text: PLACEHOLDER.sub("<secret>", mask().mask(text))


def _check_origins(settings: Settings, path: Path) -> None:
    """Check against the policy what the folder says of its weights, whatever name the settings give them.

    Raises:
        Denied: it belongs to a denied family.
    """
    name, architecture = origins_of(path)
    check_allowed(settings, path.name, architecture)
    if name:
        check_allowed(settings, name, architecture)
