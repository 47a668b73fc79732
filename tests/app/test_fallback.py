"""A model that is missing or cannot be loaded, and the one that takes over; over both APIs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, Answers, ChatRequest, Fault, Reply
from flowloom.llm.ollama_server import OllamaServer, scripted
from flowloom.llm.openai_server import OpenAIServer

pytestmark = pytest.mark.long

MODELS = ("devstral:24b", "llama3.3:70b")
FALLBACK = ("-c", 'models.fallback=["llama3.3:70b"]')
NO_MEMORY = Fault("http", text="model requires more system memory (40 GiB) than is available (8 GiB)")
GRAPH = """flow: 1
name: tiny
input: {task: {type: string, positional: true, required: true}}
nodes:
  skip: {type: set, value: {}}
  ask: {type: llm, prompt: Hello, model: MODEL}
edges:
  - [START, skip]
  - {from: skip, when: input.task == "ask", to: ask, else: END}
  - [ask, END]
"""

Serve = Callable[..., Any]


@pytest.fixture(params=["ollama", "vllm"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Return what makes a server of either API."""
    if request.param == "ollama":
        found: Serve = request.getfixturevalue("ollama")
        return found
    return lambda answers, **options: OpenAIServer(answers, **{"kind": "vllm", "models": MODELS, **options})


@pytest.fixture
def ollama() -> Serve:
    """Return what makes an Ollama server, for what does not depend on the API."""
    return lambda answers, **options: OllamaServer(answers, **{"models": MODELS, **options})


@pytest.fixture
def tiny(repo: Path) -> Callable[..., tuple[str, ...]]:
    """Return the words that run a graph whose node `ask` names a model; it is run with the input "ask"."""

    def words(task: str = "x", model: str = "main") -> tuple[str, ...]:
        path = repo.parent / "tiny.yaml"
        path.write_text(GRAPH.replace("MODEL", model))
        return ("run", str(path), task, "-c", "verify=")

    return words


def failing(model: str, fault: Answer, answers: Answers, after: int = 0) -> Answers:
    """Return answers that are this fault for one model, from its request number `after` on."""
    asked = {"count": 0}

    def answer(request: ChatRequest) -> Answer:
        if request.body.get("model") != model:
            return answers(request)
        asked["count"] += 1
        return fault if asked["count"] > after else answers(request)

    return answer


def shown(flow: Any, repo: Path) -> Any:
    return json.loads(flow("runs", "show", "-o", "json", cwd=repo).out)


def test_missing_model_is_replaced_and_told_in_a_line_and_in_the_run(
    flow: Any, repo: Path, tiny: Any, serve: Serve
) -> None:
    with serve(scripted([])) as server:
        done = flow(*tiny(), "-m", "gone:1b", "-m", "coder=devstral:24b", *FALLBACK, cwd=repo, url=server.url)
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if "takes over" in line]
    assert line.startswith(
        "Note: llama3.3:70b takes over from gone:1b for main, planner, reviewer, sub_agent, light: "
    )
    assert "has no model 'gone:1b'" in line
    run = shown(flow, repo)
    assert run["options"]["models"]["main"] == "llama3.3:70b"
    assert run["options"]["models"]["coder"] == "devstral:24b"
    (replaced,) = run["models_replaced"]
    assert (replaced["wanted"], replaced["model"]) == ("gone:1b", "llama3.3:70b")
    assert "llama3.3:70b takes over from gone:1b" in flow("runs", "show", cwd=repo).out


def test_model_that_cannot_be_loaded_is_replaced_before_the_run_begins(
    flow: Any, repo: Path, tiny: Any, serve: Serve
) -> None:
    preflight = failing("devstral:24b", NO_MEMORY, lambda request: Reply("Hi"))
    with serve(scripted([Reply("Hello back")]), preflight=preflight) as server:
        done = flow(*tiny("ask"), "-m", "devstral:24b", *FALLBACK, cwd=repo, url=server.url)
        assert (done.code, [r.body["model"] for r in server.requests]) == (0, ["llama3.3:70b"]), done.err
    assert "llama3.3:70b takes over from devstral:24b" in done.err and "does not fit" in done.err


