"""A folder with the weights of an embedding or a reranking model, looked at without any library of models.

It is laid out as the hub's repositories are: config.json, the tokenizer, `model.safetensors`, `onnx/model*.onnx`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ..core.errors import ConfigError
from .embeddings import EmbeddingModel, Pooling

Runtime = Literal["onnx", "sentence-transformers"]

_SAMPLE_BYTES = 1 << 20
_OFF = "or set embed.backend to 'none'"
# Of several, the first that is there: the smallest and fastest on a CPU.
_ONNX_FILES = (
    "onnx/model_quantized.onnx",
    "onnx/model_int8.onnx",
    "onnx/model.onnx",
    "model_quantized.onnx",
    "model.onnx",
)
_TORCH_FILES = ("model.safetensors", "model.safetensors.index.json")
_SETTING_FILES = (
    "config.json",
    "tokenizer.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
)


@dataclass(frozen=True, slots=True)
class Weights:
    """What a folder holds.

    Attributes:
        file: the weights themselves, or the index of their parts.
        config: content of config.json.
        window: tokens of one text, special ones included.
    """

    folder: Path
    file: Path
    config: dict[str, Any]
    window: int

    @property
    def pad_id(self) -> int:
        """The token that fills up shorter texts."""
        return int(self.config.get("pad_token_id") or 0)


def choose_runtime(path: Path, device: str) -> Runtime:
    """Return what can run the weights of a folder: onnxruntime on a CPU where there is an ONNX file, else torch.

    Raises:
        ConfigError: there is no folder, or no weights in it.
    """
    folder = _folder(path)
    onnx, torch = _first(folder, _ONNX_FILES, path), _first(folder, _TORCH_FILES)
    if onnx and (device == "cpu" or not torch):
        return "onnx"
    if torch:
        return "sentence-transformers"
    raise _lacks(folder, [f"{_ONNX_FILES[2]} or {_TORCH_FILES[0]}"])


def read_weights(path: Path, runtime: Runtime, window: int) -> Weights:
    """Return what a folder holds for one runtime.

    Args:
        path: the folder, or one .onnx file in it; "~" is the home folder.
        window: tokens that the model was made for; the folder's own settings can only lower it.

    Raises:
        ConfigError: there is no folder, or it lacks files, which are named.
    """
    folder = _folder(path)
    onnx = runtime == "onnx"
    file = _first(folder, _ONNX_FILES, path) if onnx else _first(folder, _TORCH_FILES)
    tokenizer = ("tokenizer.json",) if onnx else ("tokenizer.json", "sentencepiece.bpe.model")
    needed = [("config.json",), tokenizer]
    missing = [" or ".join(names) for names in needed if not _first(folder, names)]
    if file is None:
        missing.append("onnx/model.onnx" if onnx else " or ".join(_TORCH_FILES))
    if missing or file is None:
        raise _lacks(folder, missing)
    config = _read_json(folder / "config.json")
    return Weights(folder, file, config, _window(folder, config, window))


def dimension_of(weights: Weights) -> int:
    """Return how many numbers a vector has.

    Raises:
        ConfigError: config.json does not say.
    """
    size = weights.config.get("hidden_size")
    if not isinstance(size, int):
        raise ConfigError(
            f"{str(weights.folder / 'config.json')!r} does not name a hidden_size.",
            hint="Copy the model's own config.json there.",
        )
    return size


def pooling_of(weights: Weights, model: EmbeddingModel) -> Pooling:
    """Return how token vectors become one: as the folder says, else as the record does."""
    said = _read_json(weights.folder / "1_Pooling" / "config.json")
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    named = str(said.get("pooling_mode", "")).removesuffix("token").rstrip("_")
    if named in get_args(Pooling):
        return cast(Pooling, named)
    return next((cast(Pooling, mode) for mode, key in modes.items() if said.get(key)), model.pooling)


def origins_of(path: Path) -> tuple[str, str]:
    """Return the name that config.json gives a model, and its architecture ("xlm-roberta"); "" = it says nothing."""
    folder = path.expanduser()
    config = _read_json((folder if folder.suffix != ".onnx" else _above(folder)) / "config.json")
    return str(config.get("_name_or_path") or ""), str(config.get("model_type") or "")


def weights_id(name: str, weights: Weights, *facts: object) -> str:
    """Return an id that changes with the weights and with all else that a vector depends on.

    Of a weights file its size and its first and last megabyte are looked at: to read 2 GB takes seconds, and two
    trainings of one model differ everywhere.
    """
    digest = hashlib.sha256(repr((facts, weights.window)).encode())
    for each in _SETTING_FILES:
        if (weights.folder / each).is_file():
            digest.update((weights.folder / each).read_bytes())
    for file in sorted(weights.file.parent.glob(_parts(weights.file))):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with open(file, "rb") as opened:
            digest.update(opened.read(_SAMPLE_BYTES))
            opened.seek(max(size - _SAMPLE_BYTES, 0))
            digest.update(opened.read(_SAMPLE_BYTES))
    return f"{name}-{digest.hexdigest()[:16]}"


def _parts(file: Path) -> str:
    """Return a pattern of all files that the weights are in: beyond 2 GB, an ONNX file has others beside it."""
    return f"{file.name}*" if file.suffix == ".onnx" else "*.safetensors"


def _folder(path: Path) -> Path:
    if path == Path():
        raise ConfigError("no folder of embedding weights is set.", hint=f"Set embed.path to one, {_OFF}.")
    path = path.expanduser()
    folder = _above(path) if path.suffix == ".onnx" and path.is_file() else path
    if not folder.is_dir():
        raise ConfigError(
            f"the folder of embedding weights {str(path)!r} does not exist.",
            hint=f"Set embed.path to the folder that holds them, {_OFF}.",
        )
    return folder


def _above(file: Path) -> Path:
    return file.parent.parent if file.parent.name == "onnx" else file.parent


def _first(folder: Path, names: tuple[str, ...], path: Path | None = None) -> Path | None:
    chosen = path.expanduser() if path is not None else None
    if chosen is not None and chosen.suffix == ".onnx" and chosen.is_file():
        return chosen
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _lacks(folder: Path, missing: list[str]) -> ConfigError:
    return ConfigError(
        f"the folder of embedding weights {str(folder)!r} lacks {', '.join(missing)}.",
        hint=f"Copy the model's whole folder there (`flow models pull e5-small` downloads one), {_OFF}.",
    )


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; {} when there is no file, or something else in it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _window(folder: Path, config: dict[str, Any], window: int) -> int:
    """Return the tokens of a text: the least of what record, model and folder say."""
    said = [window, _read_json(folder / "sentence_bert_config.json").get("max_seq_length")]
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int):
        # RoBERTa counts positions from behind the padding token's.
        roberta = "roberta" in str(config.get("model_type", ""))
        said.append(positions - (int(config.get("pad_token_id") or 0) + 1 if roberta else 0))
    return min(number for number in said if isinstance(number, int) and number > 0)
