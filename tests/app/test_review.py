"""The graph review, whole, over a branch and over what is not committed, with scripted reviewers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import scripted
from flowloom.llm.ollama_server import OllamaServer

OFF = ("-c", "sandbox.backend=none", "-c", "snapshots.enabled=false", "-c", "verify=", "-o", "json")
FILES = {"cart.py": "def total(prices):\n    return sum(prices)\n", "価格 表.py": "a = 1\n", "old.py": "x = 1\n"}


def git(repo: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=repo, check=True, capture_output=True)


@pytest.fixture
def repo(make_repo: Any) -> Path:
    folder: Path = make_repo(FILES)
    return folder


class Reviewers:
    """Answers of reviewers: a finding for each file named in `wrong`; in the second look those of `real` stand."""

    def __init__(self, script: Any, wrong: dict[str, str], real: tuple[str, ...]) -> None:
        self._script, self._wrong, self._real = script, wrong, real
        self.looked: dict[str, list[str]] = {}
        self.second: list[str] = []

    def __call__(self, request: Any) -> Any:
        first = next(str(m["content"]) for m in request.messages if m["role"] == "user")
        if "Somebody says" in first:
            self.second.append(first)
            is_real = any(f": {text}\n" in first for text in self._real)
            return self._script.Reply(json.dumps({"verdict": "real" if is_real else "not real", "reason": "r"}))
        file = first.partition("Review the change of ")[2].partition(". ")[0]
        self.looked.setdefault(file, []).append(first.partition("Review the change of ")[2])
        text = self._wrong.get(file)
        found = [{"file": file, "line": 1, "severity": "error", "text": text}] if text else []
        return self._script.Reply(json.dumps({"verdict": "revise" if found else "approve", "findings": found}))


def test_uncommitted_changes_are_reviewed_and_findings_looked_at_twice(
    flow_here: Any, repo: Path, script: Any
) -> None:
    (repo / "cart.py").write_text("def total(prices):\n    return max(prices)\n")
    (repo / "価格 表.py").write_text("a = 2\n")
    (repo / "新 new.py").write_text("b = 3\n")
    (repo / "old.py").unlink()
    reviewers = Reviewers(script, {"cart.py": "max is wrong", "新 new.py": "b is wrong"}, ("max is wrong",))
    with OllamaServer(reviewers) as server:
        done = flow_here("run", "review", *OFF, "-i", "about=totals", cwd=repo, url=server.url)
    assert done.output["verdict"] == {
        "verdict": "revise",
        "findings": [{"file": "cart.py", "line": 1, "severity": "error", "text": "max is wrong"}],
    }
    assert set(reviewers.looked) == {"cart.py", "価格 表.py", "新 new.py", "old.py"}
    assert "-    return sum(prices)\n+    return max(prices)" in reviewers.looked["cart.py"][0]
    assert "+a = 2" in reviewers.looked["価格 表.py"][0] and "-x = 1" in reviewers.looked["old.py"][0]
    assert "The file is new" in reviewers.looked["新 new.py"][0]
    assert len(reviewers.second) == 2 and all("totals" in each for each in reviewers.second)


def test_a_branch_is_reviewed_from_where_it_began(flow_here: Any, repo: Path, script: Any) -> None:
    git(repo, "checkout", "-qb", "work")
    (repo / "cart.py").write_text("def total(prices):\n    return max(prices)\n")
    git(repo, "commit", "-qam", "change")
    git(repo, "checkout", "-q", "main")
    (repo / "old.py").write_text("x = 2\n")
    git(repo, "commit", "-qam", "meanwhile")
    git(repo, "checkout", "-q", "work")
    reviewers = Reviewers(script, {"cart.py": "max is wrong"}, ())
    with OllamaServer(reviewers) as server:
        done = flow_here("run", "review", "main", *OFF, cwd=repo, url=server.url)
        assert done.output["verdict"] == {"verdict": "approve", "findings": []}
        assert set(reviewers.looked) == {"cart.py"}
        once = flow_here("run", "review", "main", "--no-confirm", *OFF, cwd=repo, url=server.url)
    assert once.output["verdict"]["verdict"] == "revise"
    assert len(reviewers.second) == 1


def test_without_a_change_no_model_is_asked(flow_here: Any, repo: Path) -> None:
    with OllamaServer(scripted([])) as server:
        done = flow_here("run", "review", *OFF, cwd=repo, url=server.url)
    assert done.output["verdict"] == {"verdict": "approve", "findings": []}


def test_a_long_change_is_reviewed_piece_by_piece_in_a_small_window(flow_here: Any, repo: Path, script: Any) -> None:
    lines = [f"value_{number} = compute(value_{number - 1}, {number})" for number in range(1, 2_501)]
    (repo / "old.py").write_text("\n".join(lines))
    reviewers = Reviewers(script, {}, ())
    with OllamaServer(reviewers, context_length=8_192) as server:
        done = flow_here("run", "review", *OFF, cwd=repo, url=server.url)
    pieces = "".join(reviewers.looked["old.py"])
    assert 1 < len(reviewers.looked["old.py"]) <= 20
    (finding,) = done.output["verdict"]["findings"]
    assert (finding["severity"], finding["text"][:24]) == ("note", "Only the first 20 pieces")
    assert "+value_1 =" in pieces and "+value_500 =" in pieces


@pytest.mark.parametrize("base", ["nowhere", "--output=pwned.txt"])
def test_a_base_that_git_does_not_know_ends_with_2(flow_here: Any, repo: Path, base: str) -> None:
    (repo / "cart.py").write_text("")
    with OllamaServer(scripted([])) as server:
        done = flow_here("run", "review", "-i", f"base={base}", *OFF, cwd=repo, url=server.url)
    assert done.code == 2
    assert f"git cannot compare with {base}: fatal: bad revision '{base}'" in done.err
    assert not list(repo.rglob("pwned*"))
