"""Ctrl-C, SIGTERM and looking on: a run stops at the border of its step, saved, and another process may watch it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import Fault, OllamaServer, Reply, scripted

pytestmark = pytest.mark.long

GRAPH = """flow: 1
name: two
nodes:
  one: {{type: shell, run: [bash, -c, "echo one >> log; echo $$ > pid; {wait}; echo end >> log"]}}
  two: {{type: shell, run: [bash, -c, "echo two >> log"]}}
edges: [[START, one, two, END]]
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(scripted([])) as server:
        yield server


@pytest.fixture
def start(isolated_home: Path, repo: Path, server: OllamaServer) -> Iterator[Start]:
    """Return a function that starts a run whose first command waits so, and returns once that command runs."""
    begun: list[subprocess.Popen[str]] = []

    def start(wait: str) -> subprocess.Popen[str]:
        graphs = isolated_home / "flow" / "config" / "graphs"
        graphs.mkdir(parents=True, exist_ok=True)
        (graphs / "two.yaml").write_text(GRAPH.format(wait=wait))
        words = [sys.executable, "-m", "flowloom", "run", "two"]
        process = subprocess.Popen(words, cwd=repo, env=environ(server), stderr=subprocess.PIPE, text=True)
        begun.append(process)
        until(lambda: (repo / "pid").exists() and bool((repo / "pid").read_text()))
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def environ(server: OllamaServer) -> dict[str, str]:
    return {**os.environ, "OLLAMA_HOST": server.url}


def until(reached: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def sleepers(seconds: str) -> list[str]:
    """Return the processes that sleep for so long; their numbers inside a sandbox are others."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", seconds.encode()]:
                found.append(path.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def log(repo: Path) -> str:
    return (repo / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_lets_the_running_command_end(
    start: Start, repo: Path, flow: Any, server: OllamaServer, number: int
) -> None:
    process = start("sleep 2")
    process.send_signal(number)
    assert process.wait(20) == 130
    assert log(repo) == "one\nend\n"
    assert flow("resume", cwd=repo, url=server.url).code == 0
    assert log(repo) == "one\nend\ntwo\n"


def test_second_signal_ends_the_command_with_its_group(start: Start, repo: Path) -> None:
    process = start("sleep 301.17 & sleep 301.17")
    until(lambda: len(sleepers("301.17")) == 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert time.monotonic() - began < 8
    until(lambda: not sleepers("301.17"))
    assert log(repo) == "one\n"


def test_sigterm_waits_ten_seconds_for_a_command_and_no_longer(start: Start, repo: Path) -> None:
    process = start("sleep 302.17")
    until(lambda: bool(sleepers("302.17")))
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 130
    assert 9 < time.monotonic() - began < 20
    until(lambda: not sleepers("302.17"))


@pytest.mark.parametrize(
    "fault", [Fault("slow-start", delay_s=600), Fault("stall", delay_s=600), Fault("http-503")], ids=lambda f: f.kind
)
def test_first_signal_does_not_wait_for_a_server_that_gives_nothing(
    repo: Path, flow: Any, isolated_home: Path, fault: Fault
) -> None:
    graph = repo.parent / "think.yaml"
    graph.write_text("flow: 1\nname: think\nnodes:\n  one: {type: llm, prompt: Think.}\nedges: [[START, one, END]]\n")
    answers = iter([fault] if fault.kind != "http-503" else [fault] * 4)
    with OllamaServer(lambda request: next(answers, Reply("thought"))) as server:
        words = [sys.executable, "-m", "flowloom", "run", str(graph)]
        process = subprocess.Popen(words, cwd=repo, env=environ(server), stderr=subprocess.DEVNULL)
        try:
            until(lambda: len(server.requests) >= (3 if fault.kind == "http-503" else 1))
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            # The settings would let it wait for five, one and two minutes.
            assert process.wait(20) == 130
        finally:
            process.kill()
            process.wait()
        assert flow("resume", cwd=repo, url=server.url).code == 0


def test_stopped_run_says_how_it_goes_on(start: Start, repo: Path, flow: Any) -> None:
    process = start("sleep 1")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert "Stopping after this step" in err
    assert "Stopped after the step that was under way." in err
    assert "flow resume" in err
    shown = json.loads(flow("runs", "show", "-o", "json", cwd=repo).out)
    assert shown["status"] == "interrupted"
    assert [step["state"] for step in shown["steps"]] == ["done"]


def test_tail_follows_the_run_of_another_process_to_its_end(start: Start, repo: Path, server: OllamaServer) -> None:
    process = start("sleep 3")
    words = [sys.executable, "-m", "flowloom", "runs", "tail", "-o", "jsonl"]
    done = subprocess.run(words, cwd=repo, env=environ(server), capture_output=True, text=True, timeout=60)
    assert process.wait(20) == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    assert (events[0]["type"], events[-1]["type"]) == ("run_start", "run_end")
