from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowloom.graphs.evidence import passages_of


class Context:
    """What the function asks its NodeContext for."""

    def __init__(self, workspace: Path, *hits: dict[str, Any]) -> None:
        self.workspace = workspace
        self._hits = list(hits)

    def retrieve(self, query: str, source: str) -> list[dict[str, Any]]:
        return self._hits if source == "docs" else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("".join(f"the line {n}\n" for n in range(1, 101)))
    (tmp_path / "日本.txt").write_bytes("合計は\n足し算".encode("cp932"))
    return tmp_path


def found(folder: Path, path: str, quote: Any, line: Any = 1, *hits: dict[str, Any]) -> list[dict[str, Any]]:
    note = {"evidence": [{"path": path, "quote": quote, "start_line": line}]}
    return passages_of([note], Context(folder, *hits))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quote", "line", "first", "last"),
    [
        ("the line 50", 50, 47, 53),
        ("THE  LINE 50", 10, 47, 53),
        ("the line 50 the line 51", 50, 47, 54),
        ("the line 50 ... line 52", 50, 47, 55),
        ("the line", 40, 37, 43),
        ("the line", 0, 1, 4),
        ("the line 100", 3, 97, 100),
    ],
)
def test_a_quote_is_found_near_its_line(folder: Path, quote: str, line: int, first: int, last: int) -> None:
    (hit,) = found(folder, "a.txt", quote, line)
    assert (hit["start_line"], hit["end_line"]) == (first, last)
    assert hit["text"].splitlines() == [f"the line {n}" for n in range(first, last + 1)]


def test_the_encoding_of_a_file_is_told(folder: Path) -> None:
    (hit,) = found(folder, "日本.txt", "合計は足し算")
    assert hit["text"] == "合計は\n足し算"


@pytest.mark.parametrize(
    ("path", "quote"),
    [
        ("a.txt", "the line 101"),
        ("a.txt", ""),
        ("", "the line 1"),
        ("b.txt", "the line 1"),
        ("/etc/passwd", "root"),
        ("../a.txt", "the line"),
        ("a.txt", None),
        (".", "the line"),
    ],
)
def test_what_is_not_there_is_no_evidence(folder: Path, path: str, quote: Any) -> None:
    assert found(folder, path, quote) == []


def test_a_document_s_passage_is_taken_where_the_path_is_its_own(folder: Path) -> None:
    hit = {"id": "x", "path": "/company/a.pdf", "text": "the fee is five"}
    assert found(folder, "/company/a.pdf", "fee is five", 1, hit) == [hit]
    assert found(folder, "/company/b.pdf", "fee is five", 1, hit) == []


def test_notes_of_any_form_do_no_harm_and_a_passage_stands_once(folder: Path) -> None:
    one = {"path": "a.txt", "quote": "the line 50", "start_line": 50}
    notes = [{}, {"evidence": None}, {"evidence": ["x", one]}, {"evidence": [one, {**one, "start_line": "x"}]}]
    assert len(passages_of(notes, Context(folder))) == 1  # type: ignore[arg-type]
