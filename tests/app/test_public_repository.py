"""plan-and-code on a public code base of several hundred files: the installed networkx, with one bug put in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.long

TEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "networkx/utils/tests/test_misc.py"]
TASK = "networkx.utils.pairwise(..., cyclic=True) forgets the pair that closes the circle: test_pairwise fails."
RIGHT, WRONG = "chain(b, (first,))", "chain(b, ())"
PLAN = {
    "title": "Close the circle in pairwise",
    "steps": [
        {"id": "circle", "title": "Close the circle", "brief": "pairwise(cyclic=True) ends with (last, first)."},
        {"id": "note", "title": "Say so in NOTES.md", "brief": "NOTES.md names the mended pairwise."},
    ],
}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Copy networkx, break pairwise, and commit."""
    spec = find_spec("networkx")
    assert spec is not None and spec.origin is not None
    repo = tmp_path / "repo"
    shutil.copytree(Path(spec.origin).parent, repo / "networkx", ignore=shutil.ignore_patterns("__pycache__"))
    misc = repo / "networkx/utils/misc.py"
    text = misc.read_text("utf-8")
    assert RIGHT in text
    misc.write_text(text.replace(RIGHT, WRONG), "utf-8")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *words], cwd=repo, check=True)
    return repo


def test_two_coder_rounds_a_review_round_trip_and_a_sub_agent_make_the_test_pass(
    flow: Any, broken: Path, script: Any
) -> None:
    agent, reply, call = script.Agent, script.Reply, script.call
    missing = {"file": "NOTES.md", "line": 1, "severity": "error", "text": "NAME-THE-TEST in the note"}
    note = "pairwise closes the circle"
    answers = script.conversation(
        agent((script.PLANNER,), [call("grep", pattern="def pairwise"), reply(json.dumps(PLAN))]),
        agent(
            (script.SUB_AGENT,), [call("grep", pattern="pairwise", path="networkx/utils"), reply("REPORT: misc.py")]
        ),
        agent(
            (script.CODER, "ends with (last, first)"),
            [
                call("spawn_agent", task="Where is pairwise tested?", tools=["grep"]),
                call("edit_file", path="networkx/utils/misc.py", old_text=WRONG, new_text=RIGHT),
                reply("closed"),
            ],
        ),
        agent(
            (script.CODER, "NAME-THE-TEST"),
            [
                call("write_file", path="NOTES.md", content=f"{note}, named: test_pairwise\n"),
                reply("named"),
            ],
        ),
        agent((script.CODER,), [call("write_file", path="NOTES.md", content=f"{note}\n"), reply("noted")]),
        agent((script.REVIEWER, "named: test_pairwise"), [reply('{"verdict": "approve", "findings": []}')]),
        agent((script.REVIEWER,), [reply(json.dumps({"verdict": "revise", "findings": [missing]}))]),
    )
    files = subprocess.run(["git", "ls-files"], cwd=broken, capture_output=True, text=True).stdout.splitlines()
    assert len(files) >= 300
    assert subprocess.run(TEST, cwd=broken, capture_output=True).returncode == 1
    with OllamaServer(answers) as server:
        verify = f"verify={TEST!r}"
        done = flow(
            "run", "plan-and-code", TASK, "--mode", "auto", "-c", verify, "-o", "json", cwd=broken, url=server.url
        )
    assert done.code == 0, done.err
    assert subprocess.run(TEST, cwd=broken, capture_output=True).returncode == 0
    assert [change["step"] for change in json.loads(done.out)["output"]["changes"]] == ["circle", "note", ""]
    firsts = [next(m["content"] for m in r.messages if m["role"] == "user") for r in server.requests]
    sub_agents = [r for r, first in zip(server.requests, firsts, strict=True) if script.SUB_AGENT in first]
    parents = [r for r, first in zip(server.requests, firsts, strict=True) if script.SUB_AGENT not in first]
    found = next(m["content"] for m in sub_agents[-1].messages if m["role"] == "tool")
    assert all(found not in str(m["content"]) for r in parents for m in r.messages)
    assert any("REPORT: misc.py" in str(m["content"]) for r in parents for m in r.messages)
    assert server.refused == []
