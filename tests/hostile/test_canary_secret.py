"""A secret of the home folder, the environment and the repository is found nowhere after a model asked for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Call, Reply
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.slow

GRAPH = """flow: 1
name: ask
input: {task: {type: string, positional: true, required: true}}
state: {said: {type: string}}
output: state.said
nodes:
  work:
    type: agent
    prompt: "WORK {{ input.task }}"
    tools: [read_file, bash, grep, glob, search_code, git, write_file]
    output: {to: said}
edges: [[START, work, END]]
"""


def asking(scene: Any) -> list[Reply]:
    """Return calls that would each give the secret away, and words that repeat what was read."""
    lines = [
        "cat .env",
        "env",
        f"cat ~/.ssh/id_rsa {scene.home}/.aws/credentials",
        "grep -r AKIA .",
        "git show HEAD:.env",
    ]
    calls = [Call("bash", {"command": line}) for line in lines]
    calls += [
        Call("read_file", {"path": path}) for path in (".env", "home/.netrc", "~/.ssh/id_rsa", "/proc/self/environ")
    ]
    calls += [Call("grep", {"pattern": "AWS|secret"}), Call("search_code", {"query": "AWS_ACCESS_KEY_ID"})]
    calls += [
        Call("write_file", {"path": ".env", "content": "AWS_ACCESS_KEY_ID=\n"}),
        Call("git", {"action": "diff"}),
    ]
    return [*(Reply(calls=[call]) for call in calls), *[Reply("done")] * 3]


@pytest.mark.parametrize("mode", ["ask", "auto"])
def test_a_secret_is_in_no_request_no_output_and_no_stored_file(scene: Any, script: Any, mode: str) -> None:
    graphs = scene.home / "flow" / "config" / "graphs"
    graphs.mkdir(parents=True)
    (graphs / "ask.yaml").write_text(GRAPH)
    cassette = scene.root / "cassette.jsonl"
    original = (scene.repo / ".env").read_bytes()
    with OllamaServer(script.conversation(script.Agent(("WORK",), asking(scene))), context_length=131072) as server:
        words = ("run", "ask", "look", "--mode", mode, "--record", str(cassette))
        seen = [scene.flow(*words, url=server.url, typed="no\n" * 100, timeout=300)]
        seen += [
            scene.flow(*line, url=server.url)
            for line in (("runs", "show"), ("runs", "show", "-o", "json"), ("runs", "tail"))
        ]
        seen += [
            scene.flow("tools", "call", name, json.dumps(args))
            for name, args in (("read_file", {"path": ".env"}), ("grep", {"pattern": "AWS"}))
        ]
    assert seen[0].code == 0, seen[0].err[-2000:]
    found = [f"request {request.index}" for request in server.requests if scene.secret in json.dumps(request.body)]
    found += [f"flow {' '.join(each.words)[:60]}" for each in seen if scene.secret in each.out + each.err]
    stored = [path for path in (scene.home / "flow").rglob("*") if path.is_file()]
    holding = [path for path in (*stored, cassette) if scene.secret.encode() in path.read_bytes()]
    found += [str(path) for path in holding if not is_kept_file(path, original)]
    assert found == []
    # It was read, though.
    assert any("<secret:" in json.dumps(request.body) for request in server.requests)


def is_kept_file(path: Path, original: bytes) -> bool:
    """Tell what is kept so that files can be put back as they were: whole contents, never shown and never sent."""
    return "snapshots" in path.parts or ("blobs" in path.parts and path.read_bytes() == original)
