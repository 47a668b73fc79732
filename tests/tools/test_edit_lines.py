import pytest

from flowloom.tools.edit_lines import (
    Lines,
    indent_of,
    line_at,
    line_starts,
    split_lines,
    width,
    without_blanks,
    without_indent,
    without_trailing,
)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", Lines([], [])),
        ("\n", Lines([""], ["\n"])),
        ("a", Lines(["a"], [""])),
        ("a\n", Lines(["a"], ["\n"])),
        ("a\r\nb\n\r\nc", Lines(["a", "b", "", "c"], ["\r\n", "\n", "\r\n", ""])),
        ("a\rb\n", Lines(["a\rb"], ["\n"])),
        ("a\r", Lines(["a\r"], [""])),
        ("a\x0b\x0c\x1c\x85\u2028b\n", Lines(["a\x0b\x0c\x1c\x85\u2028b"], ["\n"])),
    ],
)
def test_a_text_is_split_where_an_editor_splits_it(text: str, lines: Lines) -> None:
    assert split_lines(text) == lines
    assert lines.joined() == text


def test_a_place_of_the_text_belongs_to_the_line_that_ends_after_it() -> None:
    starts = line_starts(["ab", "", "c"])
    assert starts == [0, 3, 4]
    assert [line_at(starts, place) for place in range(6)] == [0, 0, 0, 1, 2, 2]


def test_keys_compare_more_leniently_one_after_the_other() -> None:
    line = "\t x  =  1 \u3000"
    assert (without_trailing(line), without_indent(line), without_blanks(line)) == ("\t x  =  1", "x  =  1", "x=1")


def test_japanese_is_compared_in_one_width_and_composed() -> None:
    assert without_blanks("ポート　８０８０（ＨＴＴＰ）") == "ポート8080(HTTP)"
    assert without_blanks("か\u3099") == "が"
    assert without_blanks("é") == without_blanks("e\u0301")


def test_a_line_of_blanks_has_no_indentation() -> None:
    assert [indent_of(line) for line in ("", " \t ", "\t x", "\u3000　x", "x ")] == ["", "", "\t ", "\u3000　", ""]


def test_a_tab_counts_as_four_columns() -> None:
    assert [width(indent) for indent in ("", "  ", "\t", "\t ")] == [0, 2, 4, 5]
