from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from flowloom.core.errors import ModelFault, ModelNotUsable, ModelUnavailable
from flowloom.retrieval.embed_http import Api, HttpEmbedder
from flowloom.retrieval.embeddings import Overrides, find_model

from .embed_server import Answer, Server, ollama, openai

E5 = find_model("multilingual-e5-large")
NAME = "qllama/multilingual-e5-large:q8_0"


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(Server(answer))


Serve = Callable[[Answer], Server]


def make(url: str, api: Api | None = None, waits: list[float] | None = None, **record: Any) -> HttpEmbedder:
    model = record.get("model", E5)
    sleep = (waits if waits is not None else []).append
    clean = record.get("clean", str)
    return HttpEmbedder(lambda: httpx.Client(base_url=url), clean, url, NAME, model, api, sleep)


@pytest.mark.parametrize(("answer", "path"), [(ollama, "/api/embed"), (openai, "/v1/embeddings")])
def test_either_api_is_found_and_texts_go_out_with_their_prefixes(serve: Serve, answer: Answer, path: str) -> None:
    server = serve(answer)
    embedder = make(server.url)
    (one, other) = embedder.embed_passages(["ab", "abc"])
    embedder.embed_query("領収書")
    asked = [(where, body["model"], body["input"]) for where, body in server.asked if where == path]
    assert asked == [(path, NAME, ["passage: ab", "passage: abc"]), (path, NAME, ["query: 領収書"])]
    assert one[0] / one[1] == pytest.approx(len("passage: ab") / 3)
    assert other[0] / other[1] == pytest.approx(len("passage: abc") / 3)
    assert sum(number**2 for number in one) == pytest.approx(1)


def test_every_text_is_cleaned_before_its_prefix_is_added(serve: Serve) -> None:
    server = serve(ollama)
    embedder = make(server.url, clean=lambda text: text.replace("passage", "p").upper())
    embedder.embed_query("my passage")
    embedder.embed_passages(["my passage"])
    assert [body["input"] for _, body in server.asked] == [["query: MY P"], ["passage: MY P"]]


def test_a_named_api_is_the_only_one_asked(serve: Serve) -> None:
    server = serve(openai)
    make(server.url, "openai").embed_query("x")
    assert [path for path, _ in server.asked] == ["/v1/embeddings"]


def test_texts_go_out_in_batches(serve: Serve) -> None:
    server = serve(ollama)
    assert len(make(server.url).embed_passages([str(at) for at in range(70)])) == 70
    assert [len(body["input"]) for _, body in server.asked] == [32, 32, 6]


def test_a_text_that_is_too_long_is_halved_and_the_others_are_not(serve: Serve) -> None:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if any(len(text) > 400 for text in body["input"]):
            return 400, {"error": "the input length exceeds the context length"}
        return ollama(path, body)

    server = serve(answer)
    make(server.url).embed_passages(["short", "x" * 1000])
    taken = [body["input"][0] for _, body in server.asked if len(body["input"]) == 1]
    assert [len(text) for text in taken if len(text) <= 400] == [len("passage: short"), 1009 // 4]


def test_a_busy_server_is_asked_again(serve: Serve) -> None:
    waits: list[float] = []

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return (503, {"error": "loading"}) if len(waits) < 2 else ollama(path, body)

    assert len(make(serve(answer).url, None, waits).embed_passages(["x"])) == 1
    assert waits == [0.25, 1.0]


def test_a_server_that_is_away_is_told_after_some_tries() -> None:
    waits: list[float] = []
    with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:9 does not answer.*embed\.url"):
        make("http://127.0.0.1:9", None, waits).embed_passages(["x"])
    assert len(waits) == 3


def test_a_query_does_not_wait_long_for_a_server_that_is_away() -> None:
    waits: list[float] = []
    with pytest.raises(ModelUnavailable):
        make("http://127.0.0.1:9", None, waits).embed_query("x")
    assert waits == [0.25]


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (
            404,
            {"error": 'model "qllama/multilingual-e5-large:q8_0" not found'},
            ModelNotUsable,
            "ollama pull qllama/",
        ),
        (400, {"error": {"message": "does not support embeddings"}}, ModelFault, "HTTP 400: does not support"),
        (200, {"nothing": 1}, ModelFault, "holds no embeddings"),
        (200, b"<html>", ModelFault, "holds no embeddings"),
        (200, {"embeddings": []}, ModelFault, "0 embeddings for 1 texts"),
        (200, {"embeddings": [[None]]}, ModelFault, "holds no embeddings"),
    ],
)
def test_an_answer_of_no_use_is_told(serve: Serve, status: int, body: Any, kind: type[Exception], told: str) -> None:
    server = serve(lambda path, asked: (status, body))
    with pytest.raises(kind, match=told):
        make(server.url, "ollama").embed_query("x")


def test_the_dimension_of_an_unknown_model_is_asked_for_once(serve: Serve) -> None:
    server = serve(ollama)
    embedder = make(server.url, model=find_model("own", Overrides("", "")))
    assert (embedder.dimension, embedder.dimension, len(server.asked)) == (3, 3, 1)
    assert make(server.url).dimension == 1024


def test_nothing_is_asked_before_the_first_text_and_for_none(serve: Serve) -> None:
    server = serve(ollama)
    assert make(server.url).embed_passages([]) == []
    assert server.asked == []


def test_the_id_names_server_model_and_prefixes() -> None:
    other = find_model("multilingual-e5-large", Overrides(query_prefix=""))
    ids = {make("http://a").id, make("http://b").id, make("http://a", model=other).id}
    assert len(ids) == 3
