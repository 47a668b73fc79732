"""Fixtures every folder shares: no network beyond this machine, a home of its own, real git repositories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, Answers, Call, ChatRequest, Fault, Reply

from .forked_flow import ForkServer

_LOOPBACK = ("127.", "::1", "localhost")


def _refuse_outside(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple) and not str(args[1][0]).startswith(_LOOPBACK):
        raise RuntimeError(f"a test wanted to connect to {args[1]!r}")


sys.addaudithook(_refuse_outside)

# Without bytecode, each process that a test starts would compile the whole package anew.
_OF_THE_USER = ("FLOW_", "OLLAMA_", "LANGSMITH_", "LANGCHAIN_", "PYTHONDONTWRITEBYTECODE")
_GIT_ENV = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.invalid",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.invalid",
}


@pytest.fixture(autouse=True)
def isolated_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test directories and a git identity of its own, and nothing of the user's settings."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(_OF_THE_USER)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FLOW_HOME", str(home / "flow"))
    for name, value in _GIT_ENV.items():
        monkeypatch.setenv(name, value)
    return home


MakeRepo = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def make_repo(tmp_path: Path) -> MakeRepo:
    """Return a function that makes a git repository of these files, with one commit."""

    def make(files: Mapping[str, str]) -> Path:
        repo = tmp_path / "repo"
        for name, text in files.items():
            path = repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
            subprocess.run(["git", *words], cwd=repo, check=True, capture_output=True)
        return repo

    return make


@dataclass(frozen=True)
class Agent:
    """The scripted answers of one agent, told by texts that its first user message holds.

    The answer is picked by how many assistant messages the request already has, so it does not depend on the order of
    requests, on how often one is asked, or on anything but the public API.
    """

    holds: tuple[str, ...]
    answers: Sequence[Answer]


def conversation(*agents: Agent) -> Answers:
    """Return answers for the first agent whose texts all stand in the request's first user message."""

    def answer(request: ChatRequest) -> Answer:
        first = next(message["content"] for message in request.messages if message["role"] == "user")
        said = sum(message["role"] == "assistant" for message in request.messages)
        for agent in agents:
            if all(text in first for text in agent.holds):
                return agent.answers[said] if said < len(agent.answers) else _past_end(agent, said)
        return Fault("http", status=400, text=f"no scripted agent for: {first[:300]}")

    return answer


def _past_end(agent: Agent, said: int) -> Answer:
    return Fault("http", status=400, text=f"the agent {agent.holds} has no answer {said + 1}")


def call(name: str, **arguments: Any) -> Reply:
    """Return a reply that calls one tool."""
    return Reply(calls=[Call(name, arguments)])


@dataclass(frozen=True)
class Script:
    """The words for scripting agents, as one fixture: tests cannot import from a conftest."""

    Agent = Agent
    Reply = Reply
    Call = Call
    Fault = Fault
    conversation = staticmethod(conversation)
    call = staticmethod(call)
    PLANNER = "Your job: plan"
    CODER = "Your job: do the step"
    REVIEWER = "Your job: review"
    SUB_AGENT = "Your job: find out"


@pytest.fixture
def script() -> Script:
    return Script()


@dataclass(frozen=True)
class Finished:
    """A `flow` process that ended. `lines` are its JSON lines on stdout, where it printed any."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]


RunFlow = Callable[..., Finished]


@pytest.fixture(scope="session")
def fork_servers() -> Iterator[Iterator[ForkServer]]:
    """Give the servers in turn: of a run and its resume, each is a process with another seed of hashes, as ever."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_USER)}
    servers = [ForkServer(env), ForkServer(env)]
    yield cycle(servers)
    for server in servers:
        server.close()


@pytest.fixture
def flow(isolated_home: Path, fork_servers: Iterator[ForkServer]) -> RunFlow:
    """Return a function that runs `flow` as a user does, in a process of its own; `fresh` = a new interpreter's."""

    def run(
        *words: str, cwd: Path, url: str = "", stdin: str | None = None, timeout: float = 120, fresh: bool = False
    ) -> Finished:
        env = {**os.environ, **({"OLLAMA_HOST": url} if url else {})}
        server = next(fork_servers)
        if server.fits(env) and not fresh:
            done = server.run(words, cwd, env, stdin, timeout)
        else:
            command = [sys.executable, "-m", "flowloom", *words]
            done = subprocess.run(
                command, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
            )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run
