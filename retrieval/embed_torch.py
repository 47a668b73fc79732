"""Embeddings by sentence-transformers on torch, from a folder of weights; nothing is ever fetched from a network."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from .embed_folder import dimension_of, read_weights, weights_id
from .embeddings import EmbeddingModel
from .onnx_model import is_unreadable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BATCH = 32


class SentenceTransformerEmbedder:
    """An Embedder on torch.

    Args:
        path: folder with config.json, a tokenizer and safetensors weights; "~" is the home folder.
        device: as torch names it: "cpu", "cuda", "cuda:1", "mps".
        model: which model the weights are.

    Raises:
        ConfigError: the folder lacks files, which are named.
    """

    def __init__(self, path: Path, device: str, model: EmbeddingModel) -> None:
        weights = read_weights(path, "sentence-transformers", model.window)
        self._model_record = model
        self._path = weights.folder
        self._window = weights.window
        self._device = device
        self.dimension = dimension_of(weights)
        prefixes = (model.query_prefix, model.passage_prefix)
        self.id = weights_id(model.name, weights, "torch", prefixes, self.dimension)
        self._mutex = threading.Lock()
        self._model: SentenceTransformer | None = None

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a query; [] = the model does not know its script.

        Raises:
            ConfigError: the library is not installed, or cannot load the weights.
        """
        return self._encode(self._model_record.query_prefix, [text])[0]

    def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the unit vectors of passages in their order, [] as above; text beyond the window is not seen.

        Raises:
            ConfigError: the library is not installed, or cannot load the weights.
        """
        return self._encode(self._model_record.passage_prefix, texts) if texts else []

    def _encode(self, prefix: str, texts: Sequence[str]) -> list[list[float]]:
        with self._mutex:  # a torch model is not meant for several threads at once
            if self._model is None:
                self._model = _load(self._path, self._device)
                self._model.max_seq_length = self._window
            readable = [text for text in texts if not self._is_unreadable(self._model, prefix + text)]
            if not readable:
                return [[] for _ in texts]
            vectors = self._model.encode(
                readable, prompt=prefix, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
            )
        found = {text: [float(number) for number in vector] for text, vector in zip(readable, vectors, strict=True)}
        return [found.get(text, []) for text in texts]

    def _is_unreadable(self, model: SentenceTransformer, text: str) -> bool:
        tokenizer = model.tokenizer
        ids = tokenizer(text, truncation=True, max_length=self._window)["input_ids"]
        return is_unreadable(ids, tokenizer.unk_token_id)


def keep_offline() -> None:
    """Keep the hub's libraries off the network; to be called before they are imported.

    Without it a wrong path turns into a question to a network.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def _load(path: Path, device: str) -> SentenceTransformer:
    keep_offline()
    try:
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer
    except ImportError as err:
        raise ConfigError(
            f"sentence-transformers is to compute embeddings, but {err.name!r} is not installed.",
            hint="Install it with: pip install 'flowloom[e5]'; or use the model's ONNX file, or set embed.backend to "
            "'none'.",
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
