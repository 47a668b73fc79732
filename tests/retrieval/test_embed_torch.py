from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from flowloom.core.errors import ConfigError
from flowloom.retrieval.embed_torch import SentenceTransformerEmbedder
from flowloom.retrieval.embeddings import find_model

from .tiny_models import write_tiny_model, write_torch

E5 = find_model("e5-small")


def test_making_an_embedder_loads_no_library(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 384}')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    script = """
import pathlib, sys
from flowloom.retrieval.embed_torch import SentenceTransformerEmbedder
from flowloom.retrieval.embeddings import find_model
embedder = SentenceTransformerEmbedder(pathlib.Path(sys.argv[1]), "cpu", find_model("e5-small"))
assert embedder.dimension == 384 and embedder.embed_passages([]) == []
print(sorted({"torch", "transformers", "sentence_transformers", "numpy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_prefixes_reach_the_encoder_and_vectors_are_of_length_one(tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs the extra e5")
    pytest.importorskip("onnx", reason="needs the extra dev")
    folder = tmp_path / "tiny"
    write_torch(folder, write_tiny_model(folder, "xlm-roberta"))
    embedder = SentenceTransformerEmbedder(folder, "cpu", E5)
    query, passage = embedder.embed_query("経費の精算"), embedder.embed_passages(["経費の精算", "parser"])
    plain = sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = plain.encode(["query: 経費の精算", "passage: 経費の精算", "経費の精算"])
    assert query == pytest.approx(list(expected[0]), abs=1e-5)
    assert passage[0] == pytest.approx(list(expected[1]), abs=1e-5)
    assert query != pytest.approx(list(expected[2]), abs=1e-5)
    assert len(query) == embedder.dimension == 32
    assert math.sqrt(sum(number * number for number in passage[1])) == pytest.approx(1.0, abs=1e-5)
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ConfigError, match="cannot be loaded on 'cpu'"):
        SentenceTransformerEmbedder(folder, "cpu", E5).embed_query("parser")
