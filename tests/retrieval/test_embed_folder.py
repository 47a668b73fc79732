from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowloom.core.errors import ConfigError
from flowloom.retrieval.embed_folder import (
    Runtime,
    choose_runtime,
    dimension_of,
    origins_of,
    pooling_of,
    read_weights,
    weights_id,
)
from flowloom.retrieval.embeddings import find_model

FILES = ("config.json", "tokenizer.json", "onnx/model.onnx", "model.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "e5" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (tmp_path / "e5" / "config.json").write_text(json.dumps({"hidden_size": 384}))
    return tmp_path / "e5"


@pytest.mark.parametrize(
    ("gone", "runtime", "told"),
    [
        (("config.json",), "onnx", "lacks config.json."),
        (("tokenizer.json",), "onnx", "lacks tokenizer.json."),
        (("onnx/model.onnx",), "onnx", "lacks onnx/model.onnx."),
        (("config.json",), "sentence-transformers", "lacks config.json."),
        (("tokenizer.json",), "sentence-transformers", "lacks tokenizer.json or sentencepiece.bpe.model."),
        (("model.safetensors",), "sentence-transformers", "lacks model.safetensors or model.safetensors.index.json."),
        (("config.json", "tokenizer.json"), "onnx", "lacks config.json, tokenizer.json."),
    ],
)
def test_missing_files_are_named(folder: Path, gone: tuple[str, ...], runtime: Runtime, told: str) -> None:
    for name in gone:
        (folder / name).unlink()
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")) as caught:
        read_weights(folder, runtime, 512)
    assert "flow models pull" in caught.value.hint


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_weights(tmp_path / "nowhere", "onnx", 512)
    with pytest.raises(ConfigError, match="no folder of embedding weights is set"):
        read_weights(Path(""), "onnx", 512)


@pytest.mark.parametrize(
    ("gone", "device", "chosen"),
    [
        ("", "cpu", "onnx"),
        ("", "cuda", "sentence-transformers"),
        ("onnx/model.onnx", "cpu", "sentence-transformers"),
        ("model.safetensors", "cuda", "onnx"),
    ],
)
def test_the_runtime_follows_from_the_files_and_the_device(folder: Path, gone: str, device: str, chosen: str) -> None:
    if gone:
        (folder / gone).unlink()
    assert choose_runtime(folder, device) == chosen


def test_a_folder_without_weights_has_no_runtime(folder: Path) -> None:
    (folder / "onnx/model.onnx").unlink()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"lacks onnx/model\.onnx or model\.safetensors"):
        choose_runtime(folder, "cpu")


@pytest.mark.parametrize(
    ("config", "said", "window"),
    [
        ({}, {}, 512),
        ({"model_type": "bert", "max_position_embeddings": 256, "pad_token_id": 0}, {}, 256),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, {}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 130, "pad_token_id": 1}, {}, 128),
        ({}, {"max_seq_length": 128}, 128),
        ({}, {"max_seq_length": None}, 512),
        ({"max_position_embeddings": 8192}, {"max_seq_length": 8192}, 512),
    ],
)
def test_the_window_is_the_least_that_anything_says(
    folder: Path, config: dict[str, object], said: dict[str, object], window: int
) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "sentence_bert_config.json").write_text(json.dumps(said))
    assert read_weights(folder, "onnx", 512).window == window


def test_a_config_without_a_dimension_is_told(folder: Path) -> None:
    (folder / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match="does not name a hidden_size"):
        dimension_of(read_weights(folder, "onnx", 512))


@pytest.mark.parametrize(
    ("said", "pooling"),
    [
        ({}, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
    ],
)
def test_the_folder_says_how_tokens_are_pooled_else_the_record(
    folder: Path, said: dict[str, object], pooling: str
) -> None:
    if said:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))
    assert pooling_of(read_weights(folder, "onnx", 512), find_model("e5-small")) == pooling


def test_the_id_changes_with_the_weights_and_their_settings(folder: Path) -> None:
    def make_id(*facts: str) -> str:
        return weights_id("e5", read_weights(folder, "sentence-transformers", 512), *facts)

    ids = [make_id(), make_id("query: ")]
    (folder / "modules.json").write_text("[]")
    ids.append(make_id())
    (folder / "model.safetensors").write_text("WEIGHTS")
    ids.append(make_id())
    assert len(set(ids)) == 4
    assert make_id() == ids[-1]


def test_parts_of_an_onnx_file_count(folder: Path) -> None:
    first = weights_id("e5", read_weights(folder, "onnx", 512))
    (folder / "onnx" / "model.onnx_data").write_text("weights")
    assert weights_id("e5", read_weights(folder, "onnx", 512)) != first


def test_config_tells_where_a_model_comes_from(folder: Path) -> None:
    assert origins_of(folder) == ("", "")
    (folder / "config.json").write_text(json.dumps({"_name_or_path": "BAAI/bge-m3", "model_type": "xlm-roberta"}))
    assert origins_of(folder) == origins_of(folder / "onnx" / "model.onnx") == ("BAAI/bge-m3", "xlm-roberta")
    assert origins_of(folder / "nowhere") == ("", "")
