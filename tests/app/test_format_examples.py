"""The examples of the format run with scripted answers, whole: documents, Python, a fan-out, worktrees, a person."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer

EXAMPLES = Path(__file__).parents[1] / "graphs" / "examples"
OFF = ("-c", "sandbox.backend=none", "-c", "verify='true'", "--mode", "auto")
ISSUES = [{"id": "sum", "title": "total(prices) adds up."}, {"id": "idea", "title": "A logo"}]


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    folder = tmp_path / "graphs"
    shutil.copytree(EXAMPLES, folder)
    return folder


def answered(text: str, *cites: str, enough: bool = True) -> str:
    return json.dumps({"text": text, "cites": list(cites), "enough": enough})


def branches(repo: Path) -> list[str]:
    done = subprocess.run(["git", "branch", "--list", "flow/*"], cwd=repo, capture_output=True, text=True, check=True)
    return [line.strip("+* ") for line in done.stdout.splitlines()]


@pytest.fixture
def documents(shop: Any, tmp_path: Path) -> Any:
    folder = tmp_path / "company"
    folder.mkdir()
    (folder / "spec.md").write_text("# Totals\n\ntotal() adds the prices up.\n")
    assert shop.flow("docs", "add", str(folder), cwd=shop.repo).code == 0


def test_docs_qa_answers_from_passages_and_cites_only_them(
    shop: Any, script: Any, graphs: Path, documents: Any
) -> None:
    seen: list[str] = []

    def answer(request: Any) -> Any:
        first = next(str(m["content"]) for m in request.messages if m["role"] == "user")
        if "Search queries" in first:
            return script.Reply('["prices total", "価格の合計"]')
        seen.append(first)
        # The first answer cites what it was not given, and is told so.
        cited = next(word.strip("[]") for word in first.split() if word.startswith("[") and "spec.md" in word)
        return script.Reply(answered("It adds them up.", "elsewhere" if len(request.messages) == 2 else cited))

    with OllamaServer(answer) as server:
        words = ("run", str(graphs / "docs-qa.yaml"), "What does total do?", *OFF, "-o", "json")
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    value = json.loads(done.out)["output"]["answer"]
    assert (value["text"], len(value["cites"])) == ("It adds them up.", 1)
    assert "total() adds the prices up." in seen[0]
    assert len(server.requests) == 3


def test_docs_qa_says_so_when_nothing_is_indexed(shop: Any, script: Any, graphs: Path) -> None:
    answers = script.conversation(
        script.Agent(("Search queries",), [script.Reply('["total"]')]),
        script.Agent(("Answer only from",), [script.Reply(answered("I do not know.", enough=False))]),
    )
    with OllamaServer(answers) as server:
        words = ("run", str(graphs / "docs-qa.yaml"), "What does total do?", *OFF, "-o", "json")
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    assert json.loads(done.out)["output"]["answer"]["text"] == "Not in the indexed documents."


def test_plan_and_code_plans_makes_verifies_and_reviews(shop: Any, script: Any, answers: Any, graphs: Path) -> None:
    with OllamaServer(answers) as server:
        words = ("run", str(graphs / "plan-and-code.yaml"), shop.task, *OFF, "-c", shop.verify, "-o", "json")
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
    assert done.code == 0, done.err
    output = json.loads(done.out)["output"]
    assert (len(output["changes"]), output["verdict"]["verdict"]) == (3, "approve")
    assert shop.is_green()


def test_triage_issues_classifies_fixes_in_worktrees_and_asks(shop: Any, script: Any, graphs: Path) -> None:
    (shop.repo / "issues.json").write_text(json.dumps(ISSUES))
    agent, reply = script.Agent, script.Reply
    step = {"id": "s", "title": "Add up", "brief": "total(prices) adds up."}
    answers = script.conversation(
        agent(("Classify", '"sum"'), [reply(json.dumps({"item": "sum", "verdict": "fixable", "reason": "clear"}))]),
        agent(("Classify", '"idea"'), [reply(json.dumps({"item": "idea", "verdict": "wish"}))]),
        agent((script.PLANNER,), [reply(json.dumps({"title": "Mend", "steps": [step]}))]),
        agent(
            (script.CODER,),
            [script.call("edit_file", path="shop/cart.py", old_text="max", new_text="sum"), reply("It adds up.")],
        ),
        agent((script.REVIEWER,), [reply(json.dumps({"verdict": "approve", "findings": []}))]),
    )
    with OllamaServer(answers) as server:
        words = (
            "--no-input",
            "run",
            str(graphs / "triage-issues.yaml"),
            "-i",
            "file=issues.json",
            *OFF,
            "-o",
            "json",
        )
        done = shop.flow(*words, cwd=shop.repo, url=server.url)
    # Nobody is there, so the headless answer is taken; the branches stay.
    assert done.code == 0, done.err
    assert "Discarded; the branches are kept." in done.out + done.err
    (branch,) = branches(shop.repo)
    fixed = subprocess.run(["git", "show", f"{branch}:shop/cart.py"], cwd=shop.repo, capture_output=True, text=True)
    assert "sum(prices)" in fixed.stdout
    assert "max(prices)" in (shop.repo / "shop/cart.py").read_text()
