"""Reranking of hits by a cross-encoder, which reads query and text together. Off unless the settings name one.

On a CPU it takes longer than all the rest of a search: some 50 ms a text.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from ..core.ports import Reranker
from .embed_folder import read_weights, weights_id
from .embed_torch import keep_offline
from .onnx_model import OnnxModel

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_WINDOW = 512


def order(reranker: Reranker | None, query: str, texts: Sequence[str], top: int) -> list[int]:
    """Return the places of the texts, best first: the first `top` by the reranker's scores, the others as they were.

    Args:
        reranker: None = all stay as they are.
    """
    places = list(range(len(texts)))
    if reranker is None or not query.strip() or len(texts[:top]) < 2:
        return places
    scores = reranker.score(query, texts[:top])
    return [*sorted(places[:top], key=lambda at: (-scores[at], at)), *places[top:]]


class OnnxReranker:
    """A Reranker on onnxruntime.

    Args:
        path: folder as for OnnxEmbedder.
        name: of the model, for the id.
        threads: as for OnnxModel.

    Raises:
        ConfigError: the folder lacks files, which are named.
    """

    def __init__(self, path: Path, name: str, threads: int = 0) -> None:
        weights = read_weights(path, "onnx", _WINDOW)
        self.id = weights_id(name, weights, "rerank")
        self._model = OnnxModel(weights, threads)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query; only their order means anything.

        Raises:
            ConfigError: a library is not installed, or the files cannot be loaded.
        """
        found = [self._model.run(query, text) for text in texts]
        # With two labels, the second is the one that says yes. What it cannot read comes last, in its order.
        return [-math.inf if output is None else float(output.reshape(-1)[-1]) for output in found]


class CrossEncoderReranker:
    """A Reranker on torch.

    Args:
        path: folder as for SentenceTransformerEmbedder.
        device: as torch names it.
        name: of the model, for the id.

    Raises:
        ConfigError: the folder lacks files, which are named.
    """

    def __init__(self, path: Path, device: str, name: str) -> None:
        weights = read_weights(path, "sentence-transformers", _WINDOW)
        self.id = weights_id(name, weights, "rerank")
        self._folder = weights.folder
        self._window = weights.window
        self._device = device
        self._mutex = threading.Lock()
        self._model: CrossEncoder | None = None

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query; only their order means anything.

        Raises:
            ConfigError: the library is not installed, or cannot load the weights.
        """
        if not texts:
            return []
        with self._mutex:
            if self._model is None:
                self._model = self._load()
            found = self._model.predict([(query, text) for text in texts], show_progress_bar=False)
        return [float(score if score.ndim == 0 else score[-1]) for score in found]

    def _load(self) -> CrossEncoder:
        keep_offline()
        try:
            from safetensors import SafetensorError
            from sentence_transformers import CrossEncoder
        except ImportError as err:
            raise ConfigError(
                f"sentence-transformers is to rerank, but {err.name!r} is not installed.",
                hint="Install it with: pip install 'flowloom[e5]', or set rerank.backend to 'none'.",
            ) from err
        try:
            model: CrossEncoder = CrossEncoder(
                str(self._folder), device=self._device, max_length=self._window, local_files_only=True
            )
            return model
        except (OSError, ValueError, RuntimeError, AssertionError, KeyError, SafetensorError) as err:
            reason = (str(err).strip() or type(err).__name__).splitlines()[0]
            raise ConfigError(
                f"the reranking model in {str(self._folder)!r} cannot be loaded on {self._device!r}: {reason}.",
                hint="Check rerank.path and rerank.device, or set rerank.backend to 'none'.",
            ) from err
