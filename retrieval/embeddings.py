"""Embeddings with sentence-transformers from a local folder of weights. Built by app/ when embed.backend says so.

The library is loaded on the first text, never when an embedder is made; nothing is ever fetched from a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SAMPLE_BYTES = 1 << 20
_BATCH = 32


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """What a model was trained to be given: text before a query and before a passage, and its pooling."""

    name: str
    query_prefix: str
    passage_prefix: str
    pooling: str = "mean"


_INSTRUCTION = "Instruct: Given a question or a task, retrieve the passages that help with it\nQuery: "
_MODELS = (
    EmbeddingModel("multilingual-e5-small", "query: ", "passage: "),
    EmbeddingModel("multilingual-e5-base", "query: ", "passage: "),
    EmbeddingModel("multilingual-e5-large", "query: ", "passage: "),
    EmbeddingModel("multilingual-e5-large-instruct", _INSTRUCTION, ""),
)


def find_model(name: str) -> EmbeddingModel:
    """Return the record of a model; an owner in front of the name ("intfloat/...") does not matter.

    Raises:
        ConfigError: the model has no record, so its prefixes are not known.
    """
    wanted = name.rsplit("/", 1)[-1].lower()
    for model in _MODELS:
        if model.name == wanted:
            return model
    known = ", ".join(model.name for model in _MODELS)
    raise ConfigError(f"the embedding model {name!r} is not known.", hint=f"Set embed.model to one of: {known}.")


class SentenceTransformerEmbedder:
    """An Embedder on torch.

    Args:
        path: folder with config.json, a tokenizer and safetensors weights; "~" is the home folder.
        device: as torch names it: "cpu", "cuda", "cuda:1", "mps".
        model_name: which model the weights are.

    Raises:
        ConfigError: the folder lacks files (they are named), or the model is not known.
    """

    def __init__(self, path: Path, device: str, model_name: str) -> None:
        self._record = find_model(model_name)
        path = path.expanduser()
        _check_folder(path)
        self._path = path
        self._device = device
        self.dimension = _read_dimension(path)
        self.id = _make_id(path, self._record, self.dimension)
        self._mutex = threading.Lock()
        self._model: SentenceTransformer | None = None

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a query.

        Raises:
            ConfigError: the library is not installed, or cannot load the weights.
        """
        return self._encode(self._record.query_prefix, [text])[0]

    def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the unit vectors of passages in their order; text beyond the model's window is not seen by it.

        Raises:
            ConfigError: the library is not installed, or cannot load the weights.
        """
        return self._encode(self._record.passage_prefix, texts) if texts else []

    def _encode(self, prefix: str, texts: Sequence[str]) -> list[list[float]]:
        with self._mutex:  # a torch model is not meant for several threads at once
            if self._model is None:
                self._model = _load(self._path, self._device)
            vectors = self._model.encode(
                list(texts), prompt=prefix, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
            )
        return [[float(number) for number in vector] for vector in vectors]


def _load(path: Path, device: str) -> SentenceTransformer:
    # Read by the libraries when they are imported: without them a wrong path turns into a question to a network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer
    except ImportError as err:
        raise ConfigError(
            f"embed.backend is 'sentence-transformers', but {err.name!r} is not installed.",
            hint="Install it with: pip install 'flowloom[e5]', or set embed.backend to 'none'.",
        ) from err
    try:
        return SentenceTransformer(str(path), device=device, local_files_only=True)
    # A device that this torch was not built for is an AssertionError.
    except (OSError, ValueError, RuntimeError, AssertionError, KeyError, SafetensorError) as err:
        reason = (str(err).strip() or type(err).__name__).splitlines()[0]
        raise ConfigError(
            f"the embedding model in {str(path)!r} cannot be loaded on {device!r}: {reason}.",
            hint="Check embed.path and embed.device, or set embed.backend to 'none'.",
        ) from err


def _check_folder(path: Path) -> None:
    if path == Path():
        raise ConfigError(
            "no folder of embedding weights is set.", hint="Set embed.path to one, or embed.backend to 'none'."
        )
    if not path.is_dir():
        raise ConfigError(
            f"the folder of embedding weights {str(path)!r} does not exist.",
            hint="Set embed.path to the folder that holds them, or embed.backend to 'none'.",
        )
    needed = [
        ("config.json",),
        ("tokenizer.json", "sentencepiece.bpe.model"),
        ("model.safetensors", "model.safetensors.index.json"),
    ]
    missing = [" or ".join(names) for names in needed if not any((path / name).is_file() for name in names)]
    if missing:
        raise ConfigError(
            f"the folder of embedding weights {str(path)!r} lacks {', '.join(missing)}.",
            hint="Copy the model's whole folder there, or set embed.backend to 'none'.",
        )


def _read_dimension(path: Path) -> int:
    try:
        dimension = json.loads((path / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    except (ValueError, KeyError, TypeError) as err:
        raise ConfigError(
            f"{str(path / 'config.json')!r} does not name a hidden_size.",
            hint="Copy the model's own config.json there.",
        ) from err
    return int(dimension)


def _make_id(path: Path, model: EmbeddingModel, dimension: int) -> str:
    """Return an id that changes with the weights, the prefixes and the pooling.

    Of a weights file its size and its first and last megabyte are looked at: to read 2 GB takes seconds, and two
    trainings of one model differ everywhere.
    """
    digest = hashlib.sha256(repr((model, dimension)).encode())
    for name in ("config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        if (path / name).is_file():
            digest.update((path / name).read_bytes())
    for weights in sorted(path.glob("*.safetensors")):
        size = weights.stat().st_size
        digest.update(f"{weights.name} {size}".encode())
        with open(weights, "rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            file.seek(max(size - _SAMPLE_BYTES, 0))
            digest.update(file.read(_SAMPLE_BYTES))
    return f"{model.name}-{digest.hexdigest()[:16]}"
