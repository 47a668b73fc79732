from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Call, ChatRequest, Fault, Reply
from flowloom.llm.ollama_server import OllamaServer, scripted
from flowloom.llm.openai_server import OpenAIServer

from ..retrieval.hub_server import HubServer
from .conftest import Flow

MODELS = ("devstral-small-2:24b", "qwen3:8b", "company:7b", "nomic-embed-text:latest")


def told(ended: Any) -> Any:
    return json.loads(ended.out)


def test_list_shows_lineage_and_policy_and_what_else_is_known(flow: Flow) -> None:
    with OllamaServer(scripted([]), models=MODELS) as server:
        ended = flow("models", "list", OLLAMA_HOST=server.url)
    lines = {line.split()[0]: line for line in ended.out.splitlines() if line.startswith("  ")}
    assert ended.code == 0
    assert "mistral, France" in lines["devstral-small-2:24b"]
    assert "DENIED (models.denied_families: qwen)" in lines["qwen3:8b"]
    assert lines["company:7b"].endswith("unknown")
    assert " embed " in lines["nomic-embed-text:latest"]
    assert "43.0 GB" in lines["llama3.3:70b"]


def test_list_as_json_has_the_same(flow: Flow) -> None:
    with OllamaServer(scripted([]), models=MODELS) as server:
        whole = told(flow("models", "list", "-o", "json", OLLAMA_HOST=server.url))
        lines = flow("models", "list", "-o", "jsonl", OLLAMA_HOST=server.url).out.splitlines()
    assert whole["server"] == {"url": server_url(whole), "kind": "ollama", "version": "0.12.0"}
    found = {model["name"]: model for model in whole["models"]}
    assert (found["qwen3:8b"]["denied"], found["company:7b"]["origin"]) == ("qwen", "unknown")
    assert found["gemma3:27b"]["installed"] is False
    assert [json.loads(line) for line in lines] == whole["models"]


def server_url(whole: Any) -> str:
    url: str = whole["server"]["url"]
    assert url.startswith("http://127.0.0.1:")
    return url


