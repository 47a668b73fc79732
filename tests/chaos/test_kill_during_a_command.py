"""SIGKILL while a command runs: it goes on by itself, and the resumed run takes its result over."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.chaos

COMMAND = 'echo begun >> "$CHAOS_OUTSIDE"; sleep {0}; echo ended >> "$CHAOS_OUTSIDE"; echo x >> log.txt; exit 3'


@pytest.mark.parametrize("seconds", ["0.3", "2"])
def test_a_command_that_outlives_the_killed_run_is_adopted_and_not_run_again(
    new_chaos: Any, script: Any, seconds: str
) -> None:
    plan = {"title": "t", "steps": [{"id": "one", "title": "One", "brief": "FIRST-HALF"}]}
    answers = script.conversation(
        script.Agent((script.PLANNER,), [script.Reply(json.dumps(plan))]),
        script.Agent((script.CODER,), [script.call("bash", command=COMMAND.format(seconds)), script.Reply("done")]),
        script.Agent((script.REVIEWER,), [script.Reply('{"verdict": "approve", "findings": []}')]),
    )
    with OllamaServer(answers) as server:
        chaos = new_chaos("c", server)
        words = ["run", "plan-and-code", "t", "--mode", "auto", "-c", "verify=", "-q", "--no-approve-plan"]
        flow = subprocess.Popen([sys.executable, "-m", "flowloom", *words], cwd=chaos.repo, env=chaos.env())
        deadline = time.monotonic() + 60
        while "begun" not in chaos.executed():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        flow.kill()
        flow.wait()
        assert chaos.resume() == 0, chaos.last_error
        results = [m["content"] for m in server.requests[-2].messages if m["role"] == "tool"]
    assert chaos.executed() == ["begun", "ended"]
    assert (chaos.repo / "log.txt").read_text() == "x\n"
    assert "exit code 3" in results[0]