def test_role_has_fallbacks_of_its_own(flow: Any, repo: Path, tiny: Any, ollama: Serve) -> None:
    roles = ("-c", 'models.role_fallback={coder = ["none:1b", "devstral:24b"]}')
    with ollama(scripted([])) as server:
        done = flow(*tiny(), "-m", "gone:1b", *FALLBACK, *roles, cwd=repo, url=server.url)
    assert done.code == 0, done.err
    models = shown(flow, repo)["options"]["models"]
    assert (models["coder"], models["planner"]) == ("devstral:24b", "llama3.3:70b")
    assert "no model 'none:1b'" in done.err


def test_tag_that_the_graph_names_is_replaced_and_stays_so(flow: Any, repo: Path, tiny: Any, ollama: Serve) -> None:
    down = Fault("http-503")
    words = ("-m", "devstral:24b", *FALLBACK, "-c", "server.retry_patience_s=0")
    with ollama(lambda request: down) as server:
        done = flow(*tiny("ask", "gone:1b"), *words, cwd=repo, url=server.url)
        assert done.code == 5, done.err
    assert "llama3.3:70b takes over from gone:1b for gone:1b" in done.err
    with ollama(scripted([Reply("Hello back")]), models=(*MODELS, "gone:1b")) as server:
        assert flow("resume", "-q", *FALLBACK, cwd=repo, url=server.url).code == 0
        assert [request.body["model"] for request in server.requests] == ["llama3.3:70b"]


@pytest.mark.parametrize(
    ("setting", "code", "text"),
    [
        ('["qwen3:8b"]', 7, "'qwen3:8b' is of the family 'qwen'"),
        ('["none:1b", "none:2b"]', 5, "No fallback works: the server at"),
        ("[]", 5, "has no model 'gone:1b'; it has"),
    ],
)
def test_fallback_that_is_no_help_ends_the_run_before_it_begins_in_one_line(
    flow: Any, repo: Path, tiny: Any, ollama: Serve, setting: str, code: int, text: str
) -> None:
    with ollama(scripted([])) as server:
        done = flow(*tiny(), "-q", "-m", "gone:1b", "-c", f"models.fallback={setting}", cwd=repo, url=server.url)
    assert (done.code, len(done.err.splitlines())) == (code, 2), done.err
    assert text in done.err.splitlines()[0]


def test_model_that_runs_out_of_memory_in_the_middle_is_replaced_and_the_run_comes_to_its_end(
    shop: Any, answers: Answers, serve: Serve
) -> None:
    # The second model's template insists on another order of roles: the conversation has to be fitted anew.
    broken = failing("devstral:24b", NO_MEMORY, answers, after=4)
    with serve(broken) as server:
        done = shop.run(server, "-m", "devstral:24b", *FALLBACK)
        assert (done.code, server.refused) == (0, []), done.err
        models = [request.body["model"] for request in server.requests]
    assert models[:5] == ["devstral:24b"] * 5 and set(models[5:]) == {"llama3.3:70b"}
    assert done.err.count("takes over") == 1 and "for main, planner, coder, reviewer, sub_agent, light" in done.err
    assert shop.is_green()
    run = shown(shop.flow, shop.repo)
    assert run["options"]["models"]["coder"] == "llama3.3:70b"
    assert len(run["models_replaced"]) == 1


