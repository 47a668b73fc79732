"""Fixtures of the run storage tests: a store with one run, its blobs, and real git repositories."""

from __future__ import annotations

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
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True).stdout.decode()

    return run


@pytest.fixture
def work(tmp_path: Path, git: Git) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder
