from __future__ import annotations

import time

import pytest

from flowloom.retrieval.query_names import FileMention, read_names, resolve_file

PATHS = ["README.md", "a/__init__.py", "src/app/main.py", "src/lib/main.py", "src/lib/text.py", "資料/設計.md"]


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("fix parse_file please", ("parse_file",)),
        ("why does readUrl fail", ("readUrl",)),
        ("the HTTPServer class", ("HTTPServer",)),
        ("call run() twice", ("run",)),
        ("make `slug` faster", ("slug",)),
        ("「保存」と「save」を直す", ("save",)),
        ("parse_fileを直す", ("parse_file",)),
        ("Store.get returns None.", ("Store", "get")),
        ("a plain sentence.", ()),
        ("it's what's written, don't ask", ()),
    ],
)
def test_names_written_as_code_are_marked(query: str, marked: tuple[str, ...]) -> None:
    assert read_names(query).marked == marked


def test_other_words_may_be_names() -> None:
    assert read_names("make slugify handle it, slugify!").plain == ("make", "slugify", "handle")


@pytest.mark.parametrize(
    ("query", "files"),
    [
        ("see src/app/main.py.", (FileMention("src/app/main.py"),)),
        ("src/app/main.py:42:7 fails", (FileMention("src/app/main.py", 42),)),
        ('File "/home/me/src/app/main.py", line 42, in f', (FileMention("/home/me/src/app/main.py", 42),)),
        ("main.pyを直して", (FileMention("main.py"),)),
        (r"C:\src\app\main.py", (FileMention("C:/src/app/main.py"),)),
        ("`text.py`と「資料/設計.md」", (FileMention("text.py"), FileMention("資料/設計.md"))),
        ("version 1.2 or 3.4.5", ()),
    ],
)
def test_files_are_read_with_their_line(query: str, files: tuple[FileMention, ...]) -> None:
    assert read_names(query).files == files


@pytest.mark.parametrize(
    ("mention", "paths"),
    [
        ("src/app/main.py", ["src/app/main.py"]),
        ("./src/app/main.py", ["src/app/main.py"]),
        ("/home/me/work/src/app/main.py", ["src/app/main.py"]),
        ("main.py", ["src/app/main.py", "src/lib/main.py"]),
        ("lib/text.py", ["src/lib/text.py"]),
        ("ファイルtext.py", ["src/lib/text.py"]),
        ("設計.md", ["資料/設計.md"]),
        ("nothing.py", []),
        ("ext.py", []),
    ],
)
def test_a_mention_means_the_files_that_end_like_it(mention: str, paths: list[str]) -> None:
    assert resolve_file(mention, PATHS) == paths


def test_a_name_that_many_files_have_means_none() -> None:
    assert resolve_file("__init__.py", [f"{name}/__init__.py" for name in "abcd"]) == []


@pytest.mark.parametrize("query", ["a" * 400_000, "a/" * 200_000, "a.b" * 100_000, "'" * 200_000, "「" * 200_000])
def test_a_huge_query_is_read_in_no_time(query: str) -> None:
    start = time.process_time()
    read_names(query)
    assert time.process_time() - start < 3
