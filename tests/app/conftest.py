"""The repository and the scripted agents of the end-to-end tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flowloom.cli.app import run_command_line
from flowloom.llm.answers import Answers
from flowloom.llm.ollama_server import OllamaServer

FILES = {
    "shop/__init__.py": "",
    "shop/cart.py": "def total(prices):\n    return max(prices)\n",
    "shop/label.py": "def label(name):\n    return name\n",
    "test_shop.py": (
        "import unittest\nfrom shop.cart import total\nfrom shop.label import label\n\n\n"
        "class Shop(unittest.TestCase):\n"
        "    def test_total(self):\n        self.assertEqual(total([1, 2]), 3)\n\n"
        "    def test_label(self):\n        self.assertEqual(label('a'), 'A')\n"
    ),
}
TASK = "合計 total() が間違っています。label も大文字にしてください。"
VERIFY = "verify=['python3', '-m', 'unittest', '-q']"
PLAN = {
    "title": "Mend the shop",
    "steps": [
        {"id": "label", "title": "Capital labels", "brief": "label(name) returns capitals.", "depends_on": ["total"]},
        {"id": "total", "title": "Add up", "brief": "total(prices) adds up.", "files": ["shop/cart.py"]},
    ],
}


def revise(text: str) -> str:
    return json.dumps({"verdict": "revise", "findings": [{"file": "shop/label.py", "line": 2, "text": text}]})


@pytest.fixture
def answers(script: Any) -> Answers:
    """A planner, two coders (one with a sub-agent), a review that revises once, and its repair."""
    agent, reply, call = script.Agent, script.Reply, script.call
    approve = reply(json.dumps({"verdict": "approve", "findings": []}))
    found: Answers = script.conversation(
        agent((script.PLANNER,), [call("read_file", path="shop/cart.py"), reply(json.dumps(PLAN))]),
        agent(
            (script.SUB_AGENT, "who calls label"),
            [call("grep", pattern="label"), reply("SECRET-REPORT: only the test")],
        ),
        agent(
            (script.CODER, "total(prices) adds up."),
            [call("edit_file", path="shop/cart.py", old_text="max", new_text="sum"), reply("total adds up")],
        ),
        agent(
            (script.CODER, "label(name) returns capitals."),
            [
                call("spawn_agent", task="who calls label", tools=["grep"]),
                call("edit_file", path="shop/label.py", old_text="return name", new_text="return name.title() + ''"),
                reply("label returns capitals"),
            ],
        ),
        agent(
            (script.CODER, "use upper()"),
            [
                call("edit_file", path="shop/label.py", old_text="name.title() + ''", new_text="name.upper()"),
                reply("upper"),
            ],
        ),
        agent(
            (script.REVIEWER, "name.title()"), [call("read_file", path="shop/label.py"), reply(revise("use upper()"))]
        ),
        agent((script.REVIEWER, "name.upper()"), [approve]),
    )
    return found


@pytest.fixture
def repo(make_repo: Any) -> Path:
    folder: Path = make_repo(FILES)
    return folder


def is_green(repo: Path) -> bool:
    return subprocess.run(["python3", "-m", "unittest", "-q"], cwd=repo, capture_output=True).returncode == 0


@dataclass(frozen=True)
class Shop:
    """The names of the sample that tests use: its files, its task, how it is verified and run."""

    files = FILES
    task = TASK
    plan = PLAN
    verify = VERIFY
    flow: Any
    repo: Path

    def run(self, server: OllamaServer, *words: str) -> Any:
        """Run plan-and-code in mode auto."""
        words = ("run", "plan-and-code", TASK, "--mode", "auto", "-c", VERIFY, *words)
        return self.flow(*words, cwd=self.repo, url=server.url)

    def is_green(self, folder: Path | None = None) -> bool:
        return is_green(folder or self.repo)


@pytest.fixture
def shop(flow: Any, repo: Path) -> Shop:
    return Shop(flow, repo)


class Ended(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def output(self) -> Any:
        """What the graph returned, of a run with `-o json`."""
        assert self.code == 0, self.err
        return json.loads(self.out)["output"]


@pytest.fixture
def flow_here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return a function that runs a command line in this process; starting one takes longer than what it does."""

    def run(*words: str, cwd: Path, url: str = "") -> Ended:
        capsys.readouterr()
        code = run_command_line(["-C", str(cwd), *words], {**os.environ, "OLLAMA_HOST": url})
        return Ended(code, *capsys.readouterr())

    return run
