from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flowloom.retrieval.chunks import Chunk, cut_chunks
from flowloom.retrieval.parse import parse_definitions


def _cut(source: str) -> list[Chunk]:
    found = cut_chunks(source.splitlines(), parse_definitions("python", source).symbols)
    return [replace(chunk, context="") for chunk in found]


def _function(name: str, lines: int, indent: str = "") -> str:
    return f"{indent}def {name}():\n" + f"{indent}    x = 1\n" * (lines - 1)


def test_a_definition_is_one_passage_with_the_comment_above_it() -> None:
    assert _cut("# why\n" + _function("f", 4) + "\n\n" + _function("g", 5)) == [Chunk(1, 5, "f"), Chunk(6, 12, "g")]


def test_text_is_cut_into_windows() -> None:
    assert cut_chunks(["line"] * 130, []) == [Chunk(1, 60, ""), Chunk(61, 120, ""), Chunk(121, 130, "")]


def test_a_long_class_is_cut_at_its_methods() -> None:
    source = "class A:\n" + _function("f", 50, "    ") + _function("g", 50, "    ")
    assert _cut(source) == [Chunk(1, 51, "A.f"), Chunk(52, 101, "A.g")]


def test_a_long_function_is_cut_into_windows_under_its_name() -> None:
    assert _cut(_function("f", 100)) == [Chunk(1, 60, "f"), Chunk(61, 100, "f")]


def test_blank_files_have_no_passages() -> None:
    assert cut_chunks([], []) == []
    assert cut_chunks(["", "  "], []) == []


@given(st.lists(st.tuples(st.integers(1, 120), st.integers(0, 12), st.booleans()), max_size=8))
def test_every_line_that_is_not_blank_is_in_one_passage(parts: list[tuple[int, int, bool]]) -> None:
    source = ""
    for at, (length, gap, in_class) in enumerate(parts):
        source += "value = 1\n" * gap + (f"class C{at}:\n" if in_class else "")
        source += _function(f"f{at}", length + 1, "    " if in_class else "")
    covered = [line for chunk in _cut(source) for line in range(chunk.start_line, chunk.end_line + 1)]
    assert covered == list(range(1, len(source.splitlines()) + 1))


def test_a_passage_knows_the_signatures_around_it() -> None:
    source = "class A(B):\n" + _function("f", 50, "    ") + _function("g", 100, "    ")
    symbols = parse_definitions("python", source).symbols
    contexts = [chunk.context for chunk in cut_chunks(source.splitlines(), symbols)]
    assert contexts == ["", "class A(B)", "class A(B)\ndef g()"]
