import pytest

from flowloom.tools.edit_lines import split_lines
from flowloom.tools.edit_match import Match
from flowloom.tools.edit_merge import changed_lines, line_opcodes, merged
from flowloom.tools.edit_text import EditResult, apply_edit


def edited(text: str, old: str, new: str) -> str:
    result = apply_edit(text, old, new)
    assert isinstance(result, EditResult), result
    return result.text


# Lines that both texts have keep the file's bytes.


def test_a_comment_misquoted_in_both_texts_keeps_the_file_s_words() -> None:
    text = "def f():\n    # Opens the file, once.\n    x = 1\n    y = 2\n    return x\n"
    old = text.replace("the file, once.", "the file once")
    assert edited(text, old, old.replace("y = 2", "y = 3")) == text.replace("y = 2", "y = 3")


def test_a_line_of_context_keeps_its_own_blanks() -> None:
    assert edited("f( a )  \nb\n", "f(a)\nb\n", "f(a)\nc\n") == "f( a )  \nc\n"


def test_context_between_two_changes_keeps_the_file_s_bytes() -> None:
    assert edited("a\n  x =1\nb\n", "a\nx = 1\nb\n", "A\nx = 1\nB\n") == "A\n  x =1\nB\n"


def test_a_line_that_only_moves_keeps_the_file_s_words() -> None:
    text = "if x:\n    # 全角（かな）\n    y = 1\nz\n"
    old = "if x:\n    # 全角(かな)\n    y = 1\nz\n"
    new = "# 全角(かな)\ny = 1\nw\n"
    assert edited(text, old, new) == "# 全角（かな）\ny = 1\nw\n"


def test_blanks_inside_a_line_change_where_the_model_changed_them() -> None:
    assert edited("  f(a,b)\n  g()\n", "f(a,b)\ng()\n", "f(a, b)\ng()\n") == "  f(a, b)\n  g()\n"


# Blank lines.


def test_blank_lines_that_only_the_file_has_stay() -> None:
    assert edited("a\n\nb\n\n\nc\nd\n", "a\nb\nc\nd\n", "a\nB\nc\nd\n") == "a\n\nB\n\n\nc\nd\n"


def test_blank_lines_that_only_the_quote_has_are_not_put_in() -> None:
    assert edited("a\nb\nc\n", "a\n\nb\n\nc\n", "a\n\nB\n\nc\n") == "a\nB\nc\n"


def test_a_new_blank_line_is_put_in() -> None:
    assert edited("  a\n  b\n", "a\nb\n", "a\n\nb\n") == "  a\n\n  b\n"


def test_a_blank_line_of_both_texts_may_hold_blanks_in_the_file() -> None:
    assert edited("a\n    \nb\n", "a\n\nb\n", "a\n\nc\n") == "a\n    \nc\n"


def test_edge_lines_that_both_texts_have_too_many_are_left_out() -> None:
    assert edited("x\na\ny\n", "\na\n\n", "\nb\n\n") == "x\nb\ny\n"


# Line ends.


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        ("a\r\nb\r\nc\r\n", "a\nb\n", "a\nB\nB2\n", "a\r\nB\r\nB2\r\nc\r\n"),
        ("a\r\nb\r\n", "b", "b1\nb2", "a\r\nb1\r\nb2\r\n"),
        ("a\nb\nc\n", "b\r\nc", "B\r\nC\r\nD", "a\nB\nC\nD\n"),
        ("a\r\nb", "b\n", "c\nd\n", "a\r\nc\r\nd"),
    ],
)
def test_new_lines_end_as_the_file_s_do(text: str, old: str, new: str, expected: str) -> None:
    assert edited(text, old, new) == expected


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        ("a\r\nb\nc\r\n", "b\n", "B\nB2\n", "a\r\nB\nB2\nc\r\n"),
        ("a\nb\r\nc\n", "b\n", "B\nB2\n", "a\nB\r\nB2\r\nc\n"),
        ("a\nb\r\nc\r\nd\n", "a\nb\nc\n", "a\nb\nC\n", "a\nb\r\nC\r\nd\n"),
        ("a\r\nb\nc\r\nd\n", "a\nb\nc\n", "a\nx\nb\nc\n", "a\r\nx\r\nb\nc\r\nd\n"),
        ("a\r\n\r\n\nb\n", "a\nb\n", "A\nb\n", "A\n\r\n\nb\n"),
    ],
)
def test_in_a_mixed_file_the_place_decides_and_other_lines_keep_theirs(
    text: str, old: str, new: str, expected: str
) -> None:
    assert edited(text, old, new) == expected


def test_a_lone_carriage_return_is_a_character_of_its_line() -> None:
    assert edited("a\rb\r\nc\n", "a\rb\n", "a\rB\n") == "a\rB\r\nc\n"


# The end of the file.


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("b", "c", "a\nc"),
        ("b\n", "c\n", "a\nc"),
        ("b\n", "b\nc\n", "a\nb\nc"),
        ("b", "", "a\n"),
        ("a\n", "", "b"),
        ("a\n", "a\nx\n", "a\nx\nb"),
        ("a\nb\n", "b\n", "b"),
    ],
)
def test_a_file_without_a_final_newline_stays_so(old: str, new: str, expected: str) -> None:
    assert edited("a\nb", old, new) == expected


@pytest.mark.parametrize(("old", "new"), [("b", "c"), ("b\n", "c"), ("b", "c\n"), ("b\n", "c\n")])
def test_a_file_with_a_final_newline_keeps_one(old: str, new: str) -> None:
    assert edited("a\nb\n", old, new) == "a\nc\n"


# Indentation of new lines.


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if x:\n    y = 1\n", "if x:\n    z = 0\n    y = 1\n"),
        ("        if x:\n            y = 1\n", "        if x:\n            z = 0\n            y = 1\n"),
        ("  if x:\n    y = 1\n", "  if x:\n    z = 0\n    y = 1\n"),
        ("if x:\n\ty = 1\n", "if x:\n\tz = 0\n\ty = 1\n"),
        ("if x:\n        y = 1\n", "if x:\n        z = 0\n        y = 1\n"),
        ("if x:\n    y = 1\n", "    if x:\n        z = 0\n        y = 1\n"),
    ],
)
def test_new_lines_come_to_the_file_s_indentation(old: str, new: str) -> None:
    text = "def f():\n    if x:\n        y = 1\n"
    assert edited(text, old, new) == "def f():\n    if x:\n        z = 0\n        y = 1\n"


def test_new_lines_come_to_the_file_s_tabs() -> None:
    text = "func f() {\n\tif x {\n\t\ty()\n\t}\n}\n"
    old = "  if x {\n    y()\n  }\n"
    assert edited(text, old, old.replace("y()", "y()\n    z()")) == text.replace("y()", "y()\n\t\tz()")


def test_a_changed_line_takes_the_indentation_of_the_one_it_stands_for() -> None:
    assert edited("    a = 1\n        b = 2\n", "a = 1\nb = 2\n", "a = 1\nb = 3\n") == "    a = 1\n        b = 3\n"


def test_lines_the_model_indents_anew_are_moved() -> None:
    text = "    a = 1\n    b = 2\n"
    assert edited(text, "a = 1\nb = 2\n", "if x:\n    a = 1\nb = 2\n") == "    if x:\n        a = 1\n    b = 2\n"


def test_new_lines_without_a_line_to_stand_for_and_without_a_map_are_none() -> None:
    file = split_lines("    a\n        b\n")
    match = Match(0, 2, (0, 1))
    assert merged(file, match, ["a", "b"], ["a", "b", "c"], "\n") is None
    assert merged(file, match, ["a", "b"], ["a", "c"], "\n") == [("    a", "\n"), ("        c", "\n")]


# The comparison of the two texts.


def test_what_a_replacement_changes_is_listed_by_its_lines() -> None:
    assert changed_lines(["a", "b", "c"], ["a", "x", "c", "d"]) == {1: "x", 3: "d"}
    assert changed_lines(["a", "b"], ["b"]) == {}
    assert changed_lines([], ["a"]) == {0: "a"}


def test_equal_lines_at_both_ends_belong_to_the_comparison() -> None:
    assert line_opcodes(["a", "b", "z"], ["a", "x", "y", "z"]) == [
        ("equal", 0, 1, 0, 1),
        ("replace", 1, 2, 1, 3),
        ("equal", 2, 3, 3, 4),
    ]
    assert line_opcodes(["a", "a"], ["a"]) == [("equal", 0, 1, 0, 1), ("delete", 1, 2, 1, 1)]
    assert line_opcodes([], []) == []


def test_the_comparison_of_long_texts_with_one_change_is_of_that_change() -> None:
    lines = [f"line {number % 50}" for number in range(20_000)]
    changed = [*lines[:10_000], "new", *lines[10_001:]]
    assert [code[0] for code in line_opcodes(lines, changed)] == ["equal", "replace", "equal"]
