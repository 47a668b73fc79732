from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowloom.app.context import AppContext
from flowloom.app.embedding import choose_backend, embedder, hub_model, reranker, weights_folder
from flowloom.configs.dirs import Dirs
from flowloom.configs.settings import Settings
from flowloom.configs.trust import trust_store
from flowloom.core.errors import ConfigError, Denied
from flowloom.retrieval.embed_http import HttpEmbedder
from flowloom.retrieval.embed_onnx import OnnxEmbedder
from flowloom.retrieval.embed_torch import SentenceTransformerEmbedder
from flowloom.retrieval.embeddings import find_model
from flowloom.retrieval.rerank import CrossEncoderReranker, OnnxReranker

from ..retrieval.embed_server import Server, ollama, openai

Make = Callable[..., AppContext]
ALL = ("config.json", "tokenizer.json", "onnx/model.onnx", "model.safetensors")


@pytest.fixture
def dirs(tmp_path: Path) -> Dirs:
    return Dirs(*(tmp_path / name for name in ("config", "data", "state", "cache")))


@pytest.fixture
def make(tmp_path: Path, dirs: Dirs) -> Make:
    """Return a function that makes the surroundings with tables of settings."""

    def context(**tables: Any) -> AppContext:
        return AppContext(tmp_path, dirs, trust_store(dirs), Settings.model_validate(tables))

    return context


def write(folder: Path, *names: str, **config: Any) -> Path:
    for name in names or ALL:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"hidden_size": 384, **config}))
    return folder


def test_without_weights_auto_is_off(make: Make) -> None:
    assert embedder(make()) is None
    assert embedder(make(models={"denied_families": ["e5"]})) is None


def test_downloaded_weights_are_taken_by_auto(make: Make, dirs: Dirs) -> None:
    write(weights_folder(dirs, find_model("e5-small")), "config.json", "tokenizer.json", "onnx/model_quantized.onnx")
    found = embedder(make())
    assert isinstance(found, OnnxEmbedder)
    assert found.dimension == 384
    assert embedder(make(embed={"backend": "none"})) is None
    with pytest.raises(Denied, match=r"models\.denied_families"):
        embedder(make(models={"denied_families": ["e5"]}))


def test_a_download_that_is_not_finished_is_off_and_noted(make: Make, dirs: Dirs) -> None:
    write(weights_folder(dirs, find_model("e5-small")), "config.json", "tokenizer.json")
    context = make()
    assert embedder(context) is None
    assert "lacks onnx/model.onnx" in choose_backend(context.settings, dirs).note


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, OnnxEmbedder),
        ({"backend": "onnx"}, OnnxEmbedder),
        ({"device": "cuda"}, SentenceTransformerEmbedder),
        ({"backend": "sentence-transformers"}, SentenceTransformerEmbedder),
    ],
)
def test_a_folder_is_run_by_what_fits_it(make: Make, tmp_path: Path, settings: dict[str, str], kind: type) -> None:
    folder = write(tmp_path / "e5")
    assert isinstance(embedder(make(embed={"path": str(folder), **settings})), kind)


def test_a_folder_that_is_named_and_lacks_something_is_an_error(make: Make, tmp_path: Path) -> None:
    folder = write(tmp_path / "e5", "config.json")
    with pytest.raises(ConfigError, match=r"lacks onnx/model\.onnx or model\.safetensors.*flow models pull"):
        embedder(make(embed={"path": str(folder)}))
    with pytest.raises(ConfigError, match="does not exist"):
        embedder(make(embed={"path": str(tmp_path / "nowhere")}))


def test_a_back_end_that_needs_weights_says_how_to_get_them(make: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"no folder with the weights of 'multilingual-e5-small'.*models pull e5-small"
    ):
        embedder(make(embed={"backend": "onnx"}))


@pytest.mark.parametrize(
    ("embed", "server", "url"),
    [
        ({"url": "http://127.0.0.1:1/"}, "", "http://127.0.0.1:1"),
        ({"url": "http://127.0.0.1:1", "backend": "http"}, "http://127.0.0.1:2", "http://127.0.0.1:1"),
        ({"backend": "http"}, "http://127.0.0.1:2", "http://127.0.0.1:2"),
    ],
)
def test_a_server_is_one_that_is_named(make: Make, dirs: Dirs, embed: dict[str, str], server: str, url: str) -> None:
    context = make(embed=embed, server={"url": server})
    assert isinstance(embedder(context), HttpEmbedder)
    assert choose_backend(context.settings, dirs).url == url


