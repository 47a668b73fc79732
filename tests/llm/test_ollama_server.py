from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from flowloom.llm.ollama_server import Call, ChatRequest, Fault, OllamaServer, Reply, scripted

from .conftest import Serve

USER = {"role": "user", "content": "こんにちは"}
TOOL = {"type": "function", "function": {"name": "t", "description": "", "parameters": {"type": "object"}}}


def post(server: OllamaServer, path: str = "/api/chat", **body: Any) -> httpx.Response:
    sent = {"model": "scripted", "messages": [USER], **body}
    return httpx.post(server.url + path, json=sent, trust_env=False, timeout=5)


def get(server: OllamaServer, path: str) -> Any:
    return httpx.get(server.url + path, trust_env=False).json()


def test_listing_version_and_details_are_ollamas(serve: Serve) -> None:
    server = serve([], models=("a:7b", "b:latest"), context_length=4096, capabilities=("completion",))
    assert get(server, "/api/version") == {"version": "0.12.0"}
    assert [model["name"] for model in get(server, "/api/tags")["models"]] == ["a:7b", "b:latest"]
    assert get(server, "/api/ps")["models"][0]["context_length"] == 4096
    shown = post(server, "/api/show", model="b").json()
    assert shown["model_info"]["llama.context_length"] == 4096
    assert shown["capabilities"] == ["completion"]


def test_reply_without_streaming_is_one_object(serve: Serve) -> None:
    server = serve([Reply("hello there", calls=[Call("t", {"a": 1})], thinking="hm", piece_chars=3)])
    answer = post(server, stream=False).json()
    assert answer["message"]["content"] == "hello there"
    assert answer["message"]["thinking"] == "hm"
    assert answer["message"]["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert (answer["done"], answer["done_reason"]) == (True, "stop")


def test_stream_has_one_part_a_call_and_the_counts_last(serve: Serve) -> None:
    server = serve([Reply("ab", calls=[Call("t"), Call("u")], completion_tokens=5)])
    response = post(server)
    lines = [line for line in response.text.splitlines() if line]
    assert response.headers["transfer-encoding"] == "chunked"
    assert len(lines) == 4
    assert '"eval_count": 5' in lines[-1]
    assert response.text.count("tool_calls") == 2


def test_prompt_count_is_estimated_from_the_request(serve: Serve) -> None:
    server = serve(lambda request: Reply("ok"))
    short = post(server, stream=False).json()["prompt_eval_count"]
    long = post(server, stream=False, messages=[{"role": "user", "content": "word " * 1000}]).json()
    assert 0 < short < 50
    assert 1000 < long["prompt_eval_count"] < 1600


def test_requests_are_kept_with_headers_and_index(serve: Serve) -> None:
    server = serve(lambda request: Reply(str(request.index)))
    post(server)
    httpx.post(server.url + "/api/chat", json={"model": "scripted", "messages": [USER]}, headers={"X-A": "b"})
    assert [request.index for request in server.requests] == [0, 1]
    assert server.requests[1].headers["x-a"] == "b"
    assert server.requests[0].messages == [USER]


def test_order_of_roles_is_refused_and_takes_no_answer(serve: Serve) -> None:
    server = serve([Reply("the first")])
    refused = post(server, messages=[USER, {"role": "tool", "content": "x"}])
    assert refused.status_code == 400
    assert "answers no tool call" in refused.json()["error"]
    assert server.requests == []
    assert len(server.refused) == 1
    assert post(server, stream=False).json()["message"]["content"] == "the first"


def test_format_with_tools_is_refused_only_when_strict(serve: Serve) -> None:
    strict, loose = serve([Reply("a")]), serve([Reply("a")], strict=False)
    assert post(strict, format="json", tools=[TOOL]).status_code == 400
    assert post(loose, format="json", tools=[TOOL]).status_code == 200


def test_script_past_its_end_says_so_and_is_not_asked_again(serve: Serve) -> None:
    server = serve([Reply("only")])
    post(server)
    late = post(server)
    assert late.status_code == 400
    assert "has 1 answers, and request 2 finds none left" in late.json()["error"]


def test_request_without_messages_only_loads(serve: Serve) -> None:
    server = serve([])
    answer = post(server, messages=[]).json()
    assert (answer["done"], answer["done_reason"]) == (True, "load")
    assert len(server.preloads) == 1
    assert server.requests == []


@pytest.mark.parametrize("model", ["other", "scripted:7b", "", None, 3])
def test_unknown_model_is_not_found(serve: Serve, model: object) -> None:
    assert post(serve([]), model=model).status_code == 404


def test_broken_body_and_unknown_path_are_refused(serve: Serve) -> None:
    server = serve([])
    assert httpx.post(server.url + "/api/chat", content=b"{", trust_env=False).status_code == 400
    assert post(server, "/api/generate").status_code == 404
    assert httpx.get(server.url + "/nothing", trust_env=False).status_code == 404
    assert httpx.head(server.url + "/", trust_env=False).status_code == 200


def test_answers_are_given_side_by_side(serve: Serve) -> None:
    both = threading.Barrier(2, timeout=5)

    def meet(request: ChatRequest) -> Reply:
        both.wait()
        return Reply("met")

    server = serve(meet)
    threads = [threading.Thread(target=post, args=(server,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 2


def test_block_ends_at_once_while_a_stream_is_silent() -> None:
    with OllamaServer(scripted([Fault("slow-start", delay_s=60)])) as server:
        thread = threading.Thread(target=_post_until_closed, args=(server,))
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        started = time.monotonic()
    thread.join()
    assert time.monotonic() - started < 1


def test_url_is_known_only_inside_the_block() -> None:
    server = OllamaServer(scripted([]))
    with server:
        first = server.url
    assert first.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


def _post_until_closed(server: OllamaServer) -> None:
    with pytest.raises(httpx.HTTPError):
        post(server)
