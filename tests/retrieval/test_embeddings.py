from __future__ import annotations

import pytest

from flowloom.core.errors import ConfigError
from flowloom.retrieval.embeddings import Overrides, embedding_models, find_model, known_model


@pytest.mark.parametrize(
    "name",
    [
        "multilingual-e5-small",
        "intfloat/multilingual-e5-small",
        "Xenova/Multilingual-E5-small",
        "e5-small",
        "multilingual-e5-small:latest",
    ],
)
def test_a_model_is_known_under_any_of_its_names(name: str) -> None:
    assert find_model(name).name == "multilingual-e5-small"


@pytest.mark.parametrize(
    ("name", "query", "passage", "dimension"),
    [
        ("multilingual-e5-small", "query: ", "passage: ", 384),
        ("multilingual-e5-base", "query: ", "passage: ", 768),
        ("qllama/multilingual-e5-large:q8_0", "query: ", "passage: ", 1024),
        ("nomic-embed-text:latest", "search_query: ", "search_document: ", 768),
    ],
)
def test_a_record_says_what_a_model_was_trained_with(name: str, query: str, passage: str, dimension: int) -> None:
    found = find_model(name)
    assert (found.query_prefix, found.passage_prefix, found.dimension) == (query, passage, dimension)


def test_an_instruction_stands_before_queries_only() -> None:
    found = find_model("multilingual-e5-large-instruct")
    assert (found.query_prefix.startswith("Instruct: "), found.query_prefix.endswith("\nQuery: ")) == (True, True)
    assert found.passage_prefix == ""


def test_every_record_is_whole_and_no_name_belongs_to_two() -> None:
    names = [name for model in embedding_models() for name in (model.name, model.short, *model.names) if name]
    assert len(set(names)) == len(names)
    assert all(model.pooling in ("mean", "cls", "last") and model.dimension for model in embedding_models())
    assert {model.short for model in embedding_models() if model.hub} >= {"e5-small", "e5-base", "e5-large"}


def test_an_unknown_model_is_refused_with_the_known_ones_and_the_settings() -> None:
    told = r"'word2vec' is not known\. Set embed\.model to one of: multilingual-e5-small.*embed\.query_prefix"
    with pytest.raises(ConfigError, match=told):
        find_model("word2vec")
    with pytest.raises(ConfigError):
        find_model("word2vec", Overrides(query_prefix="q: "))


def test_settings_make_an_unknown_model_known_and_replace_a_record() -> None:
    own = find_model("cl-nagoya/ruri-v3:30m", Overrides("検索クエリ: ", "検索文書: ", "cls"))
    assert (own.name, own.query_prefix, own.pooling, own.dimension) == ("ruri-v3", "検索クエリ: ", "cls", None)
    assert find_model("e5-small", Overrides(passage_prefix="")).passage_prefix == ""


def test_the_empty_name_is_no_model() -> None:
    assert known_model("") is None
