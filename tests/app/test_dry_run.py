"""`flow run --dry-run`: what a run would do, told without a server, a run or a change."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def repo(make_repo: Any) -> Path:
    found: Path = make_repo({"shop/cart.py": "def total(prices):\n    return max(prices)\n", "README.md": "Shop\n"})
    return found


def test_every_node_is_told_with_what_it_is_sent_and_may_do(flow: Any, repo: Path, isolated_home: Path) -> None:
    words = ("run", "plan-and-code", "Mend total()", "--no-approve-plan", "--max-tokens", "9k")
    done = flow(*words, "--dry-run", "-o", "json", cwd=repo)
    assert done.code == 0, done.err
    planned = json.loads(done.out)
    nodes = {node["path"]: node for node in planned["nodes"]}
    assert list(nodes)[:6] == ["plan", "approve", "yours", "commit_yours", "baseline", "implement"]
    assert nodes["implement/code"]["tools"][:2] == ["read_file", "edit_file"] and nodes["repair"]["max_visits"] == 3
    assert nodes["plan"]["tokens"] == sum(part["tokens"] for part in nodes["plan"]["parts"])
    assert nodes["implement/code"]["open"] == ["input.step"]
    assert "tokens" not in nodes["verify"]
    assert (planned["verify"], planned["check"], planned["detected"]) == (None, None, [])
    assert (planned["limits"]["tokens"], planned["limits"]["wall_s"], planned["mode"]) == (9_000, 3_600.0, "ask")
    assert not (isolated_home / "flow" / "data" / "runs.db").exists()
    status = subprocess.run(["git", "status", "--porcelain"], cwd=repo, capture_output=True, check=True)
    assert status.stdout == b""


def test_the_first_request_is_the_one_that_prompts_show_shows(flow: Any, repo: Path) -> None:
    planned = json.loads(flow("run", "plan-and-code", "Mend total()", "--dry-run", "-o", "json", cwd=repo).out)
    shown = json.loads(flow("prompts", "show", "plan", "Mend total()", "-o", "json", cwd=repo).out)
    (plan,) = (node for node in planned["nodes"] if node["path"] == "plan")
    assert (plan["tokens"], plan["parts"]) == (shown["tokens"], shown["parts"])


def test_people_see_the_route_the_sizes_and_the_limits(flow: Any, repo: Path) -> None:
    told = flow("run", "plan-and-code", "Mend total()", "--dry-run", "-c", "models.num_ctx=1024", cwd=repo).out
    assert "│ plan    │" in told
    assert "approve, edit, reject; nobody there: approve" in told and "runs settings.verify" in told
    assert "Limits:  200 node runs, 600k tokens, 1 h" in told
    assert "plan: it does not fit; set a larger window with -c models.num_ctx=N" in told


def test_commands_that_are_detected_are_told_with_those_that_are_set(flow: Any, repo: Path) -> None:
    (repo / "Makefile").write_text("test:\n\ttrue\nlint:\n\ttrue\n")
    told = flow("run", "plan-and-code", "x", "--dry-run", "-c", "check=make lint", cwd=repo).out
    assert "Verify:  make test (detected, and asked for once)" in told and "Check:   make lint\n" in told


@pytest.mark.parametrize(
    ("words", "code"),
    [(("nope",), 2), (("broken.yaml",), 6), (("plan-and-code", "--aprove"), 2), (("plan-and-code", "a", "b"), 2)],
)
def test_what_a_run_refuses_is_refused(flow: Any, repo: Path, words: tuple[str, ...], code: int) -> None:
    (repo / "broken.yaml").write_text("flow: 1\n")
    flow("trust", "broken.yaml", cwd=repo)
    assert flow("run", *words, "--dry-run", cwd=repo).code == code
