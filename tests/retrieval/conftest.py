"""Fixtures of the retrieval tests: folders of files, a token counter and an embedder behind their ports."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_retriever import CodeRetriever
from flowloom.retrieval.tokenise import query_terms


class CharCounter:
    """One token for each three bytes: longer text never counts less."""

    def count(self, text: str) -> int:
        return -(-len(text.encode()) // 3)


class HashEmbedder:
    """Texts that share words are near; remembers what it was given."""

    def __init__(self, name: str = "hash-64", dimension: int = 64) -> None:
        self.id = name
        self.dimension = dimension
        self.passages: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        numbers = [0.0] * self.dimension
        for term in query_terms(text):
            numbers[int(hashlib.sha256(term.encode()).hexdigest(), 16) % self.dimension] += 1.0
        numbers[0] += 0.01
        length = math.sqrt(sum(number * number for number in numbers))
        return [number / length for number in numbers]

    def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        self.passages += texts
        return [self.embed_query(text) for text in texts]


MakeTree = Callable[[Mapping[str, str | bytes]], Path]


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Return a function that writes files into a plain folder and returns it."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        (tmp_path / "tree").mkdir(exist_ok=True)
        return write_tree(tmp_path / "tree", files)

    return make


@pytest.fixture
def git_init() -> Callable[[Path], None]:
    def init(folder: Path) -> None:
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)

    return init


@pytest.fixture
def age() -> Callable[[Path], None]:
    """Return a function that makes all files of a folder a minute old, so that their time stamps are beyond doubt."""

    def make_old(folder: Path) -> None:
        then = time.time() - 60
        for path in folder.rglob("*"):
            if path.is_file() and ".git" not in path.parts:
                os.utime(path, (then, then))

    return make_old


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def counter() -> CharCounter:
    return CharCounter()


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def make_embedder() -> Callable[[str, int], HashEmbedder]:
    return HashEmbedder


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def make_index(cache_dir: Path, notices: list[str]) -> Callable[[Path], CodeIndex]:
    return lambda workspace: CodeIndex(workspace, cache_dir, notify=notices.append)


@pytest.fixture
def make_retriever(cache_dir: Path, counter: CharCounter, notices: list[str]) -> Callable[[Path], CodeRetriever]:
    return lambda workspace: CodeRetriever(workspace, cache_dir, counter, notify=notices.append)