def test_resumed_run_goes_on_with_the_model_that_took_over_and_says_so(
    shop: Any, answers: Answers, serve: Serve
) -> None:
    class Ending:
        server: Any

        def __call__(self, request: ChatRequest) -> Answer:
            if request.body["model"] == "devstral:24b":
                return NO_MEMORY if request.index >= 4 else answers(request)
            threading.Thread(target=self.server.__exit__, args=(None, None, None)).start()
            return Fault("drop")

    ending = Ending()
    with serve(ending) as ending.server:
        words = ("-m", "devstral:24b", *FALLBACK, "-c", "server.retry_patience_s=1")
        gone = shop.run(ending.server, *words)
    assert gone.code == 5, gone.err
    with serve(answers) as server:
        again = shop.flow("resume", cwd=shop.repo, url=server.url)
        assert {request.body["model"] for request in server.requests} == {"llama3.3:70b"}
    assert again.code == 0, again.err
    assert "model llama3.3:70b (resumed)" in again.err
    assert shop.is_green()


@pytest.mark.parametrize(
    "fault", [Fault("http-503"), Fault("drop"), Fault("no-done"), Fault("slow-start", delay_s=9)]
)
def test_server_that_is_down_or_breaks_replies_is_no_reason_for_another_model(
    flow: Any, repo: Path, tiny: Any, ollama: Serve, fault: Fault
) -> None:
    limits = ("-c", "server.retry_patience_s=0.3", "-c", "server.first_token_timeout_s=0.2")
    with ollama(lambda request: fault) as server:
        done = flow(*tiny("ask"), "-m", "devstral:24b", *FALLBACK, *limits, cwd=repo, url=server.url)
        assert {request.body["model"] for request in server.requests} == {"devstral:24b"}
    assert done.code == 5 and "takes over" not in done.err, done.err
    assert shown(flow, repo)["models_replaced"] == []


def test_fallback_whose_window_is_too_small_is_passed_over(flow: Any, repo: Path, tiny: Any) -> None:
    class TwoWindows(OpenAIServer):
        def _listing(self, name: str) -> dict[str, Any]:
            return {**super()._listing(name), "max_model_len": 512 if name == "small:1b" else 32768}

    models = ("devstral:24b", "small:1b", "llama3.3:70b")
    answers = failing("devstral:24b", NO_MEMORY, scripted([Reply("Hello back")]))
    with TwoWindows(answers, kind="vllm", models=models) as server:
        chain = 'models.fallback=["small:1b", "llama3.3:70b"]'
        done = flow(*tiny("ask"), "-m", "devstral:24b", "-c", chain, cwd=repo, url=server.url)
        assert [request.body["model"] for request in server.requests] == ["devstral:24b", "llama3.3:70b"]
    assert done.code == 0, done.err
    assert "llama3.3:70b takes over from devstral:24b" in done.err
    assert "the window of 'small:1b' holds 512 tokens" in done.err


def test_run_without_any_model_that_works_is_paused_and_resumes_with_another(
    flow: Any, repo: Path, tiny: Any, ollama: Serve
) -> None:
    with ollama(lambda request: NO_MEMORY) as server:
        done = flow(*tiny("ask"), "-q", "-m", "devstral:24b", *FALLBACK, cwd=repo, url=server.url)
    assert done.code == 5 and "does not fit" in done.err and "flow resume" in done.err, done.err
    with ollama(scripted([Reply("Hello back")])) as server:
        assert flow("resume", "-q", "-m", "devstral:24b", cwd=repo, url=server.url).code == 0


def test_doctor_looks_at_fallbacks_too(flow: Any, repo: Path, ollama: Serve) -> None:
    setting = ("-c", 'models.fallback=["llama3.3:70b", "gone:1b"]', "-c", "models.main=devstral:24b")
    with ollama(scripted([])) as server:
        found = json.loads(flow("doctor", "--json", *setting, cwd=repo, url=server.url).out)
    told = [(check["status"], check["text"]) for check in found["checks"] if check["name"] == "fallback"]
    assert told[0] == ("ok", "llama3.3:70b") and told[1][0] == "warn" and "no model 'gone:1b'" in told[1][1]
