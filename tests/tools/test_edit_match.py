from flowloom.tools.edit_lines import exactly, without_blanks, without_indent
from flowloom.tools.edit_match import MAX_PLACES, FileIndex, Match, core, same_but_blank_lines, same_lines

FILE = FileIndex(["def f():", "    x = 1", "", "    y = 2", "def g():", "    x = 1"])


def test_lines_are_found_where_they_stand_one_below_the_other() -> None:
    assert same_lines(FILE, ["def g():", "    x = 1"], exactly) == [Match(4, 6, (4, 5))]


def test_every_place_is_found() -> None:
    assert [match.first for match in same_lines(FILE, ["x = 1"], without_indent)] == [1, 5]


def test_lines_that_are_not_together_are_not_found() -> None:
    assert same_lines(FILE, ["def f():", "    y = 2"], exactly) == []


def test_blank_lines_at_the_edges_of_a_quote_stand_for_no_line() -> None:
    assert same_lines(FILE, ["", "def g():", "", ""], exactly) == [Match(4, 5, (None, 4, None, None))]


def test_a_quote_of_blank_lines_is_nowhere() -> None:
    assert same_lines(FILE, ["", ""], exactly) == []
    assert same_but_blank_lines(FILE, ["", ""], without_blanks) == []


def test_places_are_counted_up_to_a_limit() -> None:
    assert len(same_lines(FileIndex(["x"] * 50), ["x"], exactly)) == MAX_PLACES


def test_overlapping_places_count_apart() -> None:
    assert [match.first for match in same_lines(FileIndex(["x"] * 3), ["x", "x"], exactly)] == [0, 1]


def test_a_blank_line_that_only_the_file_has_lies_inside_the_place() -> None:
    assert same_but_blank_lines(FILE, ["def f():", "x = 1", "y = 2"], without_blanks) == [Match(0, 4, (0, 1, 3))]


def test_a_blank_line_that_only_the_quote_has_stands_for_no_line() -> None:
    assert same_but_blank_lines(FILE, ["y = 2", "", "def g():"], without_blanks) == [Match(3, 5, (3, None, 4))]


def test_the_core_of_a_quote_is_without_the_blank_lines_around_it() -> None:
    assert core(["", "a", "", "b", " "]) == (1, 4)
    assert core(["", " "]) == (0, 0)
