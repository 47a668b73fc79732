"""A process killed the moment a reply is complete: nobody pays for that reply again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answers
from flowloom.llm.ollama_server import OllamaServer

pytestmark = pytest.mark.long

# Ends its own process at a border around the first new reply: LangGraph has not been told of it.
KILL_AT_REPLY = """
import os, signal, sys
from flowloom.runs.replies import Replies
from flowloom.runs.store import RunStore

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

place = sys.argv.pop(1)
keep, append = Replies.keep, RunStore.append_event

def keep_and_die(*args):
    keep(*args)
    if place == "reply":
        kill()

def append_and_die(self, run_id, node, event):
    record = append(self, run_id, node, event)
    if place == "event" and event.type == "model_call":
        kill()
    return record

Replies.keep, RunStore.append_event = keep_and_die, append_and_die
from flowloom.cli.app import main
main()
"""


def asked(server: OllamaServer) -> Counter[str]:
    return Counter(json.dumps(request.messages) for request in server.requests)


def killed_at_each(place: str, shop: Any, server: OllamaServer) -> int:
    """Run, and resume after each kill, until nothing is left to be killed; return how often it was killed."""
    words = ["run", "plan-and-code", shop.task, "--mode", "auto", "-c", shop.verify, "-q"]
    env = {**os.environ, "OLLAMA_HOST": server.url}
    for kills in range(60):
        command = [sys.executable, "-c", KILL_AT_REPLY, place, *words]
        done = subprocess.run(command, cwd=shop.repo, env=env, capture_output=True, timeout=120)
        if done.returncode == 0:
            return kills
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        words = ["resume", "-q"]
    raise AssertionError("the run does not come to its end")


@pytest.mark.parametrize("place", ["reply", "event"])
def test_killed_after_every_reply_no_request_goes_out_twice(shop: Any, answers: Answers, place: str) -> None:
    with OllamaServer(answers) as server:
        kills = killed_at_each(place, shop, server)
        calls = asked(server)
    assert max(calls.values()) == 1
    assert kills == len(calls) > 10
    assert shop.is_green()
    events, replies = stored(Path(os.environ["FLOW_HOME"]) / "data" / "runs.db")
    assert Counter(events) == Counter(set(events))
    assert (len(events), replies) == (len(calls), 0)


def stored(path: Path) -> tuple[list[str], int]:
    """Return the keys of the model calls that were told, and the number of replies that are kept."""
    db = sqlite3.connect(path)
    keys = [row[0] for row in db.execute("SELECT json_extract(data, '$.key') FROM event WHERE type = 'model_call'")]
    kept: int = db.execute("SELECT count(*) FROM reply").fetchone()[0]
    db.close()
    return keys, kept
