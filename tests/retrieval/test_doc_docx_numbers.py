from __future__ import annotations

from typing import Any

import pytest

from flowloom.retrieval.doc_formats import format_named, read_as

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def numbering(*levels: tuple[str, str], more: str = "") -> str:
    """Return the part of a Word file that has one list; a level is its format and its text."""
    written = "".join(
        f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
        for at, (form, text) in enumerate(levels)
    )
    first = f'<w:abstractNum w:abstractNumId="7">{written}</w:abstractNum>'
    return f'<w:numbering {W}>{first}<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>{more}</w:numbering>'


def item(text: str, level: int = 0, number: int = 1) -> str:
    place = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{place}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def lines(office: Any, body: str, part: str) -> list[str]:
    reading = read_as(format_named("docx"), office.docx(body, numbering=part))
    return [line.text for block in reading.blocks for line in block.lines]


def test_the_numbers_of_articles_that_word_counts_are_read(office: Any) -> None:
    part = numbering(("japaneseCounting", "第%1条"), ("aiueo", "(%2)"))
    body = item("（目的）") + item("総務", 1) + item("経理", 1) + item("（範囲）") + item("営業", 1)
    assert lines(office, body, part) == ["第一条 （目的）", "(ア) 総務", "(イ) 経理", "第二条 （範囲）", "(ア) 営業"]
    reading = read_as(format_named("docx"), office.docx(body, numbering=part))
    assert [block.title for block in reading.blocks if block.title] == ["第一条（目的）", "第二条（範囲）"]


def test_a_number_may_name_the_levels_above(office: Any) -> None:
    part = numbering(("decimal", "%1."), ("decimal", "%1.%2"))
    assert lines(office, item("a") + item("b", 1) + item("c") + item("d", 1), part) == [
        "1. a",
        "1.1 b",
        "2. c",
        "2.1 d",
    ]


def test_a_list_can_begin_anew(office: Any) -> None:
    anew = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>'
    part = numbering(("decimal", "%1."), more=f'<w:num w:numId="2"><w:abstractNumId w:val="7"/>{anew}</w:num>')
    assert lines(office, item("a") + item("b", number=2) + item("c"), part) == ["1. a", "5. b", "2. c"]


def test_marks_and_paragraphs_of_no_list_have_no_number(office: Any) -> None:
    part = numbering(("bullet", "\uf0b7"))
    body = item("a") + item("b", number=0) + item("c", number=9) + office.word_paragraph("d")
    assert lines(office, body, part) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("form", "count", "shown"),
    [
        ("japaneseCounting", 21, "二十一"),
        ("iroha", 3, "ハ"),
        ("decimalEnclosedCircle", 2, "②"),
        ("upperRoman", 4, "IV"),
        ("lowerLetter", 27, "aa"),
        ("decimalZero", 3, "03"),
        ("hindiVowels", 3, "3"),
    ],
)
def test_numbers_are_written_as_word_writes_them(office: Any, form: str, count: int, shown: str) -> None:
    assert lines(office, item("x") * count, numbering((form, "%1")))[-1] == f"{shown} x"
