"""Whole runs of a coder whose model is shown the tools under its family's names, over both APIs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answers, Reply
from flowloom.llm.loopback import LoopbackServer
from flowloom.llm.ollama_server import OllamaServer, scripted
from flowloom.llm.openai_server import OpenAIServer

DEVSTRAL = "devstral-small-2:24b"
GRAPH = """flow: 1
name: one
input: {task: {type: string, positional: true, required: true}}
nodes:
  code: {type: coder, prompt: "{{ input.task }}"}
edges:
  - [START, code, END]
"""
SHOWN = ["read", "edit", "write_file", "bash", "grep", "glob", "task"]
OWN = ["read_file", "edit_file", "write_file", "bash", "grep", "glob", "spawn_agent"]


@pytest.fixture
def words(repo: Path) -> tuple[str, ...]:
    """The words that let one coder mend the cart."""
    path = repo.parent / "one.yaml"
    path.write_text(GRAPH)
    return ("run", str(path), "total() adds up", "--mode", "auto", "-q", "-c", "verify=", "-o", "jsonl")


@pytest.fixture
def coder(script: Any) -> Answers:
    """A coder that calls the tools as Mistral Vibe has them, one of them wrongly first."""
    edit = {"file_path": "shop/cart.py", "old_string": "max", "new_string": "sum"}
    answers: Answers = script.conversation(
        script.Agent(
            (script.CODER,),
            [
                script.call("read", file_path="shop/cart.py"),
                script.call("edit", **{**edit, "old_string": "min(prices, key=len)"}),
                script.call("edit", **edit),
                Reply("total adds up"),
            ],
        )
    )
    return answers


def ollama(answers: Answers, model: str) -> LoopbackServer:
    return OllamaServer(answers, models=(model,), grammar="mistral")


def llama_server(answers: Answers, model: str) -> LoopbackServer:
    return OpenAIServer(answers, models=(model,), kind="llama.cpp", grammar="mistral")


MakeServer = Callable[[Answers, str], LoopbackServer]
both = pytest.mark.parametrize("serve", [ollama, llama_server])


def offered(server: LoopbackServer) -> list[list[str]]:
    return [[tool["function"]["name"] for tool in request.body["tools"]] for request in server.requests]


def called(messages: list[dict[str, Any]]) -> list[str]:
    return [call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()]


@both
def test_devstral_is_shown_the_names_of_vibe_from_its_first_request_to_its_last(
    flow: Any, repo: Path, words: tuple[str, ...], coder: Answers, serve: MakeServer
) -> None:
    with serve(coder, DEVSTRAL) as server:
        done = flow(*words, cwd=repo, url=server.url)
    assert (done.code, server.refused) == (0, []), done.err
    assert "return sum(prices)" in (repo / "shop/cart.py").read_text()
    assert offered(server) == [SHOWN] * 4
    conversations = [request.messages for request in server.requests]
    for before, after in pairwise(conversations):
        assert after[: len(before)] == before
    last = conversations[-1]
    assert called(last) == ["read", "edit", "edit"]
    assert "old_string does not stand in the file" in str([m["content"] for m in last if m["role"] == "tool"])
    assert not {name for name in ("read_file", "edit_file", "old_text", "spawn_agent") if name in json.dumps(last)}


@both
def test_what_is_kept_of_the_run_has_our_own_names(
    flow: Any, repo: Path, words: tuple[str, ...], coder: Answers, serve: MakeServer, isolated_home: Path
) -> None:
    with serve(coder, DEVSTRAL) as server:
        done = flow(*words, cwd=repo, url=server.url)
    started = [line["data"]["name"] for line in done.lines if line["type"] == "tool_start"]
    assert started == ["read_file", "edit_file", "edit_file"]
    (path,) = isolated_home.rglob("runs.db")
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM event WHERE data LIKE '%\"old_string\"%'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("model", "setting", "tools"),
    [
        (DEVSTRAL, "none", OWN),
        ("codestral:22b", "auto", OWN),
        ("llama3.3:70b", "auto", OWN),
        ("llama3.3:70b", "vibe", SHOWN),
    ],
)
def test_the_setting_chooses_the_names(
    flow: Any, repo: Path, words: tuple[str, ...], model: str, setting: str, tools: list[str]
) -> None:
    with OllamaServer(scripted([Reply("Nothing to do.")]), models=(model,)) as server:
        done = flow(*words, "-c", f"models.tool_profile={setting}", cwd=repo, url=server.url)
    assert (done.code, offered(server)) == (0, [tools]), done.err


def test_an_unknown_profile_ends_the_run_before_a_server_is_asked(
    flow: Any, repo: Path, words: tuple[str, ...]
) -> None:
    done = flow(*words, "-c", "models.tool_profile=vibes", cwd=repo, url="http://127.0.0.1:9")
    assert done.code == 2
    assert "there is no tool profile 'vibes'. Did you mean 'vibe'?" in done.err


def test_a_model_without_tools_reads_of_them_by_the_names_of_the_profile(
    flow: Any, repo: Path, words: tuple[str, ...]
) -> None:
    edit = {"file_path": "shop/cart.py", "old_string": "max", "new_string": "sum"}
    answers = [
        Reply(json.dumps({"tool": "read", "arguments": {"file_path": "shop/cart.py"}})),
        Reply(json.dumps({"tool": "edit", "arguments": edit})),
        Reply(json.dumps({"final": "done"})),
    ]
    with OllamaServer(scripted(answers), models=(DEVSTRAL,), capabilities=("completion",)) as server:
        done = flow(*words, cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert "return sum(prices)" in (repo / "shop/cart.py").read_text()
    last = server.requests[-1]
    system = last.messages[0]["content"]
    assert "- edit(file_path: string, old_string: string, new_string: string)" in system
    assert "edit_file" not in system and "read_file" not in system
    told = json.dumps(last.body["format"])
    assert '"edit"' in told and '"old_string"' in told and "old_text" not in told
    assert json.loads(last.messages[4]["content"]) == {"tool": "edit", "arguments": edit}
    assert last.messages[5]["content"].startswith("Result of edit:")


@both
def test_a_recorded_run_is_replayed_by_the_names_it_had(
    flow: Any, repo: Path, words: tuple[str, ...], coder: Answers, serve: MakeServer, tmp_path: Path, make_repo: Any
) -> None:
    cassette, cart = tmp_path / "run.jsonl", repo / "shop/cart.py"
    before = cart.read_text()
    with serve(coder, DEVSTRAL) as server:
        assert flow(*words, "--record", str(cassette), cwd=repo, url=server.url).code == 0
    assert {json.loads(line)["profile"] for line in cassette.read_text("utf-8").splitlines()} == {"vibe"}
    cart.write_text(before)
    done = flow(*words, "--replay", str(cassette), "-c", "models.tool_profile=none", cwd=repo)
    assert done.code == 0, done.err
    assert "return sum(prices)" in cart.read_text()
