from __future__ import annotations

from typing import Any

import pytest

from flowloom.graphs.citations import checked, language

HITS = [
    {
        "id": "a",
        "path": "a.md",
        "start_line": 1,
        "end_line": 2,
        "text": "The fee is 3,000 yen a day.\nIt is paid\nmonthly.",
    },
    {
        "id": "b",
        "path": "b.pdf",
        "page": 4,
        "text": "日当は一日三千円。ＡＢＣ参照 http://good.example/a",
        "stale": True,
    },
]


def result(text: str, *cites: tuple[int, str], enough: bool = True) -> dict[str, Any]:
    return checked({"text": text, "cites": [{"passage": n, "quote": q} for n, q in cites], "enough": enough}, HITS)


A, B = (1, "The fee is 3,000 yen"), (2, "一日三千円")


@pytest.mark.parametrize(
    ("text", "cites"),
    [
        ("The fee is 3,000 yen [1].", [A]),
        ("The fee is 3,000 yen. [1]", [A]),
        ("It is paid monthly [1].", [(1, "it is paid monthly")]),
        ("It is so [1].", [(1, "The fee ... paid monthly")]),
        ("Yes. The fee is 3,000 yen [1].", [A]),
        ("三千円です［２］。", [B]),
        ("ABCを参照【1、2】。", [A, (2, "ABC参照")]),
        ("The fees are paid monthly. They are 3,000 yen [1].", [A]),
        ("- 3,000 yen [1]\n- monthly [1]", [A]),
        ("See http://good.example/a [2].", [B]),
    ],
)
def test_what_the_passages_bear_out_is_good(text: str, cites: list[tuple[int, str]]) -> None:
    found = result(text, *cites)
    assert (found["state"], found["text"], found["faults"]) == ("good", text, [])


@pytest.mark.parametrize(
    ("text", "cites", "fault"),
    [
        ("The fee is 3,000 yen.", [A], "no passage is cited for 'The fee is 3,000 yen.'; mark it"),
        ("The fee is 3,000 yen [1].", [], "[1] stands in the text, but no quote"),
        ("The fee is 3,000 yen [3].", [(3, "The fee")], "there is no passage 3; they are numbered 1 to 2"),
        ("The fee is 5 yen [1].", [(1, "The fee is 5 yen")], "does not stand in passage 1; copy it exactly"),
        ("三千円です[1]。", [(1, "一日三千円")], "does not stand in passage 1"),
        ("It is so [1].", [(1, "yen")], "does not stand in passage 1"),
        ("It is so [1].", [(1, "paid ... The fee")], "does not stand in passage 1"),
        ("The fee is 3,000 yen [1]. PWNED.", [A], "no passage is cited for 'PWNED.'"),
        ("PWNED. The fee is 3,000 yen [1].", [A], "no passage is cited for 'PWNED.'"),
        ("PWNED\nThe fee is 3,000 yen [1].", [A], "no passage is cited for 'PWNED'"),
        ("Please send your password. The fee is 3,000 yen [1].", [A], "no passage is cited for 'Please send"),
        ("パスワードを送信せよ。三千円です[2]。", [B], "no passage is cited for 'パスワードを送信せよ。'"),
        ("See http://evil.example/a [2].", [B], "'http://evil.example/a' stands in no passage"),
        ("See http://good.example/a [1].", [A], "'http://good.example/a' stands in no passage"),
        ("Write to eve@evil.example [2].", [B], "'eve@evil.example' stands in no passage"),
        ("See evil.example/login [2].", [B], "'evil.example/login' stands in no passage"),
        ("![x](https://evil.example/?q=1) 三千円 [2]", [B], "stands in no passage"),
        ("# PWNED", [], "no passage is cited"),
        ("", [], "no passage is cited"),
    ],
)
def test_what_they_do_not_bear_out_is_left_out_and_told(text: str, cites: list[tuple[int, str]], fault: str) -> None:
    found = result(text, *cites)
    assert (found["state"], found["text"], found["sources"]) == ("faulty", "", [])
    assert any(fault in each for each in found["faults"]), found["faults"]


def test_of_several_paragraphs_the_good_ones_stay_and_titles_go() -> None:
    found = result("# Fees:\n\nThe fee is 3,000 yen [1].\n\nHotels are free [1]. Really.\n\n一日三千円[2]。", A, B)
    assert found["text"] == "The fee is 3,000 yen [1].\n\n一日三千円[2]。"
    assert found["sources"] == [
        {
            "number": 1,
            "path": "a.md",
            "start_line": 1,
            "end_line": 2,
            "page": None,
            "heading": None,
            "quote": "The fee is 3,000 yen",
            "stale": False,
        },
        {
            "number": 2,
            "path": "b.pdf",
            "start_line": None,
            "end_line": None,
            "page": 4,
            "heading": None,
            "quote": "一日三千円",
            "stale": True,
        },
    ]


def test_an_answer_that_says_it_is_missing_passes_nothing_on() -> None:
    assert result("The fee is 3,000 yen [1].", A, enough=False) == {
        "state": "missing",
        "text": "",
        "sources": [],
        "faults": [],
    }


@pytest.mark.parametrize("part", ["x", "[", ".", "a.", "x@", "www.", "[1] ", "。", "\n\n#", "…"])
def test_an_answer_of_any_form_is_looked_at_in_reasonable_time(part: str) -> None:
    # The pattern for addresses once took minutes for a long word.
    assert result(part * 50_000, (1, part * 50_000))["state"] == "faulty"


@pytest.mark.parametrize(("text", "code"), [("日当は?", "ja"), ("Per diem?", "en"), ("カナ", "ja"), ("", "en")])
def test_the_language_of_a_question(text: str, code: str) -> None:
    assert language(text) == code
