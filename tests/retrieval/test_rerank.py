from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowloom.core.errors import ConfigError
from flowloom.retrieval.rerank import CrossEncoderReranker, OnnxReranker, order

from .tiny_models import write_onnx, write_tiny_model, write_torch


class ByLength:
    """Scores the longest text best."""

    id = "length"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return [float(len(text)) for text in texts]


def test_the_first_are_ordered_by_score_and_those_behind_stay() -> None:
    assert order(ByLength(), "q", ["a", "aaa", "aa", "aaaa"], 3) == [1, 2, 0, 3]


def test_equal_scores_keep_their_order() -> None:
    assert order(ByLength(), "q", ["b", "a", "c"], 3) == [0, 1, 2]


def test_without_a_reranker_a_query_or_two_texts_all_stay() -> None:
    assert order(None, "q", ["a", "aa"], 20) == [0, 1]
    assert order(ByLength(), " ", ["a", "aa"], 20) == [0, 1]
    assert order(ByLength(), "q", [], 20) == []


def test_a_cross_encoder_reads_query_and_text_together(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra dev")
    folder = tmp_path / "tiny"
    write_onnx(folder / "onnx" / "model.onnx", write_tiny_model(folder, "bert"), "bert", label=True)
    reranker = OnnxReranker(folder, "tiny")
    one, other = reranker.score("経費の精算", ["領収書を経理に提出する", "the parser reads files"])
    assert one != other
    assert reranker.score("parser", ["領収書を経理に提出する"]) != [one]
    assert reranker.score("経費の精算", ["領収書を経理に提出する"]) == [one]
    assert reranker.score("parser", []) == []
    assert reranker.score("parser", ["где находится парсер"]) == [-math.inf]


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lacks config\.json, tokenizer\.json, onnx/model\.onnx"):
        OnnxReranker(tmp_path, "tiny")


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torch_orders_as_the_model_itself_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra e5")
    transformers = pytest.importorskip("transformers", reason="needs the extra e5")
    pytest.importorskip("onnx", reason="needs the extra dev")
    folder = tmp_path / "tiny"
    write_torch(folder, write_tiny_model(folder, "bert"))
    for name in ("modules.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    torch.manual_seed(1)
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=1, local_files_only=True)
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    found = CrossEncoderReranker(folder, "cpu", "tiny").score("parser", ["the parser reads files", "領収書", "x"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    expected = []
    for text in ("the parser reads files", "領収書", "x"):
        encoded = tokenizer("parser", text, return_tensors="pt", truncation=True, max_length=64)
        with torch.no_grad():
            expected.append(float(model(**encoded).logits[0, 0]))
    assert sorted(range(3), key=found.__getitem__) == sorted(range(3), key=expected.__getitem__)
