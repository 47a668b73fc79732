"""The graph research, whole: sub-agents that read, evidence looked up again, a report that cites it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowloom.llm.ollama_server import OllamaServer

OFF = ("--mode", "plan", "-c", "sandbox.backend=none", "-c", "verify=", "-o", "json")
CART = "\n".join(
    [*(f"# line {n}" for n in range(1, 21)), "def total(prices):", "    return sum(prices)", "", "x = 1", ""]
)
FILES = {"cart.py": CART, ".flowignore": "secret.txt\n", "secret.txt": "the password is hunter2\n"}
QUESTION = "How does total work, and what does the spec say of it?"
PARTS = ["What does total do?", "What does the spec say?"]


def evidence(path: str, line: int, quote: str) -> dict[str, Any]:
    return {"path": path, "start_line": line, "end_line": line, "quote": quote}


class Researchers:
    """Answers by a script: the evidence of each part, then a report that quotes what it was shown."""

    def __init__(self, script: Any, found: dict[str, list[dict[str, Any]]], report: Any) -> None:
        self._script, self._found, self._report = script, found, report
        self.reports: list[str] = []

    def __call__(self, request: Any) -> Any:
        first = next(str(m["content"]) for m in request.messages if m["role"] == "user")
        if "smaller questions" in first:
            return self._script.Reply(json.dumps(PARTS))
        if "numbered passages" in first:
            self.reports.append(first)
            return self._script.Reply(json.dumps(self._report(first, len(self.reports))))
        assert self._script.SUB_AGENT in first
        part = next(part for part in PARTS if f"Find out: {part}" in first)
        note = {"answer": "INVENTED", "evidence": self._found.get(part, []), "enough": True}
        return self._script.Reply(json.dumps(note))


@pytest.fixture
def repo(make_repo: Any, flow_here: Any, tmp_path: Path) -> Path:
    folder: Path = make_repo(FILES)
    company = tmp_path / "company"
    company.mkdir()
    (company / "spec.md").write_text("# Totals\n\nThe total adds up all prices, without tax.\n")
    assert flow_here("docs", "add", str(company), cwd=folder).code == 0
    return folder


def report(shown: str, turn: int) -> dict[str, Any]:
    cites = [{"passage": 1, "quote": "return sum(prices)"}, {"passage": 2, "quote": "adds up all prices"}]
    return {"text": "total returns the sum of the prices [1], without tax [2].", "cites": cites, "enough": True}


def run(flow_here: Any, repo: Path, answers: Researchers, window: int = 32_768) -> Any:
    with OllamaServer(answers, context_length=window) as server:
        return flow_here("run", "research", QUESTION, *OFF, cwd=repo, url=server.url).output


def test_what_agents_found_in_files_and_documents_is_cited(
    flow_here: Any, repo: Path, script: Any, tmp_path: Path
) -> None:
    spec = str(tmp_path / "company" / "spec.md")
    found = {
        # The lines are a little off, as models count.
        PARTS[0]: [evidence("cart.py", 17, "return  sum(prices)")],
        PARTS[1]: [evidence(spec, 1, "adds up all prices")],
    }
    answers = Researchers(script, found, report)
    output = run(flow_here, repo, answers, 8_192)
    assert output["answer"] == "total returns the sum of the prices [1], without tax [2]."
    code, document = output["sources"]
    assert (code["path"], code["start_line"], code["end_line"]) == ("cart.py", 19, 24)
    assert (document["path"], document["heading"], document["quote"]) == (spec, "Totals", "adds up all prices")
    assert "def total(prices):\n    return sum(prices)" in answers.reports[0]


def test_evidence_that_does_not_stand_there_is_dropped(flow_here: Any, repo: Path, script: Any) -> None:
    found = {
        PARTS[0]: [
            evidence("cart.py", 21, "return max(prices)"),
            evidence("nowhere.py", 1, "return sum(prices)"),
            evidence("../company/spec.md", 3, "adds up all prices"),
            evidence("secret.txt", 1, "the password is hunter2"),
            evidence("cart.py", 22, ""),
        ]
    }
    answers = Researchers(script, found, report)
    output = run(flow_here, repo, answers)
    assert output == {
        "answer": "Neither the repository nor the documents bear out an answer.",
        "enough": False,
        "sources": [],
        "withheld": [],
    }
    assert answers.reports == []


def test_a_report_that_cites_wrongly_is_corrected(flow_here: Any, repo: Path, script: Any) -> None:
    def wrong_first(shown: str, turn: int) -> dict[str, Any]:
        made_up = {"text": "INVENTED [1].", "cites": [{"passage": 1, "quote": "INVENTED"}], "enough": True}
        right = {
            "text": "total returns the sum [1].",
            "cites": [{"passage": 1, "quote": "sum(prices)"}],
            "enough": True,
        }
        return made_up if turn == 1 else right

    answers = Researchers(script, {PARTS[0]: [evidence("cart.py", 22, "return sum(prices)")]}, wrong_first)
    assert run(flow_here, repo, answers)["answer"] == "total returns the sum [1]."
    assert "the quote 'INVENTED' does not stand in passage 1" in answers.reports[1]