def test_texts_go_to_no_server_that_nobody_named(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"no embedding server is set\. Set embed\.url"):
        embedder(make(embed={"backend": "http"}))


def test_an_unknown_model_needs_its_prefixes(make: Make) -> None:
    own = {"url": "http://127.0.0.1:1", "model": "company-embed:v2"}
    with pytest.raises(ConfigError, match=r"'company-embed:v2' is not known.*embed\.query_prefix"):
        embedder(make(embed=own))
    assert embedder(make(embed={**own, "query_prefix": "", "passage_prefix": ""})) is not None


@pytest.mark.parametrize("backend", ["onnx", "sentence-transformers", "http", "auto"])
def test_the_policy_holds_for_every_back_end(make: Make, tmp_path: Path, backend: str) -> None:
    embed = {"backend": backend, "model": "bge-m3", "path": str(tmp_path), "url": "http://127.0.0.1:1"}
    with pytest.raises(Denied, match="'bge'"):
        embedder(make(embed=embed))


@pytest.mark.parametrize(
    ("name", "config"),
    [("bge-m3", {}), ("e5", {"_name_or_path": "BAAI/bge-m3"}), ("e5", {"model_type": "qwen3"})],
)
def test_the_policy_looks_at_the_weights_whatever_they_are_called(
    make: Make, tmp_path: Path, name: str, config: dict[str, str]
) -> None:
    folder = write(tmp_path / name, **config)
    with pytest.raises(Denied):
        embedder(make(embed={"path": str(folder)}))
    with pytest.raises(Denied):
        reranker(make(rerank={"backend": "onnx", "path": str(folder)}))


def test_reranking_is_off_until_it_is_named(make: Make, tmp_path: Path) -> None:
    folder = write(tmp_path / "ranker")
    assert reranker(make()) is None
    assert reranker(make(rerank={"path": str(folder)})) is None
    assert isinstance(reranker(make(rerank={"path": str(folder), "backend": "onnx"})), OnnxReranker)
    torch = reranker(make(rerank={"path": str(folder), "backend": "sentence-transformers"}))
    assert isinstance(torch, CrossEncoderReranker)
    with pytest.raises(ConfigError, match=r"no folder with the weights of a reranking model.*rerank\.path"):
        reranker(make(rerank={"backend": "onnx"}))
    with pytest.raises(Denied, match="'bge'"):
        reranker(make(rerank={"backend": "onnx", "path": str(folder), "model": "BAAI/bge-reranker-v2-m3"}))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("e5-small", "multilingual-e5-small"),
        ("multilingual-e5-large", "multilingual-e5-large"),
        ("intfloat/multilingual-e5-base", "multilingual-e5-base"),
        ("qllama/multilingual-e5-large:q8_0", ""),
        ("nomic-embed-text", ""),
        ("devstral:24b", ""),
    ],
)
def test_a_name_is_the_hubs_or_the_servers(name: str, found: str) -> None:
    model = hub_model(name)
    assert (model.name if model else "") == found


def test_no_secret_reaches_an_embedding_server(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {name: f"{name}-9f8e7d6c5b4a39281706" for name in ("env", "file")}
    monkeypatch.setenv("COMPANY_API_KEY", keys["env"])
    (tmp_path / ".env").write_text(f"DB_PASSWORD={keys['file']}\n")
    github = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    with Server(ollama) as server:
        found = embedder(make(embed={"url": server.url}))
        assert found is not None
        found.embed_query(f"who uses {github}?")
        found.embed_passages([f"connect('{keys['env']}')", f"connect('{keys['file']}')", "nothing to hide"])
    sent = json.dumps([body["input"] for _, body in server.asked])
    assert [each for each in (*keys.values(), github) if each in sent] == []
    assert sent.count("<secret>") == 3 and "passage: nothing to hide" in sent


def test_the_key_of_the_embedding_server_is_sent_to_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBED_KEY", "abc")
    with Server(openai) as server:
        found = embedder(make(embed={"url": server.url, "api": "openai", "api_key_env": "EMBED_KEY"}))
        assert found is not None
        found.embed_query("x")
        assert server.headers[0]["authorization"] == "Bearer abc"
