"""Two resumers of one run, and an owner that is stopped past its lease: one process works on a run, or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from flowloom.llm.answers import Answer, ChatRequest, Reply
from flowloom.llm.ollama_server import OllamaServer
from flowloom.runs.lease import TIMING
from flowloom.runs.store import RunStore

pytestmark = pytest.mark.chaos

ROUNDS = int(os.environ.get("CHAOS_RESUMERS", "50"))
LOSER_S = 1.0
"""How long the process that does not get the run may take, from its start to its end.

Of all rounds the middle one is held to it by the clock and every one by the time it had a processor: the machine may
be busy with other things.
"""
GRAPH = """
flow: 1
name: two-steps
state: {said: {type: any}}
output: {said: state.said}
nodes:
  log: {type: shell, run: [sh, -c, 'echo once >> log']}
  say: {type: agent, prompt: 一言, output: {to: said}}
  end: {type: shell, run: [sh, -c, 'echo end >> log']}
edges: [[START, log, say, end, END]]
"""


class Scene:
    """A repository with the graph, and a server whose answers a test decides on."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.on_request: Callable[[ChatRequest], None] = lambda request: None

    def __call__(self, request: ChatRequest) -> Answer:
        self.on_request(request)
        return Reply("done")

    def start(self, server: OllamaServer, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "flowloom", *words],
            cwd=self.repo,
            env={**os.environ, "OLLAMA_HOST": server.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, server: OllamaServer) -> subprocess.Popen[str]:
        return self.start(server, "run", "./g.yaml", "--mode", "auto", "-c", "verify=", "-q")

    def log(self) -> list[str]:
        return (self.repo / "log").read_text().split()


@pytest.fixture
def scene(make_repo: Any, flow: Any) -> Scene:
    repo = make_repo({"g.yaml": GRAPH, ".gitignore": "log\n"})
    assert flow("trust", "g.yaml", cwd=repo).code == 0
    return Scene(repo)


def database() -> Path:
    return Path(os.environ["FLOW_HOME"]) / "data" / "runs.db"


def forks(store: RunStore, run_id: str) -> int:
    """Count checkpoints that share their parent with another one."""
    sql = (
        "SELECT count(*) AS n FROM checkpoints WHERE thread_id = ?"
        " GROUP BY checkpoint_ns, parent_checkpoint_id HAVING n > 1"
    )
    return len(store.query(sql, (run_id,)))


def kill_while_the_model_is_asked(scene: Scene, server: OllamaServer) -> None:
    asked = threading.Event()
    go_on = threading.Event()

    def hold(request: ChatRequest) -> None:
        asked.set()
        go_on.wait(60)

    scene.on_request = hold
    process = scene.run(server)
    assert asked.wait(60)
    process.kill()
    process.communicate()
    go_on.set()


class Ended(NamedTuple):
    """How a process ended; seconds by the clock and on a processor."""

    code: int
    said: str
    seconds: float
    cpu_s: float


def end(process: subprocess.Popen[str], began: float) -> Ended:
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, said, time.monotonic() - began, used.ru_utime + used.ru_stime)


def race(scene: Scene, server: OllamaServer) -> list[Ended]:
    """Resume a run twice at once; return how both ended, the winner first."""
    over = threading.Event()
    ended: list[Ended] = []

    def hold(request: ChatRequest) -> None:
        over.wait(60)

    def wait(process: subprocess.Popen[str], began: float) -> None:
        ended.append(end(process, began))
        # The winner is not answered before the loser has ended, so it cannot be done by then.
        over.set()

    scene.on_request = hold
    processes = [(scene.start(server, "resume", "-q"), time.monotonic()) for _ in range(2)]
    waiting = [threading.Thread(target=wait, args=each) for each in processes]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    return sorted(ended)


def test_of_two_resumers_exactly_one_works(scene: Scene) -> None:
    losers = []
    for number in range(ROUNDS):
        (scene.repo / "log").unlink(missing_ok=True)
        with OllamaServer(scene) as server:
            kill_while_the_model_is_asked(scene, server)
            winner, loser = race(scene, server)
            assert len(server.requests) == 2, f"round {number}"
        assert (winner.code, loser.code) == (0, 2), f"round {number}: {winner} {loser}"
        assert "is being worked on by process" in loser.said
        assert scene.log() == ["once", "end"], f"round {number}"
        with RunStore(database()) as store:
            (row,) = store.list_runs(None, 1)
            assert forks(store, row.id) == 0, f"round {number}"
            assert store.query("PRAGMA integrity_check")[0][0] == "ok"
        losers.append(loser)
    middle, slowest = median(each.seconds for each in losers), max(each.seconds for each in losers)
    cpu_s = max(each.cpu_s for each in losers)
    print(f"\n{ROUNDS} rounds: losers {middle:.2f} s, the slowest {slowest:.2f} s; at most {cpu_s:.2f} s of CPU")
    assert middle < LOSER_S
    assert cpu_s < LOSER_S


@pytest.mark.parametrize("taken_over", [True, False])
def test_owner_stopped_past_its_lease_writes_nothing_more(scene: Scene, taken_over: bool) -> None:
    asked = threading.Event()
    go_on = threading.Event()

    def hold_the_first(request: ChatRequest) -> None:
        if request.index == 0:
            asked.set()
            go_on.wait(120)

    def contents(store: RunStore) -> list[Any]:
        tables = ("run", "event", "tool_call", "checkpoints", "writes", "lease")
        return [[tuple(row) for row in store.query(f"SELECT * FROM {table}")] for table in tables]

    scene.on_request = hold_the_first
    with OllamaServer(scene) as server, RunStore(database()) as store:
        owner = scene.run(server)
        assert asked.wait(60)
        owner.send_signal(signal.SIGSTOP)
        time.sleep(TIMING.lease_s + 1)
        if taken_over:
            resumed = scene.start(server, "resume", "-q")
            assert resumed.wait(60) == 0, resumed.communicate()
            resumed.communicate()
            assert scene.log() == ["once", "end"]
        before, log = contents(store), scene.log()
        go_on.set()
        owner.send_signal(signal.SIGCONT)
        _, said = owner.communicate(timeout=60)
        after = contents(store)
    if not taken_over:
        # It gives back what nobody took, and says how to go on.
        before[-1] = after[-1] = None
    assert after == before
    assert scene.log() == log
    assert owner.returncode == 130
    expected = "was taken over by process" if taken_over else "stood still for longer than its lease of 30 s"
    assert expected in said
    assert said.startswith("flow: ")
    assert len(said.strip().splitlines()) <= 2
