from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer
from flowloom.runs.snapshots import Snapshots

COMMAND = "rm shop/label.py; printf 'gone' > shop/cart.py; chmod 700 test_shop.py"
PLAN = {"title": "t", "steps": [{"id": "one", "title": "One", "brief": "do it"}]}


@pytest.fixture
def data(isolated_home: Path) -> Path:
    return isolated_home / "flow" / "data"


def run_command(shop: Any, script: Any, *words: str) -> Any:
    """Run one bash call of a coder to its end."""
    answers = script.conversation(
        script.Agent((script.PLANNER,), [script.Reply(json.dumps(PLAN))]),
        script.Agent((script.CODER,), [script.call("bash", command=COMMAND), script.Reply("done")]),
        script.Agent((script.REVIEWER,), [script.Reply('{"verdict": "approve", "findings": []}')]),
    )
    with OllamaServer(answers) as server:
        given = ("--mode", "auto", "-c", "verify=", "--no-approve-plan", "-o", "jsonl", *words)
        return shop.flow("run", "plan-and-code", "t", *given, cwd=shop.repo, url=server.url)


def trees(data: Path) -> list[str | None]:
    with sqlite3.connect(data / "runs.db") as db:
        found = [row[0] for row in db.execute("SELECT pre_tree FROM tool_call WHERE kind = 'command'")]
    db.close()
    return found


def notices(done: Any) -> list[str]:
    return [line["data"]["text"] for line in done.lines if line["type"] == "notice"]


def test_what_a_command_did_is_put_back_from_the_snapshot_of_its_journal_row(
    shop: Any, script: Any, data: Path
) -> None:
    before = (shop.repo / "shop/label.py").read_bytes()
    done = run_command(shop, script)
    assert (done.code, (shop.repo / "shop/cart.py").read_text()) == (0, "gone"), done.err
    (tree,) = trees(data)
    assert tree is not None
    restored = Snapshots(shop.repo, data / "snapshots").restore(tree)
    assert {change.path for change in restored.changes} == {"shop/cart.py", "shop/label.py", "test_shop.py"}
    assert (shop.repo / "shop/label.py").read_bytes() == before
    assert (shop.repo / "shop/cart.py").read_text() == shop.files["shop/cart.py"]
    assert (shop.repo / "test_shop.py").stat().st_mode & 0o777 == 0o644


def test_refused_snapshot_is_a_notice_and_the_command_runs(shop: Any, script: Any, data: Path) -> None:
    done = run_command(shop, script, "-c", "snapshots.max_files=1")
    assert (done.code, (shop.repo / "shop/cart.py").read_text()) == (0, "gone"), done.err
    (notice,) = [text for text in notices(done) if "snapshot" in text]
    assert "snapshots.max_files (1)" in notice
    assert trees(data) == [None]


def test_command_does_not_run_when_its_snapshot_is_required_and_refused(shop: Any, script: Any) -> None:
    done = run_command(shop, script, "-c", "snapshots.max_files=1", "-c", "snapshots.required=true")
    assert (done.code, (shop.repo / "shop/cart.py").read_text()) == (2, shop.files["shop/cart.py"])
    assert "snapshots.max_files (1)" in done.err
    assert "Traceback" not in done.err


def test_snapshots_switched_off_leave_no_store(shop: Any, script: Any, data: Path) -> None:
    done = run_command(shop, script, "-c", "snapshots.enabled=false")
    assert (done.code, trees(data), (data / "snapshots").exists()) == (0, [None], False), done.err
