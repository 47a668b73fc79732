"""Run databases of every released version of the state load, and their runs go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer, scripted
from flowloom.runs.versions import FIRST_VERSION, STATE_VERSION

from .make import INTERRUPTED_AT, TURNS, answers, by_hand, unpack

FOLDER = Path(__file__).parent
VERSIONS = range(FIRST_VERSION, STATE_VERSION + 1)
FOUND = {"found": "見つけました", "parts": ["一", "二"], "answer": "yes"}


@pytest.fixture(params=VERSIONS, ids="v{}".format)
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpack a golden database and make it this user's."""
    unpack(FOLDER / f"v{request.param}.tar.gz", tmp_path)
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "flow"))
    return tmp_path


@pytest.fixture
def runs(home: Path, flow: Any) -> dict[str, str]:
    """Return the run of each status."""
    listed = json.loads(flow("runs", "list", "-o", "json", cwd=home / "repo").out)
    return {run["status"]: run["id"] for run in listed}


def test_every_version_has_a_golden_database() -> None:
    names = {path.name for path in FOLDER.glob("v*.tar.gz")}
    assert names == {f"v{version}.tar.gz" for version in VERSIONS}


def test_runs_of_every_status_are_listed_and_shown(home: Path, runs: dict[str, str], flow: Any) -> None:
    assert set(runs) == {"done", "waiting", "interrupted"}
    for status, run_id in runs.items():
        shown = json.loads(flow("runs", "show", run_id, "-o", "json", cwd=home / "repo").out)
        assert shown["status"] == status
        look = shown["steps"][0]
        assert (look["node"], look["model_calls"] > 0) == ("look#1", True)
        assert (look["checkpoint"] != "") == (status != "interrupted")


def test_done_run_still_says_what_it_came_to(home: Path, runs: dict[str, str], flow: Any) -> None:
    shown = json.loads(flow("runs", "show", runs["done"], "-o", "json", cwd=home / "repo").out)
    assert shown["output"] == FOUND
    assert flow("resume", runs["done"], cwd=home / "repo").code == 2


def test_waiting_run_takes_its_answer_without_a_model_call(home: Path, runs: dict[str, str], flow: Any) -> None:
    with OllamaServer(scripted([])) as server:
        done = flow("resume", runs["waiting"], "--answer", "yes", "-o", "json", cwd=home / "repo", url=server.url)
        assert done.code == 0, done.err
        assert server.requests == []
    assert json.loads(done.out)["output"] == FOUND


def test_interrupted_run_goes_on_with_its_whole_conversation(home: Path, runs: dict[str, str], flow: Any) -> None:
    with OllamaServer(answers) as server:
        stopped = flow("--no-input", "resume", runs["interrupted"], cwd=home / "repo", url=server.url)
        assert stopped.code == 4, stopped.err
        said = [sum(m["role"] == "assistant" for m in request.messages) for request in server.requests]
        words = ("resume", runs["interrupted"], "--answer", "yes", "-o", "json")
        done = flow(*words, cwd=home / "repo", url=server.url)
    assert json.loads(done.out)["output"] == FOUND
    assert said == [*range(INTERRUPTED_AT + 1, TURNS + 1)]
    assert (home / "repo" / "out.txt").read_text("utf-8") == "書いた\n"


def test_state_of_a_newer_version_is_refused_and_left_alone(home: Path, runs: dict[str, str], flow: Any) -> None:
    path = home / "flow" / "data" / "runs.db"
    db = by_hand(path)
    with db:
        db.execute("UPDATE checkpoints SET metadata = json_set(CAST(metadata AS TEXT), '$.state_version', 99)")
    db.close()
    refused = flow("resume", runs["waiting"], "--answer", "yes", cwd=home / "repo")
    assert refused.code == 2
    assert "newer Flowloom (state version 99" in refused.err
    listed = json.loads(flow("runs", "list", "-o", "json", cwd=home / "repo").out)
    assert {run["status"]: run["id"] for run in listed} == runs
