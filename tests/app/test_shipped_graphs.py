"""The shipped graphs: their own tests pass, and their pages show them as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flowloom.graphs.beside import KeptFiles
from flowloom.graphs.draw_mermaid import mermaid
from flowloom.graphs.find import SHIPPED_FOLDER
from flowloom.graphs.picture import picture_of
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import GraphSpec

PAGES = Path(__file__).parents[2] / "docs" / "graphs"
PAGE_OF = {"implement-step": "plan-and-code", "review-file": "review", "review-finding": "review"}
SHIPPED = sorted(path.stem for path in SHIPPED_FOLDER.glob("*.yaml"))


def shipped(name: str) -> GraphSpec:
    path = SHIPPED_FOLDER / f"{name}.yaml"
    return read_text(path.read_text("utf-8"), str(path), KeptFiles({}))[name]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_tests_of_a_shipped_graph_pass(name: str, flow_here: Any, tmp_path: Path) -> None:
    done = flow_here("graphs", "test", name, "-o", "json", cwd=tmp_path)
    results = json.loads(done.out)
    assert results, "it has no tests"
    assert [result["message"] for result in results if not result["passed"]] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_the_page_of_a_shipped_graph_shows_its_drawing_and_its_inputs(name: str) -> None:
    spec = shipped(name)
    page = (PAGES / f"{PAGE_OF.get(name, name)}.md").read_text("utf-8")
    drawing = mermaid(picture_of(spec)).rstrip()
    # Written anew by: flow graphs draw NAME --as mermaid
    assert drawing in re.findall(r"```mermaid\n(.*?)\n```", page, re.DOTALL)
    assert [word for word in spec.inputs if f"| `{word}` |" not in page] == []
    assert [each.description for each in spec.inputs.values() if each.description not in page] == []


def test_every_recorded_answer_belongs_to_a_test() -> None:
    named = {test.replay for name in SHIPPED for test in shipped(name).tests if test.replay}
    assert {f"tests/{path.name}" for path in (SHIPPED_FOLDER / "tests").glob("*.jsonl")} == named
