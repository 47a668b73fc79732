"""Git hooks on the commits of a run, as a user has them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer, scripted

GRAPH = """flow: 1
name: save
state: {made: {type: any}}
output: state.made
nodes:
  one: {type: shell, run: [sh, -c, echo 1 >> a.txt]}
  first: {type: commit, message: number one, files: [a.txt]}
  two: {type: shell, run: [sh, -c, echo 2 >> a.txt]}
  second: {type: commit, message: number two, files: [a.txt], output: {to: made}}
edges: [[START, one, first, two, second, END]]
"""
HOOK = "#!/bin/sh\necho checked >> checked.txt\ngit add checked.txt\n"


def git(repo: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    graphs = Path(os.environ["FLOW_HOME"]) / "config/graphs"
    graphs.mkdir(parents=True)
    (graphs / "save.yaml").write_text(GRAPH)
    with OllamaServer(scripted([])) as running:
        yield running


@pytest.fixture
def repo(make_repo: Any) -> Path:
    folder: Path = make_repo({"a.txt": "0\n"}).resolve()
    return folder


def put_hook(repo: Path, text: str, name: str = ".git/hooks/pre-commit") -> Path:
    path = repo / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def records(flow: Any, repo: Path, kind: str) -> list[dict[str, Any]]:
    told = flow("runs", "tail", "-o", "jsonl", cwd=repo).out.splitlines()
    return [record["data"] for record in map(json.loads, told) if record["type"] == kind]


def test_an_untrusted_hook_is_named_once_in_a_run_and_does_not_run(flow: Any, repo: Path, server: Any) -> None:
    put_hook(repo, HOOK)
    done = flow("run", "save", "--mode", "auto", cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert git(repo, "log", "--format=%s").split("\n")[:2] == ["number two", "number one"]
    assert not (repo / "checked.txt").exists()
    notices = [data["text"] for data in records(flow, repo, "notice") if "hooks" in data["text"]]
    assert len(notices) == 1
    assert "not trusted as they are now: pre-commit. `flow trust`" in notices[0]


@pytest.mark.parametrize("worktree", [(), ("--worktree",)])
@pytest.mark.parametrize("folder", [".git/hooks", "named"])
def test_a_trusted_hook_runs_on_each_commit(
    flow: Any, repo: Path, server: Any, worktree: tuple[str, ...], folder: str
) -> None:
    hook = put_hook(repo, HOOK, f"{folder}/pre-commit")
    if folder == "named":
        git(repo, "config", "core.hooksPath", "named")
        git(repo, "add", "named")
        git(repo, "-c", "core.hooksPath=/dev/null", "commit", "-qm", "named")
    assert flow("trust", str(hook), cwd=repo).code == 0
    done = flow("run", "save", "--mode", "auto", "-o", "json", *worktree, cwd=repo, url=server.url)
    assert done.code == 0, done.err
    branch = git(repo, "for-each-ref", "--sort=-committerdate", "--format=%(refname)", "refs/heads").split()[0]
    assert git(repo, "show", f"{branch}:checked.txt") == "checked\nchecked\n"
    assert "checked.txt" in json.dumps(json.loads(done.out))


def test_a_hook_that_refuses_ends_the_run_with_what_it_said_and_a_resume_commits(
    flow: Any, repo: Path, server: Any
) -> None:
    hook = put_hook(repo, "#!/bin/sh\ntest -e fixed || { echo 'a.txt: line too long'; exit 1; }\n")
    assert flow("trust", str(hook), cwd=repo).code == 0
    done = flow("run", "save", "--mode", "auto", cwd=repo, url=server.url)
    assert (done.code, "a.txt: line too long The hook pre-commit failed" in done.err) == (1, True), done.err
    assert git(repo, "status", "--porcelain") == " M a.txt\n"
    (repo / "fixed").write_text("")
    done = flow("resume", cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert git(repo, "log", "--format=%s").split("\n")[:2] == ["number two", "number one"]


def test_a_commit_whose_message_a_hook_changed_can_be_taken_back(flow: Any, repo: Path, server: Any) -> None:
    hook = put_hook(repo, '#!/bin/sh\necho "Change-Id: I1" >> "$1"\n', ".git/hooks/commit-msg")
    assert flow("trust", str(hook), cwd=repo).code == 0
    assert flow("run", "save", "--mode", "auto", cwd=repo, url=server.url).code == 0
    assert git(repo, "log", "--format=%B").count("Change-Id") == 2
    assert flow("undo", "--yes", cwd=repo).code == 0
    assert git(repo, "log", "--format=%s").split("\n")[:1] == ["number one"]


def test_a_decision_about_a_commit_is_told_in_a_line(flow: Any, repo: Path, server: Any) -> None:
    assert flow("run", "save", "--mode", "auto", cwd=repo, url=server.url).code == 0
    told = [data["what"] for data in records(flow, repo, "decision")]
    assert [what for what in told if "commit" in what] == [
        "git commit: number one (a.txt)",
        "git commit: number two (a.txt)",
    ]


@pytest.mark.parametrize(
    "command", [("run", "save", "--mode", "auto"), ("tools", "call", "read_file", '{"path": "a.txt"}')]
)
def test_rules_about_denied_files_that_can_not_be_used_stop_everything(
    flow: Any, repo: Path, server: Any, command: tuple[str, ...]
) -> None:
    (repo / ".flowignore").write_text("x\n" * 60_000)
    done = flow(*command, cwd=repo, url=server.url)
    assert (done.code, done.out) == (2, "")
    assert "larger than 100,000 bytes" in done.err and "Traceback" not in done.err
    assert flow("runs", "list", cwd=repo).out.count("save") == 0
