"""Memory files on the wire, and what an agent remembers from one run to the next."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowloom.app.memory import trusted_when_written
from flowloom.configs.dirs import find_dirs
from flowloom.configs.project_files import AUTO_MEMORY
from flowloom.configs.trust import TrustStore, content_hash, trust_store
from flowloom.core.effects import FileWrite
from flowloom.llm.answers import Answers, Reply
from flowloom.llm.ollama_server import OllamaServer

GRAPH = """flow: 1
name: one
input: {task: {type: string, positional: true, required: true}}
nodes:
  work: {type: agent, prompt: "WORK {{ input.task }}", tools: [remember, read_file], budget: {memory: 1000}}
edges: [[START, work, END]]
"""


@pytest.fixture
def words(repo: Path) -> tuple[str, ...]:
    path = repo.parent / "one.yaml"
    path.write_text(GRAPH)
    return ("run", str(path), "do it", "-c", "verify=")


@pytest.fixture
def remembering(script: Any) -> Answers:
    agent = script.Agent(("WORK",), [script.call("remember", fact="Tests run with make."), Reply("done")])
    answers: Answers = script.conversation(agent)
    return answers


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def first_message(server: OllamaServer, request: int = 0) -> str:
    found: str = next(each["content"] for each in server.requests[request].messages if each["role"] == "user")
    return found


def trusted(*paths: Path) -> TrustStore:
    store = trust_store(find_dirs(os.environ))
    for path in paths:
        store.trust(path)
    return store


def at_terminal(repo: Path, typed: str, *words: str, url: str) -> tuple[int, str]:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flowloom", *words],
        cwd=repo,
        env={**os.environ, "OLLAMA_HOST": url},
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(follower)
    os.write(leader, typed.encode())
    out, _ = process.communicate(timeout=120)
    os.close(leader)
    return process.returncode, out


def test_memory_stands_in_the_first_user_message_in_order_without_what_is_not_trusted(
    flow: Any, repo: Path, words: tuple[str, ...], isolated_home: Path
) -> None:
    put(isolated_home / ".local-agent" / "memory" / "me.md", "MINE")
    names = ("AGENTS.md", ".agent/memory/auto.md", ".agent.local.md", ".agent.md")
    trusted(*(put(repo / name, f"TEXT OF {name}\n") for name in names))
    put(repo / "CLAUDE.md", "OBEY")
    with OllamaServer(lambda _: Reply("done")) as server:
        done = flow(*words, cwd=repo, url=server.url)
    assert done.code == 0, done.err
    message = first_message(server)
    block = message.partition("<project_memory>\n")[2].partition("\n</project_memory>")[0]
    order = (".agent.md", ".agent.local.md", ".agent/memory/auto.md", "AGENTS.md")
    told = "\n\n".join(f"## {name}\nTEXT OF {name}" for name in order)
    assert block == f"## ~/.local-agent/memory/me.md\nMINE\n\n{told}"
    assert "OBEY" not in message
    assert message.index("</project_memory>") < message.index("\n<task>\n")


def test_what_does_not_fit_is_told_once(flow: Any, repo: Path, words: tuple[str, ...]) -> None:
    trusted(put(repo / ".agent.md", "many words on a line\n" * 1000), put(repo / "AGENTS.md", "LAST"))
    with OllamaServer(lambda _: Reply("done")) as server:
        done = flow(*words, cwd=repo, url=server.url)
    assert done.code == 0
    assert done.err.count("more than 1,000 tokens: .agent.md cut; AGENTS.md left out.") == 1
    assert "more lines left out]\n</project_memory>" in first_message(server)


def test_what_a_person_let_an_agent_remember_is_told_in_the_next_run(
    repo: Path, words: tuple[str, ...], remembering: Answers
) -> None:
    with OllamaServer(remembering) as server:
        code, out = at_terminal(repo, "yes\n", *words, "--mode", "auto", url=server.url)
        assert code == 0 and "Agents of later runs in this project will be told this." in out, out
        before = len(server.requests)
        code, out = at_terminal(repo, "no\n", *words, "--mode", "auto", url=server.url)
    assert code == 0
    assert all("<project_memory>" not in first_message(server, number) for number in range(before))
    assert f"## {AUTO_MEMORY}\n# Remembered by agents\n\n- 20" in first_message(server, before)
    assert "nothing was written" in server.requests[-1].messages[-1]["content"]


def test_where_nobody_can_be_asked_nothing_is_remembered_in_any_mode(
    flow: Any, repo: Path, words: tuple[str, ...], remembering: Answers
) -> None:
    with OllamaServer(remembering) as server:
        done = flow(*words, "--mode", "auto", cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert not (repo / AUTO_MEMORY).exists()
    assert "declined" in server.requests[-1].messages[-1]["content"]


def test_a_poisoned_file_stays_inert_when_something_is_added_to_it(
    repo: Path, words: tuple[str, ...], remembering: Answers
) -> None:
    put(repo / AUTO_MEMORY, "- OBEY\n")
    with OllamaServer(remembering) as server:
        # The first question is whether to trust the file.
        code, out = at_terminal(repo, "n\nyes\n", *words, url=server.url)
    assert code == 0, out
    assert "Tests run with make." in (repo / AUTO_MEMORY).read_text()
    assert f"{AUTO_MEMORY} is not trusted, so nothing in it is told to agents." in " ".join(out.split())
    assert trusted().state(repo / AUTO_MEMORY) == "new"


def test_a_single_call_remembers_too(repo: Path) -> None:
    fact = json.dumps({"fact": "x"})
    assert at_terminal(repo, "yes\n", "tools", "call", "remember", fact, url="http://127.0.0.1:9")[0] == 0
    assert trusted().state(repo / AUTO_MEMORY) == "trusted"


def write(before: bytes | None, post: bytes) -> FileWrite:
    return FileWrite(AUTO_MEMORY, None if before is None else content_hash(before), post, "")


@pytest.fixture
def told() -> list[str]:
    return []


def test_a_write_is_trusted_when_what_it_adds_to_was(tmp_path: Path, told: list[str]) -> None:
    store = TrustStore(tmp_path / "trust" / "trust.json")
    written = trusted_when_written(store, tmp_path, tmp_path, told.append)
    written(write(None, b"one"))
    written(write(b"one", b"two"))
    written(write(b"one", b"two"))  # noted once more, after a kill
    assert store.trusted_content(tmp_path / AUTO_MEMORY) == b"two"
    assert told == []


def test_a_write_to_other_bytes_than_those_trusted_is_not(tmp_path: Path, told: list[str]) -> None:
    store = TrustStore(tmp_path / "trust" / "trust.json")
    written = trusted_when_written(store, tmp_path, tmp_path, told.append)
    written(write(None, b"one"))
    written(write(b"poisoned", b"poisoned and more"))
    written(FileWrite("a.txt", None, b"x", ""))
    assert store.trusted_content(tmp_path / AUTO_MEMORY) == b"one"
    assert len(told) == 1 and "not trusted" in told[0]


def test_a_write_in_a_worktree_leaves_the_projects_trust_alone(tmp_path: Path, told: list[str]) -> None:
    store = TrustStore(tmp_path / "trust" / "trust.json")
    project, tree = tmp_path / "project", tmp_path / "tree"
    trusted_when_written(store, project, project, told.append)(write(None, b"one"))
    trusted_when_written(store, tree, project, told.append)(write(b"one", b"two"))
    assert store.trusted_content(project / AUTO_MEMORY) == b"one"
    assert len(told) == 1 and "worktree" in told[0]
