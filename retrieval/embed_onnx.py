"""Embeddings by onnxruntime on the CPU, from the hub's ONNX export of a model. torch is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .embed_folder import dimension_of, pooling_of, read_weights, weights_id
from .embeddings import EmbeddingModel
from .onnx_model import OnnxModel

if TYPE_CHECKING:
    from .onnx_model import Array


class OnnxEmbedder:
    """An Embedder on onnxruntime.

    Args:
        path: folder with config.json, tokenizer.json and onnx/model.onnx or onnx/model_quantized.onnx (int8), or one
            .onnx file in it; "~" is the home folder.
        model: which model the weights are.
        threads: as for OnnxModel.

    Raises:
        ConfigError: the folder lacks files, which are named.
    """

    def __init__(self, path: Path, model: EmbeddingModel, threads: int = 0) -> None:
        weights = read_weights(path, "onnx", model.window)
        self._record = model
        self._pooling = pooling_of(weights, model)
        self.dimension = dimension_of(weights)
        prefixes = (model.query_prefix, model.passage_prefix)
        self.id = weights_id(model.name, weights, "onnx", prefixes, self._pooling, self.dimension)
        self._model = OnnxModel(weights, threads)

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a query; [] = the model does not know its script.

        Raises:
            ConfigError: a library is not installed, or the files cannot be loaded.
        """
        return self._embed(self._record.query_prefix + text)

    def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the unit vectors of passages in their order, [] as above; text beyond the window is not seen.

        Raises:
            ConfigError: a library is not installed, or the files cannot be loaded.
        """
        return [self._embed(self._record.passage_prefix + text) for text in texts]

    def _embed(self, text: str) -> list[float]:
        output = self._model.run(text)
        if output is None:
            return []
        vector = self._pool(output)
        length = float((vector @ vector) ** 0.5)
        numbers: list[float] = (vector / length if length else vector).tolist()
        return numbers

    def _pool(self, output: Array) -> Array:
        """Return one vector of the tokens' vectors; a model may have pooled them itself."""
        if output.ndim == 1:
            return output
        match self._pooling:
            case "mean":  # no token is padding
                mean: Array = output.mean(axis=0)
                return mean
            case "cls" | "last":
                token: Array = output[0 if self._pooling == "cls" else -1]
                return token
