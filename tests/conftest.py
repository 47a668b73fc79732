"""Fixtures every folder shares: no network beyond this machine, a home of its own, real git repositories."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

_LOOPBACK = ("127.", "::1", "localhost")


def _refuse_outside(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple) and not str(args[1][0]).startswith(_LOOPBACK):
        raise RuntimeError(f"a test wanted to connect to {args[1]!r}")


sys.addaudithook(_refuse_outside)

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
    for name in [name for name in os.environ if name.startswith(("FLOW_", "OLLAMA_", "LANGSMITH_", "LANGCHAIN_"))]:
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
