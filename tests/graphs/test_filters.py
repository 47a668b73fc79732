from __future__ import annotations

from typing import Any

import pytest

from flowloom.graphs import filters
from flowloom.graphs.expressions import render_text
from flowloom.llm.tokens import EstimatingCounter

PLAN = {
    "title": "旗を足す",
    "steps": [
        {"id": "flag", "title": "Add  the\nflag", "brief": "Read it.\nTest it.", "files": ["a.py"], "depends_on": []},
        {"id": "doc", "title": "説明", "brief": "README に書く", "files": [], "depends_on": ["flag"]},
    ],
}


def test_plan_text_shows_numbered_steps() -> None:
    assert filters.plan_text(PLAN) == (
        "旗を足す\n\n1. Add the flag [flag]\n   Read it.\n   Test it.\n   files: a.py\n\n"
        "2. 説明 [doc]\n   README に書く\n   after: flag"
    )


def test_step_brief_shows_title_brief_and_files() -> None:
    assert filters.step_brief(PLAN["steps"][0]) == "Add the flag\n\nRead it.\nTest it.\n\nFiles: a.py"


def test_findings_are_a_list_with_places() -> None:
    review = {
        "verdict": "revise",
        "findings": [
            {"file": "a.py", "line": 3, "severity": "error", "text": "wrong\nsign"},
            {"file": "b.py", "line": 0, "severity": "note", "text": "名前"},
        ],
    }
    assert filters.findings(review) == "- a.py:3 (error): wrong\n  sign\n- b.py (note): 名前"


def test_findings_of_an_approval_are_empty() -> None:
    assert filters.findings({"verdict": "approve", "findings": []}) == ""


def test_passages_stand_under_their_ids() -> None:
    hits = [
        {"id": "a:1-2", "path": "a.md", "start_line": 1, "end_line": 2, "page": None, "heading": "", "text": "x"},
        {"id": "b", "path": "b.pdf", "start_line": 1, "end_line": 9, "page": 4, "heading": "第1章", "text": "y"},
    ]
    assert filters.passages(hits) == "[a:1-2] a.md:1-2\nx\n\n[b] b.pdf, page 4 第1章\ny"


def test_table_takes_the_columns_of_all_rows() -> None:
    rows = [{"a": 1, "b": "x|y"}, {"a": None, "c": [1]}]
    assert filters.table(rows) == "| a | b | c |\n| --- | --- | --- |\n| 1 | x\\|y |  |\n|  |  | [1] |"


def test_tail_of_a_failed_command_names_its_exit_code() -> None:
    shown = filters.tail({"exit_code": 2, "text": "1\n2\n3\n4\n"}, 2)
    assert shown == "The command ended with exit code 2.\n... 2 lines before\n3\n4"


@pytest.mark.parametrize("value", [None, "", {"exit_code": 0, "text": "fine"}, {"exit_code": 0}])
def test_tail_of_nothing_or_a_command_that_went_well_is_empty(value: Any) -> None:
    assert filters.tail(value, 5) == ""


def test_tail_of_a_command_without_output_is_its_exit_code() -> None:
    assert filters.tail({"exit_code": 1, "text": ""}, 5) == "The command ended with exit code 1."


@pytest.mark.parametrize("count", [0, -1, "5", None, True])
def test_tail_refuses_a_count_below_one(count: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        filters.tail("x", count)


def test_json_keeps_characters() -> None:
    assert filters.to_json({"a": "日本"}) == '{"a": "日本"}'


@pytest.mark.parametrize("name", ["plan_text", "step_brief", "findings", "passages", "table", "tail", "join", "trim"])
def test_a_value_that_was_not_written_yet_shows_as_nothing(name: str) -> None:
    assert render_text(f"{{{{ state.x | {name} }}}}", {"state": {"x": None}}) == ""


@pytest.mark.parametrize("name", ["plan_text", "step_brief", "findings", "passages", "table", "tail"])
def test_a_value_of_the_wrong_kind_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        filters.FILTERS[name](5)


def test_join_refuses_to_make_a_giant_text() -> None:
    with pytest.raises(ValueError, match="more than"):
        filters.join(["a"] * 1000, "x" * 20_000)


def test_markup_in_model_text_stays_as_it_is() -> None:
    assert render_text("{{ x | plan_text }}", {"x": {"title": "{{ 7 * 7 }} <b>", "steps": []}}) == "{{ 7 * 7 }} <b>"


@pytest.mark.parametrize(
    ("cites", "hits", "only"),
    [
        (["a"], [{"id": "a"}, {"id": "b"}], True),
        (["a", "c"], [{"id": "a"}], False),
        ([], [], True),
        (None, None, True),
        (["a"], None, False),
    ],
)
def test_cites_only_tells_whether_every_cited_passage_was_there(cites: Any, hits: Any, only: bool) -> None:
    assert filters.cites_only(cites, hits) is only


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ('It says "a long  day" there.', True),
        ("「長い日」とある", True),
        ('It says "a short day".', False),
        ("It quotes nothing.", True),
        (None, True),
    ],
)
def test_quotes_only_tells_whether_every_quote_stands_in_a_passage(text: Any, only: bool) -> None:
    assert filters.quotes_only(text, [{"text": "It was a long\nday."}, {"text": "長い日だった"}]) is only


def test_the_filters_of_cites_and_quotes_take_lists_of_hits() -> None:
    with pytest.raises(ValueError, match="this takes a list of hits, not a text"):
        filters.cites_only(["a"], "a")


def test_lines_leave_blank_ones_out() -> None:
    assert filters.lines("a\n \n b\r\n") == ["a", " b\r"]
    assert filters.lines({"exit_code": 0, "text": "cut", "lines": ["x", "", "y"]}) == ["x", "y"]
    assert filters.lines({"exit_code": 0, "text": "x\ny"}) == ["x", "y"]
    assert filters.lines(None) == []


def test_lists_of_objects_are_taken_apart() -> None:
    rows = [{"a": [1], "b": "x"}, {"a": [2, 3]}, {"b": "y"}]
    assert filters.pluck(rows, "b") == ["x", "y"]
    assert filters.flat(filters.pluck(rows, "a")) == [1, 2, 3]
    assert filters.where(rows, "b", "x") == rows[:1]
    assert filters.where([{"ok": True}, {"ok": False}, {}], "ok") == [{"ok": True}]
    assert (filters.pluck(None, "a"), filters.where(None, "a"), filters.flat(None)) == ([], [], [])
    with pytest.raises(ValueError, match="a list of objects"):
        filters.pluck(["x"], "a")
    with pytest.raises(ValueError, match="a list of lists"):
        filters.flat(["x"])


def test_a_long_text_is_cut_into_parts_at_its_lines() -> None:
    lines = [f"line {number} of a text" for number in range(100)]
    parts = filters.parts("\n".join(lines), 200)
    assert len(parts) > 3 and "\n".join(parts).split("\n") == lines
    assert all(EstimatingCounter().count(part) <= 200 for part in parts)
    assert filters.parts(lines, 200) == parts
    assert (filters.parts(None, 10), filters.parts("", 10), filters.parts([], 10)) == ([], [], [])


def test_a_line_that_is_longer_than_a_part_is_cut() -> None:
    first, second, third = filters.parts(["a", "x y " * 5_000, "b"], 100)
    assert (first, third) == ("a", "b")
    assert second.endswith("…") and EstimatingCounter().count(second) <= 100
