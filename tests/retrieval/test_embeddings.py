from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowloom.core.errors import ConfigError
from flowloom.retrieval.embeddings import SentenceTransformerEmbedder, find_model

LINES = [
    "query: 経費の精算はどこですか",
    "passage: 領収書を経理に提出する",
    "where is the parser",
    "the parser reads files",
]


def _write_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"hidden_size": 384}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_model_is_known_with_or_without_its_owner() -> None:
    assert find_model("intfloat/multilingual-e5-small").passage_prefix == "passage: "
    assert find_model("multilingual-e5-large-instruct").query_prefix.endswith("Query: ")


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"'word2vec' is not known\. Set embed\.model to one of: multilingual-e5-small"
    ):
        find_model("word2vec")


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("config.json", "lacks config.json."),
        ("tokenizer.json", "lacks tokenizer.json or sentencepiece.bpe.model."),
        ("model.safetensors", "lacks model.safetensors or model.safetensors.index.json."),
    ],
)
def test_missing_files_are_named(tmp_path: Path, gone: str, told: str) -> None:
    folder = _write_folder(tmp_path / "e5")
    (folder / gone).unlink()
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
        SentenceTransformerEmbedder(folder, "cpu", "multilingual-e5-small")


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        SentenceTransformerEmbedder(tmp_path / "nowhere", "cpu", "multilingual-e5-small")
    with pytest.raises(ConfigError, match="no folder of embedding weights is set"):
        SentenceTransformerEmbedder(Path(""), "cpu", "multilingual-e5-small")


def test_a_config_without_a_dimension_is_told(tmp_path: Path) -> None:
    folder = _write_folder(tmp_path / "e5")
    (folder / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match="does not name a hidden_size"):
        SentenceTransformerEmbedder(folder, "cpu", "multilingual-e5-small")


def test_the_id_changes_with_weights_model_and_settings(tmp_path: Path) -> None:
    folder = _write_folder(tmp_path / "e5")

    def make_id(model: str = "multilingual-e5-small") -> str:
        return SentenceTransformerEmbedder(folder, "cpu", model).id

    ids = [make_id(), make_id("multilingual-e5-base")]
    (folder / "modules.json").write_text("[]")
    ids.append(make_id())
    (folder / "model.safetensors").write_bytes(b"WEIGHTS")
    ids.append(make_id())
    assert len(set(ids)) == 4
    assert make_id() == ids[-1]


def test_making_an_embedder_loads_no_library(tmp_path: Path) -> None:
    folder = _write_folder(tmp_path / "e5")
    script = """
import pathlib, sys
from flowloom.retrieval.embeddings import SentenceTransformerEmbedder
embedder = SentenceTransformerEmbedder(pathlib.Path(sys.argv[1]), "cpu", "multilingual-e5-small")
assert embedder.dimension == 384 and embedder.embed_passages([]) == []
print(sorted({"torch", "transformers", "sentence_transformers", "numpy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def _write_tiny_model(folder: Path) -> Path:
    """Write a model of e5's shape with random weights: XLM-R, one layer, mean pooling, normalised."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(LINES * 3, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    names = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # the library leaves it open
        tokenizer_object=tokenizer, unk_token="<unk>", mask_token="<mask>", model_max_length=512, **names
    ).save_pretrained(folder)
    torch.manual_seed(1)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=514,
        pad_token_id=1,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 512, "do_lower_case": False}))
    return folder


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_prefixes_reach_the_encoder_and_vectors_are_of_length_one(tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs the extra e5")
    folder = _write_tiny_model(tmp_path / "tiny")
    embedder = SentenceTransformerEmbedder(folder, "cpu", "multilingual-e5-small")
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
        SentenceTransformerEmbedder(folder, "cpu", "multilingual-e5-small").embed_query("x")
    shutil.rmtree(folder)