@pytest.mark.parametrize("words", [("list",), ("pull", "gemma3:12b"), ("test",)])
def test_no_server_ends_with_5_within_2500_ms(flow: Flow, words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    began = time.monotonic()
    ended = flow("models", *words, "-q", OLLAMA_HOST=url)
    assert time.monotonic() - began < 2.5
    assert (ended.code, "connection refused" in ended.err, len(ended.err.splitlines())) == (5, True, 2)


def test_list_asks_ollama_what_its_list_leaves_out(flow: Flow) -> None:
    with OllamaServer(scripted([]), models=("company:7b",), context_length=16384) as server:
        whole = told(flow("models", "list", "-o", "json", OLLAMA_HOST=server.url))
    found = whole["models"][0]
    assert (found["name"], found["tools"], found["window"]) == ("company:7b", True, 16384)


def test_recommend_judges_the_servers_own_models_and_leaves_denied_ones_out(flow: Flow) -> None:
    with OllamaServer(scripted([]), models=MODELS) as server:
        found = told(flow("models", "recommend", "-o", "json", OLLAMA_HOST=server.url))["models"]
    assert {one["name"] for one in found if one["installed"]} == {"devstral-small-2:24b", "company:7b"}


def test_recommend_needs_no_server(flow: Flow) -> None:
    ended = flow("models", "recommend", "--window", "16k", "-o", "json", "-c", "server.url=http://127.0.0.1:9")
    found = told(ended)
    assert (ended.code, found["window"]) == (0, 16384)
    assert {"devstral-small-2:24b", "llama3.3:70b"} <= {model["name"] for model in found["models"]}
    assert flow("models", "recommend", "--window", "0", "-c", "server.url=http://127.0.0.1:9").code == 2


def test_pull_lets_the_server_download_and_says_what_to_do_next(flow: Flow) -> None:
    with OllamaServer(scripted([])) as server:
        ended = flow("models", "pull", "company:7b", OLLAMA_HOST=server.url)
        assert "company:7b" in server.models
    assert (ended.code, "flow models test company:7b" in ended.out) == (0, True)
    assert ended.err.splitlines() == ["pulling manifest", "verifying sha256 digest", "success"]


def test_pull_of_a_denied_model_asks_the_server_nothing(flow: Flow) -> None:
    with OllamaServer(scripted([])) as server:
        ended = flow("models", "pull", "qwen3:8b", "-o", "json", OLLAMA_HOST=server.url)
        assert "qwen3:8b" not in server.models
    assert (ended.code, told(ended)["error"]["type"]) == (7, "Denied")
    assert "models.denied_families" in ended.err


def test_pull_from_another_server_names_its_own_way(flow: Flow) -> None:
    with OpenAIServer(scripted([]), kind="vllm") as server:
        ended = flow("models", "pull", "google/gemma-3-12b-it", OLLAMA_HOST=server.url)
    assert (ended.code, "vllm serve google/gemma-3-12b-it" in ended.err) == (2, True)


def test_pull_that_fails_ends_with_5(flow: Flow) -> None:
    parts = [{"error": "pull model manifest: file does not exist"}]
    with OllamaServer(scripted([]), pull=parts) as server:
        ended = flow("models", "pull", "gemma9:1b", OLLAMA_HOST=server.url)
    assert (ended.code, "no model 'gemma9:1b' to download" in ended.err) == (5, True)


def test_test_prints_the_record_and_keeps_it(flow: Flow) -> None:
    reply = Reply("x", prompt_tokens=500, completion_tokens=48)
    with OllamaServer(lambda request: reply, memory=(20 * 10**9, 15 * 10**9)) as server:
        shown = flow("models", "test", OLLAMA_HOST=server.url)
        found = told(flow("models", "test", "scripted", "-o", "json", OLLAMA_HOST=server.url))[0]
    assert shown.code == 0
    assert "window 32,768 tokens" in shown.out and "75% of it on the GPU" in shown.out
    assert (found["tools"], found["cpu_share"], found["decode_per_s"]) == (True, 0.25, 96_000)


def test_test_tells_how_a_tool_is_called_and_what_it_asks_meanwhile(flow: Flow) -> None:
    def answer(request: ChatRequest) -> Reply:
        return Reply(calls=[Call("read_file", {"path": "notes.txt"})]) if request.body.get("tools") else Reply("x")

    with OllamaServer(answer) as server:
        shown = flow("models", "test", OLLAMA_HOST=server.url)
    assert shown.code == 0
    assert "tried: calls a tool as the server's own tool call; does not keep to a JSON schema" in shown.out
    assert shown.err.splitlines() == [
        *("loading", "measuring its speed", "asking for a tool call", "asking for JSON of a schema"),
    ]


def test_a_denied_model_that_is_missing_is_told_as_denied(flow: Flow) -> None:
    with OllamaServer(scripted([])) as server:
        ended = flow("models", "test", "qwen3:8b", OLLAMA_HOST=server.url)
    assert (ended.code, "models.denied_families" in ended.err, "pull" in ended.err) == (7, True, False)


def test_test_of_a_missing_model_ends_with_5(flow: Flow) -> None:
    with OllamaServer(scripted([])) as server:
        ended = flow("models", "test", "gemma3:27b", OLLAMA_HOST=server.url)
    assert (ended.code, "ollama pull gemma3:27b" in ended.err) == (5, True)


def test_test_of_a_model_that_does_not_fit_names_the_setting(flow: Flow) -> None:
    text = "model requires more system memory (40 GiB) than is available (8 GiB)"
    with OllamaServer(scripted([]), preflight=Fault("http", text=text)) as server:
        ended = flow("models", "test", OLLAMA_HOST=server.url)
    assert (ended.code, "models.num_ctx" in ended.err) == (5, True)


E5 = "Xenova/multilingual-e5-small"
WEIGHTS = {
    "config.json": b'{"hidden_size": 384, "model_type": "bert"}',
    "tokenizer.json": b"{}",
    "onnx/model_quantized.onnx": b"weights" * 1000,
}


def test_pull_of_an_embedding_model_brings_its_weights_and_turns_search_by_meaning_on(
    flow: Flow, isolated_home: Path
) -> None:
    with HubServer(E5, WEIGHTS) as hub:
        ended = flow("models", "pull", "e5-small", HF_ENDPOINT=hub.url)
        again = told(flow("models", "pull", "e5-small", "-o", "json", "-c", f"embed.hub={hub.url}"))
    folder = isolated_home / "flow" / "data" / "models" / "multilingual-e5-small"
    assert (ended.code, str(folder) in ended.out) == (0, True)
    assert "onnx/model_quantized.onnx" in ended.err
    assert again["files"] == ["tokenizer.json", "config.json", "onnx/model_quantized.onnx"]
    doctor = told(flow("doctor", "--json", "-c", "server.url=http://127.0.0.1:9"))["checks"]
    (found,) = [check for check in doctor if check["name"] == "embeddings"]
    assert (found["status"], "by onnx on cpu" in found["text"]) == ("ok", True)


def test_pull_of_another_size_names_the_setting(flow: Flow) -> None:
    with HubServer("intfloat/multilingual-e5-base", {"onnx/model.onnx": b"x", "config.json": b"{}"}) as hub:
        ended = flow("models", "pull", "e5-base", "--weights", "fp32", HF_ENDPOINT=hub.url)
    assert (ended.code, "embed.model = 'multilingual-e5-base'" in ended.out) == (0, True)


def test_pull_without_a_way_to_the_hub_ends_with_5_and_names_the_folder_setting(flow: Flow) -> None:
    ended = flow("models", "pull", "e5-small", HF_ENDPOINT="http://127.0.0.1:9")
    assert (ended.code, "no way to the hub" in ended.err, "embed.path" in ended.err) == (5, True, True)


@pytest.mark.parametrize(
    ("words", "env", "code", "text"),
    [
        (("e5-small", "--weights", "int4"), {}, 2, "no kind of weights"),
        (("e5-large-instruct",), {}, 2, "there are no int8 weights"),
        (("e5-small",), {"HF_HUB_OFFLINE": "1"}, 2, "HF_HUB_OFFLINE"),
        (("e5-small", "-c", 'models.denied_families=["e5"]'), {}, 7, "models.denied_families"),
    ],
)
def test_pull_that_cannot_be_asks_the_hub_nothing(
    flow: Flow, words: tuple[str, ...], env: dict[str, str], code: int, text: str
) -> None:
    with HubServer(E5, WEIGHTS) as hub:
        ended = flow("models", "pull", *words, HF_ENDPOINT=hub.url, **env)
        assert hub.asked == []
    assert (ended.code, text in ended.err) == (code, True)
