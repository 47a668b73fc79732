"""The graph fix-tests, whole, with scripted coders and reviewers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowloom.llm.answers import scripted
from flowloom.llm.ollama_server import OllamaServer

OFF = ("--mode", "auto", "-c", "sandbox.backend=none", "-c", "snapshots.enabled=false", "-o", "json")
FILES = {
    "cart.py": "def total(prices):\n    return max(prices)\n",
    "check.py": "from cart import total\nassert total([1, 2]) == 3, 'total is wrong'\n",
}
COMMAND = "command=python3 check.py"
GOOD = {"verdict": "approve", "findings": []}
BAD = {"verdict": "revise", "findings": [{"file": "cart.py", "line": 2, "text": "it only knows the test's case"}]}


@pytest.fixture
def repo(make_repo: Any) -> Any:
    return make_repo(FILES)


def edit(script: Any, old: str, new: str) -> Any:
    return script.call("edit_file", path="cart.py", old_text=old, new_text=new)


def test_red_tests_are_mended_reviewed_and_done(flow_here: Any, repo: Any, script: Any) -> None:
    seen: list[str] = []

    def answer(request: Any) -> Any:
        last, said = request.messages[-1], json.dumps(request.messages)
        seen.append(str(last["content"]))
        if last["role"] == "tool":
            return script.Reply("Mended.")
        if script.REVIEWER in said:
            return script.Reply(json.dumps(BAD if "return 3" in said else GOOD))
        if "it only knows" in str(last["content"]):
            return edit(script, "return 3", "return sum(prices)")
        return edit(script, "max(prices)", "3")

    with OllamaServer(answer) as server:
        done = flow_here("run", "fix-tests", "since the rewrite", "-i", COMMAND, *OFF, cwd=repo, url=server.url)
    assert [change["files"] for change in done.output["changes"]] == [["cart.py"], ["cart.py"]]
    assert done.output["verdict"]["verdict"] == "approve"
    assert (repo / "cart.py").read_text() == "def total(prices):\n    return sum(prices)\n"
    assert "since the rewrite" in seen[0] and "AssertionError: total is wrong" in seen[0]


def test_tests_that_pass_need_no_model(flow_here: Any, repo: Any, script: Any) -> None:
    (repo / "cart.py").write_text("def total(prices):\n    return sum(prices)\n")
    with OllamaServer(scripted([])) as server:
        done = flow_here("run", "fix-tests", "-c", "verify=python3 check.py", *OFF, cwd=repo, url=server.url)
    assert done.output == {"changes": [], "verdict": None}


def test_tests_that_stay_red_end_with_1(flow_here: Any, repo: Any, script: Any) -> None:
    with OllamaServer(lambda request: script.Reply("I cannot see why.")) as server:
        done = flow_here("run", "fix-tests", "-i", COMMAND, *OFF, cwd=repo, url=server.url)
        asked = sum("messages" in each.body for each in server.requests)
    assert done.code == 1
    assert "The tests or the review still fail; the changes are in the working tree." in done.err
    assert asked >= 6


def test_without_a_command_it_ends_with_2(flow_here: Any, repo: Any) -> None:
    with OllamaServer(scripted([])) as server:
        done = flow_here("run", "fix-tests", *OFF, cwd=repo, url=server.url)
    assert done.code == 2
    assert "There is no test command: set it with `-c verify=...`, or give --command." in done.err
