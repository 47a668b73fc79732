from collections.abc import Sequence

import pytest

from flowloom.tools.edit_indent import carries_indent, reindent


def indented(quoted: Sequence[str], stands: Sequence[str], new: Sequence[str]) -> list[str]:
    """Return the lines of a replacement as they are indented in the file."""
    apply = reindent(list(zip(quoted, stands, strict=True)), new)
    assert apply is not None
    return [apply(line, number) for number, line in enumerate(new)]


def carried(quoted: Sequence[str], stands: Sequence[str], new: Sequence[str]) -> bool | None:
    return carries_indent(list(zip(quoted, stands, strict=True)), new)


def test_a_quote_indented_as_the_file_leaves_the_new_lines_alone() -> None:
    assert indented(["  a"], ["  a"], ["b", "\tc", "  d"]) == ["b", "\tc", "  d"]


@pytest.mark.parametrize(
    ("quoted", "stands", "new", "expected"),
    [
        ("if x:|    a", "    if x:|        a", "if y:|    a|    b", "    if y:|        a|        b"),
        ("        a", "    a", "        b|            c", "    b|        c"),
        ("if x:|  a", "if x:|    a", "if x:|  if y:|    b", "if x:|    if y:|        b"),
    ],
)
def test_new_lines_are_indented_as_the_quote_is_in_the_file(
    quoted: str, stands: str, new: str, expected: str
) -> None:
    assert indented(quoted.split("|"), stands.split("|"), new.split("|")) == expected.split("|")


def test_a_new_line_left_of_the_quote_is_moved_as_far() -> None:
    assert indented(["        a"], ["            a"], ["    b", "c"]) == ["        b", "    c"]


def test_spaces_become_the_file_s_tabs() -> None:
    quoted, stands = ["if x:", "    a"], ["\tif x:", "\t\ta"]
    assert indented(quoted, stands, ["if x:", "    if y:", "        b", ""]) == [
        "\tif x:",
        "\t\tif y:",
        "\t\t\tb",
        "",
    ]


def test_tabs_become_the_file_s_spaces() -> None:
    quoted, stands = ["if x:", "\ta"], ["  if x:", "    a"]
    assert indented(quoted, stands, ["if x:", "\tif y:", "\t\tb"]) == ["  if x:", "    if y:", "      b"]


def test_a_quote_whose_first_line_lost_its_indentation_gives_it_to_the_first_new_line_alone() -> None:
    quoted, stands = ["a", "    b"], ["    a", "    b"]
    assert indented(quoted, stands, ["c", "    d"]) == ["    c", "    d"]


def test_a_replacement_that_kept_what_the_quote_s_first_line_lost_is_left_alone() -> None:
    assert indented(["a", "    b"], ["    a", "    b"], ["    c", "    b"]) == ["    c", "    b"]


def test_one_line_without_its_indentation_is_known_by_the_lines_below_it() -> None:
    assert indented(["a"], ["    a"], ["b", "    c"]) == ["    b", "    c"]
    assert indented(["a"], ["    a"], ["if b:", "    c"]) == ["    if b:", "        c"]


def test_one_indentation_that_stands_for_two_can_not_be_mapped() -> None:
    assert reindent([("a", "    a"), ("b", "        b")], ["c"]) is None


def test_blank_lines_say_nothing_about_the_indentation() -> None:
    assert indented(["a", "", "b"], ["  a", "    ", "  b"], ["a", "  ", "c"]) == ["  a", "", "  c"]


def test_full_width_blanks_are_indentation() -> None:
    assert indented(["・項目"], ["\u3000・項目"], ["・項目", "・追加"]) == ["\u3000・項目", "\u3000・追加"]


def test_a_replacement_with_the_file_s_margin_carries_it() -> None:
    assert carried(["a", "b"], ["    a", "    b"], ["    a", "    c"]) is True


def test_a_replacement_with_the_quote_s_margin_does_not_carry_the_file_s() -> None:
    assert carried(["a", "b"], ["    a", "    b"], ["a", "c"]) is False


def test_nothing_is_carried_where_the_quote_is_indented_as_the_file() -> None:
    assert carried(["    a"], ["    a"], ["        b"]) is False
    assert carried(["a"], ["    a"], []) is False


def test_common_lines_and_margin_that_disagree_tell_nothing() -> None:
    quoted, stands = ["    c", "d"], ["        c", "    d"]
    assert carried(quoted, stands, ["    c"]) is None


def test_a_depth_that_only_the_file_has_decides_last() -> None:
    quoted, stands = ["a", "b"], ["    a", "        b"]
    assert carried(quoted, stands, ["  x", "        y"]) is True
    assert carried(quoted, stands, ["  x", "  y"]) is False
