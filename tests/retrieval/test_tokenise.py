from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.retrieval.tokenise import (
    FTS5_TOKENIZER,
    index_text,
    match_expression,
    match_terms,
    prose_index_text,
    query_terms,
    split_identifier,
)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("parseHTTPUrl2", ("parsehttpurl2", "parse", "http", "url", "2")),
        ("snake_case_name", ("snake_case_name", "snake", "case", "name")),
        ("plain", ("plain",)),
        ("__init__", ("init",)),
        ("sha256", ("sha256", "sha", "256")),
        ("ÄrgerName", ("ärgername", "ärger", "name")),
        ("_", ()),
        ("x" * 81, ()),
    ],
)
def test_an_identifier_is_stored_whole_and_in_parts(word: str, parts: tuple[str, ...]) -> None:
    assert split_identifier(word) == parts


def test_japanese_is_cut_into_pairs() -> None:
    assert index_text("経費精算") == "経費 費精 精算 算"


def test_full_width_text_is_normalised() -> None:
    assert index_text("ＡＢＣ ㈱ ｶﾞｲﾄﾞ") == "abc 株 ガイ イド"


def test_identifiers_within_japanese_are_words_of_their_own() -> None:
    assert index_text("slugify関数を直す").split()[0] == "slugify"


def test_pairs_of_hiragana_and_common_words_are_not_searched_for() -> None:
    assert query_terms("領収書はどこですか") == ["領収", "収書", "書は"]
    assert query_terms("where is the parser") == ["parser"]


def test_a_query_of_nothing_else_keeps_them() -> None:
    assert query_terms("どこですか") == ["どこ", "こで", "です", "すか"]
    assert query_terms("what is this") == ["what", "is", "this"]


def test_a_query_without_words_matches_nothing() -> None:
    assert match_expression(" ?! \0 ") == ""


def _table(*texts: str) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute(f'CREATE VIRTUAL TABLE words USING fts5 (body, tokenize = "{FTS5_TOKENIZER}")')
    db.executemany("INSERT INTO words VALUES (?)", [(index_text(text),) for text in texts])
    return db


@pytest.mark.parametrize(
    "query", ["費", "算", "経費", "経費を精算したい", "parse_file", "ParseFile", "parsing", "file"]
)
def test_japanese_and_code_are_found_by_part_or_whole(query: str) -> None:
    db = _table("経費精算 parse_file", "nothing here 別の文")
    found = db.execute("SELECT rowid FROM words WHERE words MATCH ?", (match_expression(query),)).fetchall()
    db.close()
    assert found == [(1,)]


@given(st.text())
def test_no_query_is_syntax(query: str) -> None:
    if expression := match_expression(query):
        db = _table("text")
        db.execute("SELECT rowid FROM words WHERE words MATCH ?", (expression,)).fetchall()
        db.close()


@pytest.mark.parametrize("query", ['"', "a AND", "NEAR(", "a* OR NOT b", "body:x", "^x", "x' --", "{a b}: c", "-x"])
def test_operators_of_the_search_language_are_only_words(query: str) -> None:
    db = _table("text")
    if expression := match_expression(query):
        db.execute("SELECT rowid FROM words WHERE words MATCH ?", (expression,)).fetchall()
    db.close()


def test_words_that_a_line_break_cuts_are_whole_in_prose() -> None:
    assert prose_index_text("経費精\n　算").split() == ["経費", "費精", "精算", "算"]
    assert "transformation" in prose_index_text("transfor-\n  mation").split()
    assert "nextline" not in prose_index_text("next\nline").split()


def test_the_last_kanji_of_a_word_is_searched_for_within_its_pair_alone() -> None:
    assert match_terms("経費精算") == ['"経費"', '"費精"', '"精算"']
    assert match_terms("費") == ['"費"*']


def test_numbers_that_commas_divide_are_found_as_a_whole_and_the_other_way_round() -> None:
    assert "12000" in prose_index_text("宿泊費は１２，０００円").split()
    assert "12000" in query_terms("12,000円")
    assert "123" not in query_terms("1,2,3 1.2,345,6")


def test_old_forms_of_kanji_are_found_by_the_usual_ones() -> None:
    assert query_terms("髙橋・渡邊") == query_terms("高橋・渡辺") != []
    assert prose_index_text("𠮷田") == prose_index_text("吉田")


@pytest.mark.parametrize(
    ("kanji", "figures"), [("第五条", "第5条"), ("第百二十三条", "第123条"), ("第二〇項", "第20項")]
)
def test_the_number_of_an_article_is_the_same_in_kanji_and_in_figures(kanji: str, figures: str) -> None:
    assert prose_index_text(kanji) == prose_index_text(figures)
    assert query_terms(kanji) == query_terms(figures)


def test_a_number_that_begins_a_name_stays_in_kanji() -> None:
    assert "第二" in query_terms("第二次世界大戦")
