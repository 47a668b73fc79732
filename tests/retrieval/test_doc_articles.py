from __future__ import annotations

import pytest

from flowloom.retrieval.doc_articles import article_blocks, article_of
from flowloom.retrieval.doc_blocks import numbered
from flowloom.retrieval.doc_chunks import cut_document
from flowloom.retrieval.doc_formats import format_named, read_as


@pytest.mark.parametrize(
    ("line", "title", "has_text"),
    [
        ("第1章　総則", "第1章 総則", False),
        ("第2章 はじめに", "第2章 はじめに", False),
        ("第３章休暇", "第３章休暇", False),
        ("　第十二条（年次有給休暇）", "第十二条（年次有給休暇）", False),
        ("第5条の2　乙は、甲に支払う。", "第5条の2", True),
        ("第 6 条 （期間）　一年とする。", "第6条（期間）", True),
        ("附　則", "附則", False),
        ("別表第1（第5条関係）", "別表第1（第5条関係）", False),
    ],
)
def test_a_numbered_line_begins_a_section(line: str, title: str, has_text: bool) -> None:
    found = article_of(line)
    assert found is not None
    assert (found.title, found.has_text) == (title, has_text)


@pytest.mark.parametrize(
    "line",
    [
        "第5条の規定による。",
        "第5条（経費）に従う。",
        "第3条 及び第4条",
        "第1章では総則を定める",
        "第1章 総則 ........ 3",
        "第2章　休暇\t12",
        "別表の金額による。",
        "第一に、費用を申請する。",
    ],
)
def test_a_reference_or_an_entry_of_a_list_of_contents_begins_none(line: str) -> None:
    assert article_of(line) is None


def test_the_articles_of_a_rule_are_passages_under_their_chapter() -> None:
    text = (
        "旅費規程\n\n第1章　総則\n（目的）\n第1条　旅費を定める。\n第2章　国内\n第2条（日当）\n"
        "三千円とする。\n２　前項は役員を除く。\n"
    )
    chunks = cut_document(read_as(format_named("text"), text.encode()))
    assert [(chunk.start_line, chunk.end_line, chunk.heading) for chunk in chunks] == [
        (4, 5, "旅費規程 > 第1章 総則 > 第1条（目的）"),
        (7, 9, "旅費規程 > 第2章 国内 > 第2条（日当）"),
    ]
    assert chunks[0].text == "（目的）\n第1条　旅費を定める。"


def test_a_list_of_chapters_stays_one_piece() -> None:
    lines = numbered(["目次です。", "第1章 総則", "第2章 休暇", "第3章 賃金", "", "第1章 総則", "本文。"])
    kinds = [(block.kind, block.lines[0].number, len(block.lines)) for block in article_blocks(lines)]
    assert kinds == [("text", 1, 4), ("heading", 6, 1), ("text", 7, 1)]


def test_lines_that_are_headings_already_are_none_again() -> None:
    blocks = list(article_blocks(numbered(["第1章 総則", "本文。"]), 3, frozenset({"第1章総則"})))
    assert [(block.kind, block.page) for block in blocks] == [("text", 3)]
