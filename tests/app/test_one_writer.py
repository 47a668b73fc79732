"""One process a run, one changing run a workspace, and worktrees: the commands as a person meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, Answers, ChatRequest
from flowloom.llm.ollama_server import OllamaServer
from flowloom.runs.store import RunStore

pytestmark = pytest.mark.long


class Hold:
    """Answers like the script, but keeps the first request waiting until `go` is set."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked = threading.Event()
        self.go = threading.Event()

    def __call__(self, request: ChatRequest) -> Answer:
        if request.index == 0:
            self.asked.set()
            self.go.wait(60)
        return self._answers(request)


@contextmanager
def held_run(shop: Any, answers: Answers, *words: str) -> Iterator[tuple[OllamaServer, subprocess.Popen[str]]]:
    """Give a run that waits for its first answer; it ends after the `with`."""
    hold = Hold(answers)
    with OllamaServer(hold) as server:
        command = ["run", "plan-and-code", shop.task, "--mode", "auto", "-c", shop.verify, *words]
        env = {**os.environ, "OLLAMA_HOST": server.url}
        process = subprocess.Popen(
            [sys.executable, "-m", "flowloom", *command],
            cwd=shop.repo,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert hold.asked.wait(60)
        try:
            yield server, process
        finally:
            hold.go.set()
            process.communicate(timeout=120)


def database() -> Path:
    return Path(os.environ["FLOW_HOME"]) / "data" / "runs.db"


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_held_run_is_not_resumed_and_its_workspace_not_shared(shop: Any, answers: Answers) -> None:
    with held_run(shop, answers) as (server, process), RunStore(database()) as store:
        (row,) = store.list_runs(None, -1)
        events = store.events(row.id)
        began = time.monotonic()
        resumed = shop.flow("resume", cwd=shop.repo, url=server.url)
        seconds = time.monotonic() - began
        second = shop.run(server)
        removed = shop.flow("runs", "rm", "last", cwd=shop.repo)
        assert store.list_runs(None, -1) == [row]
        assert store.events(row.id) == events
    assert (resumed.code, second.code, removed.code) == (2, 2, 2)
    assert f"flow: Run {row.id} is being worked on by process {process.pid} on " in resumed.err
    # It was refused at once, and did not wait for the lease to run out.
    assert seconds < 20
    assert f"flow: Run {row.id} may be changing '{shop.repo}'" in second.err
    assert "--worktree" in second.err
    assert process.returncode == 0
    assert shop.is_green()


def test_second_run_works_in_a_worktree_beside_the_first(shop: Any, answers: Answers) -> None:
    with held_run(shop, answers), OllamaServer(answers) as server:
        (shop.repo / "mine.txt").write_text("not committed\n")
        # -B: the bytecode of the tests would be files that no commit has.
        done = shop.run(server, "--worktree", "-c", "verify='python3 -B -m unittest'")
        assert done.code == 0, done.err
        assert "without the changes of 1 file in" in done.err
        assert not shop.is_green()
        shown = shop.flow("runs", "show", "last", cwd=shop.repo).out
    with RunStore(database()) as store:
        row = store.find_run("last", shop.repo)
    folder = Path(row.folder)
    assert not (folder / "mine.txt").exists()
    for text in (done.err, shown):
        assert f"flow/{row.id}: 2 files not committed" in text
        assert f"merge flow/{row.id}" in text
    assert "shop/cart.py" in done.out

    kept = shop.flow("runs", "rm", row.id, cwd=shop.repo)
    assert kept.code == 2
    assert "2 files that no commit has (shop/cart.py, shop/label.py)" in kept.err
    assert shop.is_green(folder)
    assert shop.flow("runs", "rm", "--force", row.id, cwd=shop.repo).code == 0
    assert not folder.exists()
    assert "flow/" not in git(shop.repo, "branch", "--list")


def test_killed_run_with_a_worktree_goes_on_there(shop: Any, answers: Answers) -> None:
    class KillAt:
        process: subprocess.Popen[bytes]
        ready = threading.Event()

        def __call__(self, request: ChatRequest) -> Answer:
            if request.index == 4:
                self.ready.wait(60)
                self.process.kill()
                self.process.wait()
            return answers(request)

    killer = KillAt()
    with OllamaServer(killer) as server:
        words = ["run", "plan-and-code", shop.task, "--mode", "auto", "-c", shop.verify, "--worktree", "-q"]
        env = {**os.environ, "OLLAMA_HOST": server.url}
        killer.process = subprocess.Popen([sys.executable, "-m", "flowloom", *words], cwd=shop.repo, env=env)
        killer.ready.set()
        killer.process.wait(60)
        done = shop.flow("resume", cwd=shop.repo, url=server.url)
        assert done.code == 0, done.err
    with RunStore(database()) as store:
        row = store.find_run("last", shop.repo)
    assert shop.is_green(Path(row.folder))
    assert not shop.is_green()


def test_waiting_run_leaves_the_workspace_to_others(shop: Any, script: Any, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        words = ("run", "plan-and-code", shop.task, "--mode", "ask", "-c", shop.verify, "--no-approve-plan")
        waiting = shop.flow(*words, cwd=shop.repo, url=server.url)
        assert waiting.code == 4, waiting.err
        assert shop.run(server).code == 0


def test_worktree_of_a_repository_without_a_commit_is_refused(flow: Callable[..., Any], tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    done = flow("run", "plan-and-code", "task", "--worktree", cwd=tmp_path)
    assert done.code == 2
    assert "has no commit yet" in done.err


def test_trust_given_in_the_workspace_counts_in_its_worktree(
    make_repo: Any, flow: Callable[..., Any], script: Any
) -> None:
    repo = make_repo({"AGENTS.md": "RULE-OF-THE-HOUSE\n", "a.py": "a = 1\n"})
    assert flow("trust", "AGENTS.md", cwd=repo).code == 0
    plan = {"title": "t", "steps": [{"id": "one", "title": "One", "brief": "DO-IT"}]}
    answers = script.conversation(
        script.Agent((script.PLANNER,), [script.Reply(json.dumps(plan))]),
        script.Agent((script.CODER,), [script.Reply("nothing to do")]),
        script.Agent((script.REVIEWER,), [script.Reply('{"verdict": "approve", "findings": []}')]),
    )
    with OllamaServer(answers) as server:
        words = ("run", "plan-and-code", "t", "--worktree", "--mode", "auto", "-c", "verify=", "--no-approve-plan")
        done = flow(*words, cwd=repo, url=server.url)
        assert done.code == 0, done.err
        first = json.dumps(server.requests[0].messages)
    assert "RULE-OF-THE-HOUSE" in first
    assert "worktrees" in first
