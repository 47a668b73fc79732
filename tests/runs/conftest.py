"""Fixtures of the run storage tests: a store with one run, its blobs, and real git repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowloom.runs.blobs import BlobStore
from flowloom.runs.store import RunRow, RunStore

Git = Callable[..., str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore(tmp_path / "data" / "runs.db") as store:
        yield store


@pytest.fixture
def row(store: RunStore, tmp_path: Path) -> RunRow:
    return store.create_run(
        graph="plan-and-code",
        graph_source="builtin:plan-and-code",
        graph_text="flow: 1\n",
        fingerprint="f1",
        input={"task": "直して"},
        options={"mode": "auto"},
        workspace=tmp_path / "work",
        title="Mend it",
    )


@pytest.fixture
def blobs(store: RunStore, row: RunRow) -> BlobStore:
    return BlobStore(store.blobs_folder(row.id))


@pytest.fixture
def git() -> Git:
    def run(folder: Path, *arguments: str) -> str:
        env = {
            **os.environ,
            "GIT_AUTHOR_NAME": "T",
            "GIT_AUTHOR_EMAIL": "t@example.invalid",
            "GIT_COMMITTER_NAME": "T",
            "GIT_COMMITTER_EMAIL": "t@example.invalid",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        done = subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, check=True)
        return done.stdout.decode()

    return run


@pytest.fixture
def work(tmp_path: Path, git: Git) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder
