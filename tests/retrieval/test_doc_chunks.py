from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.retrieval.doc_chunks import MAX_WEIGHT, DocChunk, cut_document
from flowloom.retrieval.doc_formats import format_named, read_as
from flowloom.retrieval.tokenise import text_weight


def cut(text: str, form: str = "markdown") -> list[DocChunk]:
    return cut_document(read_as(format_named(form), text.encode()))


def test_a_passage_never_goes_across_a_heading() -> None:
    chunks = cut("# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree\n")
    assert [(chunk.heading, chunk.start_line, chunk.end_line) for chunk in chunks] == [
        ("A", 1, 3),
        ("A > B", 5, 7),
        ("A > C", 9, 11),
    ]


def test_a_heading_alone_is_a_passage_only_where_nothing_stands_below_it() -> None:
    chunks = cut("# Holds others\n\n## Alone\n\n## Last\n")
    assert [chunk.text for chunk in chunks] == ["## Alone", "## Last"]


def test_small_paragraphs_are_put_together_up_to_the_size() -> None:
    chunks = cut("\n\n".join(["経費は月末に精算する。" * 4] * 30))
    assert all(300 <= text_weight(chunk.text) <= MAX_WEIGHT for chunk in chunks[:-1])


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    chunks = cut("これは長い規程の一文である。" * 100)
    assert len(chunks) > 2
    assert all(chunk.text.endswith("。") and (chunk.start_line, chunk.end_line) == (1, 1) for chunk in chunks)
    assert "".join(chunk.text for chunk in chunks) == "これは長い規程の一文である。" * 100


def test_english_passages_have_some_two_hundred_words() -> None:
    text = " ".join(
        f"Expense reports for journey number {at} are submitted before the monthly closing." for at in range(200)
    )
    sizes = [len(chunk.text.split()) for chunk in cut(text)]
    assert all(150 <= size <= 250 for size in sizes[:-1])


def test_a_word_without_end_is_cut_as_well() -> None:
    chunks = cut("x" * 10_000)
    assert "".join(chunk.text for chunk in chunks) == "x" * 10_000
    assert max(len(chunk.text) for chunk in chunks) <= 3 * MAX_WEIGHT


def test_each_passage_of_a_table_carries_its_header() -> None:
    rows = "\n".join(f"社員{at},東京都千代田区{at}丁目,営業部第{at}課" for at in range(80))
    first, *rest = cut(f"氏名,住所,所属\n{rows}\n", "csv")
    assert first.text.startswith("氏名 | 住所 | 所属\n社員0 |")
    assert rest and all(chunk.text.startswith("氏名 | 住所 | 所属\n社員") for chunk in rest)
    assert (rest[0].start_line, rest[-1].end_line) == (first.end_line + 1, 81)


def test_a_header_that_is_longer_than_a_passage_ends_all_the_same() -> None:
    chunks = cut("列" * 2000 + ",b\n" + "値,1\n" * 50, "csv")
    assert sum(chunk.text.count("値 | 1") for chunk in chunks) == 50


_LINES = ["# 見出し", "## Next", "", "本文です。", "word " * 60, "長い文。" * 150, "| a | b |"]


@given(st.lists(st.sampled_from(_LINES), max_size=30))
def test_every_line_is_in_the_passage_that_names_it(lines: list[str]) -> None:
    chunks = cut("\n".join([*lines, "end"]))
    for chunk in chunks:
        source = "".join([*lines, "end"][chunk.start_line - 1 : chunk.end_line]).replace(" ", "")
        assert all(line.replace(" ", "") in source for line in chunk.text.split("\n"))
    said = "".join(chunk.text for chunk in chunks)
    for piece in ("本文です。", "word", "長い文。", "| a | b |", "end"):
        assert said.count(piece) == "\n".join([*lines, "end"]).count(piece)


@pytest.mark.parametrize(("text", "weight"), [("", 0), ("日本語", 3), ("日本語 abc", 5), ("six letters", 4)])
def test_the_weight_counts_japanese_by_characters(text: str, weight: int) -> None:
    assert text_weight(text) == weight


@pytest.mark.parametrize("letter", ["あ", "a"])
def test_a_text_without_sentences_is_cut_anywhere_and_loses_nothing(letter: str) -> None:
    chunks = cut(letter * 5_000, "text")
    assert len(chunks) > 3 and all(text_weight(chunk.text) <= MAX_WEIGHT for chunk in chunks)
    assert "".join(chunk.text for chunk in chunks) == letter * 5_000
