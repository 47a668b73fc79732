"""A fork of the server is what a new interpreter is: the same command says, leaves and ends with the same."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer, scripted

from .forked_flow import ForkServer

GRAPH = """\
flow: 1
name: looks
input: {word: {type: string, positional: true, required: true}}
state: {said: {type: list, reduce: append}}
output: state.said
nodes:
  look:
    type: shell
    run: [sh, -c, 'printf %s "$WORD" > word; env | grep -v ^FLOW_HOME | sort > variables; cat > input']
    env: {WORD: "{{ input.word }}"}
  ask: {type: human, show: "Go on with {{ input.word }}?", choices: [yes, no], output: {to: said}}
  stop: {type: fail, message: It ran., exit: 7}
edges:
  - [START, look]
  - {from: look, when: 'input.word == "good"', to: ask, else: stop}
  - [ask, END]
"""
RUN = ("--no-input", "run", "../looks.yaml", "--mode", "auto", "-c", "sandbox.backend=none")
COMMANDS = (
    (4, (*RUN, "good")),
    (0, ("resume", "--answer", "yes", "-o", "json")),
    (7, (*RUN, "地", "-o", "jsonl")),
    (2, ("run", "../looks.yaml")),
    (0, ("runs", "list", "-o", "json")),
)


def masked(text: str, folder: Path) -> str:
    """Leave out what no two runs share: the folder, ids, times and seconds."""
    ids = r"\b[a-z0-9]{8}\b|\b(?:[0-9a-f]{2}/)?[0-9a-f-]{6,64}\b"
    times = r"\d+(\.\d+)?(?= s)|\d{4}-\d\d-\d\dT[\d:.+Z]+|\d+\.\d+(e-\d+)?"
    return re.sub(f"{times}|{ids}", "~", text.replace(str(folder), "HERE"))


def outcome(flow: Any, folder: Path, url: str, *, fresh: bool) -> dict[str, str]:
    """Run the commands in a new folder; return what each printed, what the graph wrote, and which files are there."""
    repo = folder / "repo"
    repo.mkdir(parents=True)
    (folder / "looks.yaml").write_text(GRAPH, "utf-8")
    subprocess.run(["git", "init", "-q"], cwd=repo, check=True)
    seen: dict[str, str] = {}
    for code, words in COMMANDS:
        done = flow(*words, cwd=repo, url=url, stdin="", fresh=fresh)
        assert done.code == code, done.err
        seen |= {f"{words} out": done.out, f"{words} err": done.err}
    found = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    seen |= {path.name: path.read_text("utf-8") for path in found if path.parent == repo}
    seen["files"] = "\n".join(sorted(masked(str(path), folder) for path in found))
    return {name: masked(text, folder) for name, text in seen.items()}


@pytest.fixture
def server(fork_servers: Iterator[ForkServer]) -> ForkServer:
    return next(fork_servers)


def test_runs_their_resume_failures_and_faults_are_the_same_as_of_a_new_interpreter(
    flow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    with OllamaServer(scripted([])) as model:
        for fresh in (False, True):
            folder = tmp_path / ("new" if fresh else "old")
            monkeypatch.setenv("FLOW_HOME", str(folder / "home"))
            seen.append(outcome(flow, folder, model.url, fresh=fresh))
    old, new = seen
    for name, text in old.items():
        assert text == new.get(name), name
    assert old.keys() == new.keys() and old["word"] == "地"


def test_a_server_has_one_thread_and_nothing_open_but_its_streams_and_its_socket(
    server: ForkServer, tmp_path: Path
) -> None:
    assert server.run(["version"], tmp_path, os.environ, None, 60).returncode == 0
    folder = Path(f"/proc/{server.pid}")
    if not folder.exists():
        pytest.skip("there is no /proc to look into")
    assert len(list((folder / "task").iterdir())) == 1
    assert len(list((folder / "fd").iterdir())) == 4


def test_a_command_out_of_time_is_killed_and_the_next_one_runs(server: ForkServer, tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        server.run(["version"], tmp_path, os.environ, None, 0)
    assert server.run(["version"], tmp_path, os.environ, None, 60).stdout.startswith("flow")


@pytest.mark.parametrize("name", ["LC_ALL", "PYTHONHASHSEED", "PYTHONDEVMODE", "TERM", "HTTP_PROXY"])
def test_variables_that_are_read_early_need_a_new_interpreter(name: str) -> None:
    assert not ForkServer({}).fits({name: "other"})
    assert not ForkServer({name: "other"}).fits({})
    assert ForkServer({}).fits({"FLOW_MODE": "auto", "HOME": "/elsewhere"})
