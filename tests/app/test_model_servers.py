"""Runs on servers other than Ollama, and what a run does with its models before it begins."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answers, Fault, Reply
from flowloom.llm.ollama_server import OllamaServer, scripted
from flowloom.llm.openai_server import OpenAIServer

GRAPH = """flow: 1
name: tiny
input: {task: {type: string, positional: true, required: true}}
nodes:
  skip: {type: set, value: {}}
  never: {type: llm, prompt: Think., if: input.task == "think"}
edges:
  - [START, skip, never, END]
"""


@pytest.fixture
def tiny(repo: Path) -> tuple[str, ...]:
    """The words that run a graph whose model node is skipped: only what comes before a run is asked."""
    path = repo.parent / "tiny.yaml"
    path.write_text(GRAPH)
    return ("run", str(path), "x", "-c", "verify=")


def test_a_run_recorded_on_llama_server_replays_without_a_server(
    shop: Any, answers: Answers, repo: Path, tmp_path: Path
) -> None:
    copy, cassette = tmp_path / "copy", tmp_path / "run.jsonl"
    subprocess.run(["git", "clone", "-q", str(repo), str(copy)], check=True)
    with OpenAIServer(answers, models=("devstral-small-2:24b",)) as server:
        assert shop.run(server, "-q", "--record", str(cassette)).code == 0
    assert json.loads(cassette.read_text("utf-8").splitlines()[0])["wire"] == "openai"
    words = ("run", "plan-and-code", shop.task, "-q", "--mode", "auto", "-c", shop.verify, "--replay", str(cassette))
    done = shop.flow(*words, cwd=copy)
    assert done.code == 0, done.err
    assert shop.is_green(copy)


def test_models_are_looked_at_once_for_each_version_of_server_and_model(
    flow: Any, repo: Path, tiny: tuple[str, ...]
) -> None:
    with OllamaServer(scripted([])) as server:
        for words, looked in (((), 1), ((), 1), (("-c", "models.num_ctx=4096"), 2)):
            assert flow(*tiny, *words, cwd=repo, url=server.url).code == 0
            assert len(server.preflights) == looked
        server.version = "0.13.0"
        assert flow(*tiny, "--no-preflight", cwd=repo, url=server.url).code == 0
        assert len(server.preflights) == 2
        assert flow(*tiny, cwd=repo, url=server.url).code == 0
        assert len(server.preflights) == 3
        assert server.requests == []


def test_known_model_is_preloaded_with_the_runs_window(flow: Any, repo: Path, tiny: tuple[str, ...]) -> None:
    with OllamaServer(scripted([])) as server:
        for _ in range(2):
            assert flow(*tiny, "-c", "models.num_ctx=16384", cwd=repo, url=server.url).code == 0
    expected = {"model": "scripted:latest", "options": {"num_ctx": 16384}, "keep_alive": "10m"}
    assert server.preloads == [expected]


def test_model_partly_on_the_cpu_is_told_before_the_run(flow: Any, repo: Path, tiny: tuple[str, ...]) -> None:
    with OllamaServer(scripted([]), memory=(20 * 10**9, 10 * 10**9)) as server:
        done = flow(*tiny, cwd=repo, url=server.url)
    assert (done.code, "50% of it runs on the CPU" in done.err) == (0, True)


@pytest.mark.parametrize(
    ("fault", "texts"),
    [
        (
            Fault("http", text="model requires more system memory (40 GiB) than is available (8 GiB)"),
            ("does not fit", "models.num_ctx"),
        ),
        (
            Fault("http", text="llama runner process has terminated: cudaMalloc failed: out of memory"),
            ("cudaMalloc failed", "models.num_ctx"),
        ),
        (
            Fault("http", text="error loading model: unable to allocate CUDA0 buffer"),
            ("unable to allocate", "models.num_ctx"),
        ),
        (Fault("http-404", text="model 'scripted:latest' not found"), ("ollama pull scripted:latest",)),
    ],
)
def test_model_that_does_not_work_ends_the_run_before_it_begins(
    flow: Any, repo: Path, tiny: tuple[str, ...], fault: Fault, texts: tuple[str, ...]
) -> None:
    with OllamaServer(scripted([]), preflight=fault) as server:
        done = flow(*tiny, "-q", cwd=repo, url=server.url)
        listed = flow("runs", "list", "-o", "json", cwd=repo, url=server.url)
    assert (done.code, len(done.err.splitlines()), json.loads(listed.out)) == (5, 2, [])
    assert all(text in done.err for text in texts), done.err


@pytest.mark.parametrize("words", [(), ("-m", "qwen3:8b"), ("-m", "coder=qwen3:8b", "-m", "gemma3:12b")])
def test_denied_model_ends_the_run_with_7_and_names_the_setting(
    flow: Any, repo: Path, tiny: tuple[str, ...], words: tuple[str, ...]
) -> None:
    models = ("qwen3:8b", "gemma3:12b") if words else ("qwen3:8b",)
    with OllamaServer(scripted([]), models=models) as server:
        denied = flow(*tiny, "-q", *words, cwd=repo, url=server.url)
        assert server.preflights == []
        allowed = flow(*tiny, "-q", *words, "-c", "models.denied_families=[]", cwd=repo, url=server.url)
    assert (denied.code, allowed.code) == (7, 0)
    assert "'qwen3:8b' is of the family 'qwen'" in denied.err and "models.denied_families" in denied.err


@pytest.mark.parametrize(
    ("kind", "name", "words", "code", "texts"),
    [
        ("vllm", "Qwen/Qwen3-8B", (), 7, ("family 'qwen'", "models.denied_families")),
        ("llama.cpp", "DeepSeek-Coder-Q4_K_M.gguf", (), 7, ("family 'deepseek'", "models.denied_families")),
        ("vllm", "a", ("-m", "b"), 5, ("no model 'b'; it has a", "vllm serve b")),
        ("llama.cpp", "a", ("-m", "b"), 5, ("no model 'b'; it has a", "-m FILE.gguf")),
        ("lmstudio", "a", ("-m", "coder=b"), 5, ("no model 'b'; it has a", "lms get b")),
        ("vllm", "a", ("-m", "codr=a"), 2, ("no role 'codr'", "coder")),
    ],
)
def test_other_servers_tell_a_model_that_cannot_be_used_in_the_same_way(
    flow: Any, repo: Path, tiny: tuple[str, ...], kind: Any, name: str, words: Any, code: int, texts: Any
) -> None:
    with OpenAIServer(scripted([]), kind=kind, models=(name,)) as server:
        done = flow(*tiny, "-q", *words, cwd=repo, url=server.url)
        assert server.bodies == []
    assert (done.code, len(done.err.splitlines())) == (code, 2), done.err
    assert all(text in done.err for text in texts), done.err


@pytest.mark.parametrize(
    ("model", "code", "text"), [("qwen3:8b", 7, "models.denied_families"), ("nope:1b", 5, "ollama pull nope:1b")]
)
def test_model_that_the_graph_names_is_checked_like_any_other(
    flow: Any, repo: Path, model: str, code: int, text: str
) -> None:
    named = repo.parent / "named.yaml"
    named.write_text(GRAPH.replace("{type: set, value: {}}", f"{{type: agent, model: '{model}', prompt: hello}}"))
    with OllamaServer(scripted([]), models=("scripted:latest", "qwen3:8b")) as server:
        done = flow("run", str(named), "x", "-c", "verify=", "-q", cwd=repo, url=server.url)
        assert (server.preflights, server.requests) == ([], [])
    assert (done.code, len(done.err.splitlines()), text in done.err) == (code, 2, True), done.err


@pytest.mark.parametrize(("kind", "option"), [("llama.cpp", "-c 32768"), ("vllm", "--max-model-len 32768")])
def test_window_too_small_for_agents_is_told_with_the_servers_option(
    flow: Any, repo: Path, tiny: tuple[str, ...], kind: Any, option: str
) -> None:
    with OpenAIServer(scripted([]), kind=kind, context_length=4096, preflight=Reply("Hi")) as server:
        done = flow(*tiny, cwd=repo, url=server.url)
    assert done.code == 0
    assert "a window of 4,096 tokens" in done.err and option in done.err


def test_a_window_that_nobody_tells_is_told_to_be_assumed(flow: Any, repo: Path, tiny: tuple[str, ...]) -> None:
    with OpenAIServer(scripted([]), kind="openai") as server:
        told = flow(*tiny, cwd=repo, url=server.url).err
        known = flow(*tiny, "-c", "models.num_ctx=16384", cwd=repo, url=server.url).err
    assert "8,192 tokens are assumed; -c models.num_ctx=N" in told
    assert "assumed" not in known


def test_denied_embedding_model_is_refused(flow: Any, repo: Path, tiny: tuple[str, ...]) -> None:
    settings = ("-c", "embed.backend=sentence-transformers", "-c", "embed.model=bge-m3", "-c", "embed.path=/none")
    with OllamaServer(scripted([])) as server:
        done = flow(*tiny, "-q", *settings, cwd=repo, url=server.url)
        doctor = json.loads(flow("doctor", "--json", *settings, cwd=repo, url=server.url).out)
    assert (done.code, "models.denied_families" in done.err) == (7, True)
    (found,) = [check for check in doctor["checks"] if check["name"] == "embeddings"]
    assert (found["status"], "'bge'" in found["text"]) == ("fail", True)


def test_a_run_begins_with_what_the_one_before_learned_of_the_models_tokens(
    flow: Any, repo: Path, tmp_path: Path, isolated_home: Path
) -> None:
    (tmp_path / "ask.yaml").write_text(
        "flow: 1\nname: ask\nnodes: {a: {type: llm, prompt: Say yes}}\nedges: [[START, a, END]]\n"
    )
    words = ("run", str(tmp_path / "ask.yaml"), "-q")
    with OllamaServer(lambda request: Reply("yes", prompt_tokens=4000)) as server:
        for name in ("first", "second"):
            done = flow(*words, "--record", str(tmp_path / name), cwd=repo, url=server.url)
            assert done.code == 0, done.err
        assert flow(*words, "--no-preflight", cwd=repo, url=server.url).code == 0
    first, second = (json.loads((tmp_path / name).read_text("utf-8"))["ratio"] for name in ("first", "second"))
    (record,) = json.loads((isolated_home / "flow/cache/models.json").read_text("utf-8"))["models"].values()
    assert first == 1.0 and second == record["token_ratio"] > 2
