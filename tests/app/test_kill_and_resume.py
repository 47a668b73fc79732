"""A run killed with SIGKILL goes on with `flow resume`: finished steps are not repeated, the tree ends the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, Answers, ChatRequest
from flowloom.llm.ollama_server import OllamaServer, scripted

pytestmark = pytest.mark.slow

# Ends its own process right after the n-th checkpoint is on disk: the border between two supersteps.
KILL_AT_BORDER = """
import os, signal, sys
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

left = int(sys.argv.pop(1))
put = AsyncSqliteSaver.aput

async def put_and_count(*args, **kwargs):
    global left
    done = await put(*args, **kwargs)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

AsyncSqliteSaver.aput = put_and_count
from flowloom.cli.app import main
main()
"""


def run_until_border(shop: Any, server: OllamaServer, border: int) -> int:
    words = ["run", "plan-and-code", shop.task, "--mode", "auto", "-c", shop.verify, "-q"]
    command = [sys.executable, "-c", KILL_AT_BORDER, str(border), *words]
    env = {**os.environ, "OLLAMA_HOST": server.url}
    return subprocess.run(command, cwd=shop.repo, env=env, capture_output=True, timeout=120).returncode


def tree(repo: Path) -> dict[str, bytes]:
    paths = [path.relative_to(repo) for path in sorted(repo.rglob("*")) if path.is_file()]
    return {str(path): (repo / path).read_bytes() for path in paths if not {".git", "__pycache__"} & {*path.parts}}


def put_back(repo: Path) -> None:
    """Make the tree as it was before a run, without the bytecode that the tests of one leave."""
    for words in (["checkout", "-q", "."], ["clean", "-fdq"]):
        subprocess.run(["git", *words], cwd=repo, check=True)


def asked(server: OllamaServer) -> Counter[str]:
    """Count model calls by their whole conversation: the same call twice has the same messages."""
    return Counter(json.dumps(request.messages) for request in server.requests)


@pytest.fixture
def undisturbed(shop: Any, answers: Answers) -> tuple[dict[str, bytes], Counter[str], int]:
    """Run once without a kill; return the tree, the calls, and the number of checkpoints. The tree is put back."""
    with OllamaServer(answers) as server:
        assert shop.run(server).code == 0
        calls = asked(server)
    result = tree(shop.repo)
    put_back(shop.repo)
    database = Path(os.environ["FLOW_HOME"]) / "data" / "runs.db"
    import sqlite3

    with sqlite3.connect(database) as connection:
        count = connection.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
    connection.close()
    return result, calls, count


@pytest.mark.long
def test_killed_at_ten_superstep_borders_it_resumes_without_repeating_a_finished_step(
    shop: Any, answers: Answers, undisturbed: tuple[dict[str, bytes], Counter[str], int]
) -> None:
    result, calls, checkpoints = undisturbed
    borders = [1 + (checkpoints - 2) * at // 9 for at in range(10)]
    for border in borders:
        with OllamaServer(answers) as server:
            assert run_until_border(shop, server, border) == -signal.SIGKILL
            done = shop.flow("resume", cwd=shop.repo, url=server.url)
            assert done.code == 0, f"border {border}: {done.err}"
            assert asked(server) == calls, f"border {border}"
        assert tree(shop.repo) == result, f"border {border}"
        put_back(shop.repo)


class KillDuringCall:
    """Answers like the script, but the n-th request gets the asking process killed before its answer."""

    def __init__(self, answers: Answers, call: int) -> None:
        self._answers = answers
        self._call = call
        self.process: subprocess.Popen[bytes] | None = None
        self.started = threading.Event()

    def __call__(self, request: ChatRequest) -> Answer:
        if request.index == self._call:
            self.started.wait(60)
            assert self.process is not None
            self.process.kill()
            self.process.wait()
        return self._answers(request)


@pytest.mark.parametrize("call", [0, *(pytest.param(call, marks=pytest.mark.long) for call in (3, 6)), 9])
def test_killed_during_a_model_call_only_that_call_is_asked_again(
    shop: Any, answers: Answers, undisturbed: tuple[dict[str, bytes], Counter[str], int], call: int
) -> None:
    result, calls, _ = undisturbed
    killer = KillDuringCall(answers, call)
    with OllamaServer(killer) as server:
        words = ["run", "plan-and-code", shop.task, "--mode", "auto", "-c", shop.verify, "-q"]
        env = {**os.environ, "OLLAMA_HOST": server.url}
        killer.process = subprocess.Popen([sys.executable, "-m", "flowloom", *words], cwd=shop.repo, env=env)
        killer.started.set()
        assert killer.process.wait(60) == -signal.SIGKILL
        killed = json.dumps(server.requests[call].messages)
        done = shop.flow("resume", cwd=shop.repo, url=server.url)
        assert done.code == 0, done.err
        assert asked(server) - calls == Counter([killed])
    assert tree(shop.repo) == result


def test_a_finished_run_is_not_resumed(shop: Any, answers: Answers) -> None:
    with OllamaServer(answers) as server:
        assert shop.run(server).code == 0
        done = shop.flow("resume", cwd=shop.repo, url=server.url)
    assert done.code == 2
    assert "is done" in done.err


def test_ctrl_c_saves_and_ends_with_130(shop: Any, answers: Answers) -> None:
    class StopAt:
        process: subprocess.Popen[bytes]

        def __call__(self, request: ChatRequest) -> Answer:
            if request.index == 4:
                self.process.send_signal(signal.SIGINT)
            return answers(request)

    stopper = StopAt()
    with OllamaServer(stopper) as server:
        words = ["run", "plan-and-code", shop.task, "--mode", "auto", "-c", shop.verify]
        env = {**os.environ, "OLLAMA_HOST": server.url}
        stopper.process = subprocess.Popen([sys.executable, "-m", "flowloom", *words], cwd=shop.repo, env=env)
        assert stopper.process.wait(60) == 130
        stopped_at = len(server.requests)
        assert shop.flow("resume", cwd=shop.repo, url=server.url).code == 0
        assert max(asked(server).values()) == 1
    assert stopped_at < len(server.requests)
    assert shop.is_green()


TELLS_ERRORS = """\
flow: 1
name: tells
state: {said: {type: list, reduce: append}}
output: state.said
nodes:
  look: {type: shell, run: [cat, none], parse: json, on_error: note, max_visits: 2, on_limit: note}
  note: {type: set, value: {said: "{{ error.node }} {{ error.kind }}"}}
  more: {type: set, value: {}}
edges:
  - [START, look, END]
  - [note, more, END]
"""


def test_killed_between_an_error_and_the_node_it_leads_to_the_error_is_known_after_it(
    make_repo: Any, flow: Any
) -> None:
    repo = make_repo({"a.txt": "a\n"})
    (file := repo.parent / "tells.yaml").write_text(TELLS_ERRORS, "utf-8")
    command = ["run", str(file), "-q", "-c", "sandbox.backend=none"]
    for border in ("2", "3"):
        words = [sys.executable, "-c", KILL_AT_BORDER, border, *command]
        with OllamaServer(scripted([])) as server:
            env = {**os.environ, "OLLAMA_HOST": server.url}
            killed = subprocess.run(words, cwd=repo, env=env, capture_output=True, timeout=120)
            assert killed.returncode == -signal.SIGKILL
            done = flow("resume", "-o", "json", cwd=repo, url=server.url)
        assert done.code == 0, done.err
        assert json.loads(done.out)["output"] == ["look failure"]
