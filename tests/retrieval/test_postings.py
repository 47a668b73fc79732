from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from flowloom.retrieval.code_file import CodeFile, analyse
from flowloom.retrieval.code_terms import QueryTerm, count_terms, read_query, whole_term
from flowloom.retrieval.postings import PostingWriter, find_forms, merge_segments, read_postings, texts_with
from flowloom.retrieval.stems import stem


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute("CREATE TABLE segments (id INTEGER PRIMARY KEY, texts INTEGER)")
    made.execute("CREATE TABLE postings (term TEXT, segment INTEGER, data BLOB, PRIMARY KEY (term, segment))")
    yield made
    made.close()


def _file(text: str) -> CodeFile:
    return analyse("python", text)


def _write(db: sqlite3.Connection, texts: dict[int, str]) -> None:
    writer = PostingWriter()
    for text_id, text in texts.items():
        writer.add(text_id, _file(text))
    writer.write(db)


def test_a_posting_tells_definitions_from_bodies(db: sqlite3.Connection) -> None:
    _write(db, {7: "def load():\n    load()\n    load()\n", 9: "x = 1\n"})
    assert list(read_postings(db, "load")) == [(7, 1, 3)]
    assert list(read_postings(db, "nothing")) == []


def test_counts_beyond_16_bits_are_cut(db: sqlite3.Connection) -> None:
    _write(db, {1: "spam " * 70_000})
    assert list(read_postings(db, "spam")) == [(1, 0, 65_535)]


def test_merging_keeps_what_is_live(db: sqlite3.Connection) -> None:
    for text_id in range(1, 40):
        _write(db, {text_id: f"def load_{text_id}():\n    shared()\n"})
        merge_segments(db, set(range(1, text_id + 1)))
    assert db.execute("SELECT count(*) FROM segments").fetchone()[0] <= 17
    assert sorted(each[0] for each in read_postings(db, whole_term("shared"))) == list(range(1, 40))
    merge_segments(db, {3, 5})
    assert sorted(each[0] for each in read_postings(db, whole_term("shared"))) == [3, 5]
    assert texts_with(db, ["load_4", "load_5"]) == {5}


def test_a_prefix_finds_all_terms_that_begin_so(db: sqlite3.Connection) -> None:
    _write(db, {1: "# 税込\n", 2: "# 税抜\n"})
    assert {each[0] for each in read_postings(db, "税", prefix=True)} == {1, 2}


@pytest.mark.parametrize(
    "words",
    [
        "parse parsed parser parsing parses",
        "validate validates validated validating validation validator",
        "query queries",
        "index indexes indexing indexed",
        "run running runner runs",
        "connect connection connector connected",
    ],
)
def test_forms_of_a_word_have_one_stem(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 1


def test_short_and_foreign_words_are_their_own_stems() -> None:
    for word in ("is", "bus", "this", "status", "read_files", "領収書", "x86", "größe"):
        assert stem(word) == word


def test_identifiers_are_found_whole_and_by_their_parts() -> None:
    terms = count_terms("readURLs(read_urls)")
    assert {"readurls", "read_urls", "read", "urls"} <= set(terms)
    assert whole_term("readURLs") == "readurls"
    assert whole_term("合計") == whole_term("a.b") == ""


def test_other_forms_of_a_word_are_those_that_stand_somewhere(db: sqlite3.Connection) -> None:
    _write(db, {1: "cookie = sign(cookies) # signing", 2: "cook = signal\n"})
    assert find_forms(db, "cookies") == ("cookie",)
    assert find_forms(db, "signed") == ("sign", "signing")
    assert find_forms(db, "is") == ()


def test_another_form_counts_less() -> None:
    (term,) = read_query("cookies")
    assert term == QueryTerm("cookies")
    both = QueryTerm("cookies", forms=("cookie",))
    assert (both.count_in({"cookies": 2}), both.count_in({"cookie": 2}), term.count_in({"cookie": 2})) == (2, 0.6, 0)
