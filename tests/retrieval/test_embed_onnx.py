from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowloom.core.errors import ConfigError
from flowloom.retrieval.embed_onnx import OnnxEmbedder
from flowloom.retrieval.embed_torch import SentenceTransformerEmbedder
from flowloom.retrieval.embeddings import find_model

from .tiny_models import WIDTH, Shape, write_onnx, write_pooling, write_tiny_model, write_torch

pytest.importorskip("onnx", reason="needs the extra dev")

E5 = find_model("e5-small")
SHAPES = ("xlm-roberta", "bert")
TEXTS = ["経費の精算はどこですか", "the parser reads files", "領収書"]


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    found: Shape = request.param
    return found


@pytest.fixture
def folder(tmp_path: Path, shape: Shape) -> Path:
    write_tiny_model(tmp_path / "tiny", shape)
    return tmp_path / "tiny"


def raw(folder: Path, text: str, window: int = 64) -> Any:
    """Return the tokens' vectors, by the libraries themselves."""
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=window)
    encoded = tokenizer.encode(text)
    session = InferenceSession(str(folder / "onnx" / "model.onnx"))
    fed = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids}
    wanted = {each.name for each in session.get_inputs()}
    return session.run(None, {name: np.array([ids]) for name, ids in fed.items() if name in wanted})[0][0]


def unit(vector: Any) -> Any:
    return pytest.approx(vector / np.linalg.norm(vector), abs=1e-5)


def test_vectors_are_the_mean_of_the_tokens_at_length_one(folder: Path) -> None:
    embedder = OnnxEmbedder(folder, E5)
    found = embedder.embed_query("経費の精算")
    assert found == unit(raw(folder, "query: 経費の精算").mean(axis=0))
    assert len(found) == embedder.dimension == WIDTH
    assert np.linalg.norm(found) == pytest.approx(1)


def test_each_prefix_reaches_the_encoder(folder: Path) -> None:
    embedder = OnnxEmbedder(folder, E5)
    (passage,) = embedder.embed_passages(["経費の精算"])
    assert passage == unit(raw(folder, "passage: 経費の精算").mean(axis=0))
    assert passage != pytest.approx(embedder.embed_query("経費の精算"), abs=1e-3)
    assert passage != unit(raw(folder, "経費の精算").mean(axis=0))


def test_a_text_beyond_the_window_is_cut_with_the_prefix_in_it(folder: Path) -> None:
    long = "parser " * 200
    cut = OnnxEmbedder(folder, replace(E5, window=16)).embed_query(long)
    assert len(raw(folder, f"query: {long}", 16)) == 16
    assert cut == unit(raw(folder, f"query: {long}", 16).mean(axis=0))
    whole = OnnxEmbedder(folder, E5).embed_query(long)
    assert whole == unit(raw(folder, f"query: {long}", 64).mean(axis=0))


def test_a_text_in_a_script_that_the_model_does_not_know_has_no_vector(folder: Path) -> None:
    embedder = OnnxEmbedder(folder, E5)
    assert embedder.embed_query("где находится парсер") == []
    known, unknown = embedder.embed_passages(["経費の精算はどこですか " * 4 + "Ж", "где"])
    assert (len(known), unknown) == (WIDTH, [])


def test_a_vector_does_not_depend_on_its_neighbours(folder: Path) -> None:
    embedder = OnnxEmbedder(folder, E5)
    assert embedder.embed_passages(TEXTS) == [embedder.embed_passages([text])[0] for text in TEXTS]
    assert embedder.embed_passages([]) == []


@pytest.mark.parametrize(("pooling", "at"), [("cls", 0), ("last", -1)])
def test_the_folder_says_how_tokens_are_pooled(folder: Path, pooling: str, at: int) -> None:
    write_pooling(folder, pooling)
    assert OnnxEmbedder(folder, E5).embed_query("parser") == unit(raw(folder, "query: parser")[at])


def test_int8_weights_are_taken_first_and_a_named_file_before_them(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    full = write_tiny_model(folder, "bert")
    other = {name: value * 1.5 for name, value in full.items()}
    write_onnx(folder / "onnx" / "model_quantized.onnx", other, "bert")
    named = OnnxEmbedder(folder / "onnx" / "model.onnx", E5)
    assert named.embed_query("parser") == unit(raw(folder, "query: parser").mean(axis=0))
    first = OnnxEmbedder(folder, E5)
    assert first.embed_query("parser") != pytest.approx(named.embed_query("parser"), abs=1e-3)
    assert first.id != named.id


def test_the_id_changes_with_all_that_a_vector_depends_on(folder: Path) -> None:
    ids = [
        OnnxEmbedder(folder, E5).id,
        OnnxEmbedder(folder, replace(E5, query_prefix="Query: ")).id,
        OnnxEmbedder(folder, replace(E5, window=16)).id,
        OnnxEmbedder(folder, replace(E5, pooling="cls")).id,
    ]
    data = bytearray((folder / "onnx" / "model.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "onnx" / "model.onnx").write_bytes(data)
    ids.append(OnnxEmbedder(folder, E5).id)
    (folder / "tokenizer.json").write_text("{}")
    ids.append(OnnxEmbedder(folder, E5).id)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("onnx/model.onnx", b"broken", "model.onnx' cannot be used: "),
        ("tokenizer.json", b"{}", "cannot be used: tokenizer.json: "),
    ],
)
def test_a_file_that_is_broken_is_told_in_one_line(folder: Path, file: str, content: bytes, told: str) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")) as caught:
        OnnxEmbedder(folder, E5).embed_query("parser")
    assert "\n" not in str(caught.value)


def test_neither_torch_nor_a_network_library_is_loaded(folder: Path) -> None:
    script = """
import pathlib, sys
from flowloom.retrieval.embed_onnx import OnnxEmbedder
from flowloom.retrieval.embeddings import find_model
embedder = OnnxEmbedder(pathlib.Path(sys.argv[1]), find_model("e5-small"))
assert not {"numpy", "onnxruntime", "tokenizers"} & set(sys.modules)
embedder.embed_query("parser")
print(sorted({"torch", "transformers", "huggingface_hub", "chromadb", "httpx"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_both_back_ends_give_equal_vectors(tmp_path: Path, shape: Shape) -> None:
    pytest.importorskip("sentence_transformers", reason="needs the extra e5")
    folder = tmp_path / "tiny"
    write_torch(folder, write_tiny_model(folder, shape))
    onnx, torch = OnnxEmbedder(folder, E5), SentenceTransformerEmbedder(folder, "cpu", E5)
    texts = [*TEXTS, "parser " * 200]
    assert onnx.embed_passages(["где", "parser"])[0] == torch.embed_passages(["где", "parser"])[0] == []
    assert np.array(onnx.embed_passages(texts)) == pytest.approx(np.array(torch.embed_passages(texts)), abs=2e-5)
    assert onnx.embed_query(TEXTS[0]) == pytest.approx(torch.embed_query(TEXTS[0]), abs=2e-5)
    assert onnx.dimension == torch.dimension == WIDTH
    assert json.loads((folder / "config.json").read_text())["model_type"] == shape
