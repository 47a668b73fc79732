"""The same start twice, on different days and with different hash seeds: what goes over the wire, byte for byte."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.answers import Answers
from flowloom.llm.ollama_server import OllamaServer

OTHER_DAY = """
import datetime

class Day(datetime.date):
    @classmethod
    def today(cls):
        return cls(2031, 5, 6)

datetime.date = Day
"""
STEP = {"id": "total", "title": "Add up", "brief": "total(prices) adds up.", "files": ["shop/cart.py"]}


@pytest.fixture
def answers(script: Any) -> Answers:
    agent, reply, call = script.Agent, script.Reply, script.call
    edit = call("edit_file", path="shop/cart.py", old_text="max", new_text="sum")
    made: Answers = script.conversation(
        agent(
            (script.PLANNER,),
            [call("grep", pattern="total"), reply(json.dumps({"title": "Mend", "steps": [STEP]}))],
        ),
        agent((script.SUB_AGENT,), [call("glob", pattern="**/*.py"), reply("only the test")]),
        agent(
            (script.CODER,),
            [call("spawn_agent", task="who calls total"), edit, call("bash", command="ls"), reply("ok")],
        ),
        agent((script.REVIEWER,), [reply(json.dumps({"verdict": "approve", "findings": []}))]),
    )
    return made


def add_modules(repo: Path) -> None:
    """Commit so many like files that the map has to choose between equals."""
    for at in range(40):
        text = f"from shop.cart import total\n\n\ndef total_{at}(prices):\n    return total(prices) + {at}\n"
        (repo / "shop" / f"part_{at}.py").write_text(text, "utf-8")
    subprocess.run(["git", "add", "-A"], cwd=repo, check=True)
    subprocess.run(["git", "commit", "-qm", "more"], cwd=repo, check=True)


def test_two_starts_differ_in_the_day_alone_which_stands_at_the_end_of_the_first_message(
    shop: Any, answers: Answers, isolated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_modules(shop.repo)
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "sitecustomize.py").write_text(OTHER_DAY, "utf-8")
    runs, steps = [], []
    for seed in ("1", "77"):
        # A busy machine would begin the run before the index is there.
        assert shop.flow("index", "build", cwd=shop.repo).code == 0
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        with OllamaServer(answers) as server:
            done = shop.flow(
                "run", "plan-and-code", shop.task, "--mode", "auto", "-c", "verify=''", cwd=shop.repo, url=server.url
            )
        assert done.code == 0, done.err
        runs.append([request.body for request in server.requests])
        steps.append(json.loads(shop.flow("runs", "show", "-o", "json", cwd=shop.repo).out)["steps"])
        # The second run finds nothing of the first one, neither its change nor its index.
        subprocess.run(["git", "checkout", "-q", "."], cwd=shop.repo, check=True)
        shutil.rmtree(isolated_home / "flow")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "day"))
    assert len(runs[0]) == len(runs[1]) == 9
    for one, other in zip(*runs, strict=True):
        assert one["messages"][1]["content"] != other["messages"][1]["content"]
        for body in (one, other):
            before, _, end = body["messages"][1]["content"].rpartition("<reminder>\n")
            day, _, rest = end.partition("\n</reminder>")
            assert day.startswith("Today is 20") and rest == ""
            assert str(shop.repo) not in before and "Today is" not in before
            body["messages"][1]["content"] = before
        assert json.dumps(one) == json.dumps(other)
    assert all("<repo_map>" in str(body) for body in runs[0])
    # Within one visit each request only appends, and that is what is told of it.
    kept = {step["node"]: step["kept_share"] for step in steps[0] if step["model_calls"] > 1}
    assert len(kept) == 3 and set(kept.values()) == {1.0}
