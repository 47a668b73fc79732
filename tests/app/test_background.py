"""Runs with something in the background: it is there for later calls and nodes, and gone whenever the run is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answer, ChatRequest
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.slow

GRAPH = """flow: 1
name: serve
nodes:
  work: {type: agent, prompt: Serve the shop, tools: [background, bash]}
  check: {type: shell, run: [bash, -c, "%s"]}
edges: [[START, work, check, END]]
"""
TICKING = "setsid bash -c 'while :; do date +%N >> ticks; sleep 0.05; done' & echo $$ > pid; sleep 600"


@pytest.fixture
def graph(isolated_home: Path) -> Callable[[str], None]:
    def write(check: str = "true") -> None:
        graphs = isolated_home / "flow" / "config" / "graphs"
        graphs.mkdir(parents=True, exist_ok=True)
        (graphs / "serve.yaml").write_text(GRAPH % check)

    write()
    return write


class Said:
    """Scripted answers of the one agent; what a number maps to is done before that answer is given."""

    def __init__(self, *answers: Answer, **before: Callable[[], None]) -> None:
        self._answers = answers
        self._before = {int(name.lstrip("n")): done for name, done in before.items()}
        self.shown: list[str] = []

    def __call__(self, request: ChatRequest) -> Answer:
        count = sum(message["role"] == "assistant" for message in request.messages)
        self.shown = [str(message["content"]) for message in request.messages if message["role"] == "tool"]
        if done := self._before.pop(count, None):
            done()
        answer: Answer = self._answers[count]
        return answer


class Process:
    """A `flow run serve` that is under way; `kill` waits until it is known."""

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._ready = threading.Event()

    def start(self, server: OllamaServer, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "flowloom", "run", "serve", "--mode", "auto", *words]
        env = {**os.environ, "OLLAMA_HOST": server.url}
        self.process = subprocess.Popen(command, cwd=self._repo, env=env, stderr=subprocess.PIPE, text=True)
        self._ready.set()
        return self.process

    def signal(self, number: int) -> Callable[[], None]:
        def send() -> None:
            assert self._ready.wait(60)
            self.process.send_signal(number)
            if number == signal.SIGKILL:
                self.process.wait()

        return send


@pytest.fixture
def started(repo: Path, graph: object) -> Iterator[Process]:
    made = Process(repo)
    yield made
    if hasattr(made, "process"):
        made.process.kill()
        made.process.communicate()


def is_still(path: Path) -> bool:
    before = path.read_bytes()
    time.sleep(0.3)
    return path.read_bytes() == before


def shown(flow: Any, repo: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(flow("runs", "show", "-o", "json", cwd=repo).out)
    return found


def events_of(flow: Any, repo: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in flow("runs", "tail", "-o", "jsonl", cwd=repo).out.splitlines()]


def test_a_job_lives_through_calls_and_nodes_and_ends_with_the_run(
    script: Any, flow: Any, repo: Path, graph: Callable[[str], None]
) -> None:
    graph("wc -l < ticks; sleep 0.3; wc -l < ticks")
    said = Said(
        script.call("background", action="start", command=TICKING),
        script.call("bash", command="true"),
        script.call("background", action="list"),
        script.Reply("served"),
    )
    with OllamaServer(said) as server:
        done = flow("run", "serve", "--mode", "auto", cwd=repo, url=server.url)
    assert done.code == 0, done.err
    assert said.shown[0].startswith("job 1: running for ")
    assert said.shown[2].startswith("1  running for ")
    assert "Job 1 was ended with the run: setsid bash" in done.err
    events = events_of(flow, repo)
    check = next(
        event["data"] for event in events if event["type"] == "tool_end" and event["data"]["name"] == "command"
    )
    before, after = map(int, check["text"].split())
    assert before < after
    # Nobody may take the run for ended while something of it runs.
    assert [(event["type"], str(event["data"].get("text"))[:5]) for event in events[-2:]] == [
        ("notice", "Job 1"),
        ("run_end", "None"),
    ]
    assert is_still(repo / "ticks")
    assert shown(flow, repo)["jobs"] == []


def test_a_failed_run_leaves_nothing_running(
    script: Any, flow: Any, repo: Path, graph: Callable[[str], None]
) -> None:
    said = Said(script.call("background", action="start", command=TICKING), *[script.Reply("")] * 5)
    with OllamaServer(said) as server:
        assert flow("run", "serve", "--mode", "auto", cwd=repo, url=server.url).code not in (0, 4)
    assert is_still(repo / "ticks")


def test_a_run_that_waits_for_an_answer_leaves_nothing_running_and_the_agent_is_told(
    script: Any, flow: Any, repo: Path, graph: object, isolated_home: Path
) -> None:
    said = Said(
        script.call("background", action="start", command=TICKING),
        script.call("bash", command="touch made"),
        script.Reply("served"),
    )
    (isolated_home / "flow" / "config" / "config.toml").write_text('[permissions]\n"bash(touch:*)" = "ask"\n')
    with OllamaServer(said) as server:
        assert flow("run", "serve", "--mode", "auto", cwd=repo, url=server.url).code == 4
        assert is_still(repo / "ticks")
        assert flow("resume", "--answer", "yes", cwd=repo, url=server.url).code == 0
    assert said.shown[1].endswith(f"[job 1 in the background, {TICKING[:80]}: stopped]")
    assert (repo / "made").exists()


def test_ctrl_c_ends_the_jobs_with_the_run(script: Any, repo: Path, started: Process) -> None:
    said = Said(
        script.call("background", action="start", command=TICKING),
        script.call("bash", command="true"),
        script.Reply("served"),
        n1=started.signal(signal.SIGINT),
    )
    with OllamaServer(said) as server:
        assert started.start(server).wait(60) == 130
    assert is_still(repo / "ticks")


def test_after_a_kill_the_resume_takes_the_job_over_and_begins_it_no_second_time(
    script: Any, flow: Any, repo: Path, started: Process
) -> None:
    seen: list[Any] = []

    def kill_and_look() -> None:
        started.signal(signal.SIGKILL)()
        seen.append(is_still(repo / "ticks"))
        seen.append(shown(flow, repo))
        seen.append(flow("runs", "show", cwd=repo).out)
        seen.append(flow("runs", "tail", cwd=repo).out)

    said = Said(
        script.call("background", action="start", command=f"echo x >> begun; {TICKING}"),
        script.call("background", action="list"),
        script.Reply("served"),
        n1=kill_and_look,
    )
    with OllamaServer(said) as server:
        assert started.start(server).wait(60) == -signal.SIGKILL
        while len(seen) < 4:
            time.sleep(0.05)
        done = flow("resume", cwd=repo, url=server.url)
    assert done.code == 0, done.err
    was_still, report, text, tail = seen
    assert not was_still
    (job,) = report["jobs"]
    assert (report["status"], job["number"], job["state"]) == ("interrupted", 1, "running")
    assert job["pid"] > 0
    assert "Running in the background:" in text
    assert str(job["pid"]) in text
    assert tail.startswith("Running in the background:")
    assert "Job 1 goes on in the background" in done.err
    assert said.shown[1].startswith("1  running for ")
    assert (repo / "begun").read_text() == "x\n"
    assert is_still(repo / "ticks")


def test_a_job_that_died_with_the_machine_is_told_to_the_agent_and_not_begun_again(
    script: Any, flow: Any, repo: Path, started: Process, isolated_home: Path
) -> None:
    def kill_all() -> None:
        started.signal(signal.SIGKILL)()
        (note,) = (isolated_home / "flow" / "data" / "blobs").glob("*/jobs/*/background.json")
        os.kill(int((note.parent / "claim").read_text().split()[0]), signal.SIGKILL)

    said = Said(
        script.call("background", action="start", command=f"echo x >> begun; {TICKING}"),
        script.call("bash", command="true"),
        script.Reply("served"),
        n1=kill_all,
    )
    with OllamaServer(said) as server:
        assert started.start(server).wait(60) == -signal.SIGKILL
        assert flow("resume", cwd=repo, url=server.url).code == 0
    assert said.shown[1].endswith(": gone, cut short with its machine or by a kill]")
    assert (repo / "begun").read_text() == "x\n"
    assert is_still(repo / "ticks")


def test_removing_a_killed_run_ends_its_jobs(script: Any, flow: Any, repo: Path, started: Process) -> None:
    said = Said(
        script.call("background", action="start", command=TICKING),
        script.Reply("served"),
        n1=started.signal(signal.SIGKILL),
    )
    with OllamaServer(said) as server:
        assert started.start(server).wait(60) == -signal.SIGKILL
    assert not is_still(repo / "ticks")
    done = flow("runs", "rm", "last", cwd=repo)
    assert done.code == 0, done.err
    assert is_still(repo / "ticks")
