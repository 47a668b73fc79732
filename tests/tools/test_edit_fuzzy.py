import pytest

from flowloom.tools.edit_fuzzy import is_slip, likeness, misquoted
from flowloom.tools.edit_match import FileIndex, Match

FILE = [
    "def load(path):",
    "    # Reads the whole file at once.",
    "    with open(path) as file:",
    "        content = file.read()",
    "        header = content[:16]",
    "    return parse(content, header)",
]


def found(quote: list[str], file: list[str] | None = None, must_stand: frozenset[int] = frozenset()) -> list[Match]:
    standing = [number in must_stand for number in range(len(quote))]
    return misquoted(FileIndex(FILE if file is None else file), quote, standing)


def with_line(number: int, line: str) -> list[str]:
    return [*FILE[:number], line, *FILE[number + 1 :]]


def test_a_slip_of_the_keyboard_is_found() -> None:
    (match,) = found(with_line(3, "        contnet = file.read()"))
    assert (match.first, match.last, match.pairs) == (0, 6, (0, 1, 2, 3, 4, 5))
    assert 0.9 < match.score < 1


def test_a_line_that_the_edit_replaces_may_have_a_slip_and_no_more() -> None:
    assert found(with_line(3, "        contnet = file.read()"), must_stand=frozenset({3}))
    assert not found(with_line(3, "        content = file.load()"), must_stand=frozenset({3}))
    assert found(with_line(3, "        content = file.load()"))


def test_a_reworded_comment_is_found() -> None:
    assert found(with_line(1, "    # Reads the file at once."))


def test_a_reworded_comment_is_found_at_the_edge_of_a_short_quote() -> None:
    assert found(["    # Reads the file at once.", *FILE[2:4]])


def test_a_line_of_code_at_the_edge_may_be_what_tells_two_places_apart() -> None:
    assert not found(with_line(5, "    return parse(content, footer)"))


def test_two_lines_are_too_few_to_be_recognised() -> None:
    assert not found(["    # Reads the file at once.", FILE[2]])


def test_blank_lines_do_not_make_a_quote_longer() -> None:
    assert not found(
        ["    # Reads the file at once.", "", FILE[2]], ["    # Reads the whole file at once.", "", FILE[2]]
    )


def test_more_than_one_line_in_five_is_too_much() -> None:
    quote = [FILE[0], "    # Reads the file at once.", FILE[2], "        contnet = file.read()", *FILE[4:]]
    assert not found(quote)


def test_a_line_that_is_nothing_like_the_file_s_is_refused() -> None:
    assert not found(with_line(3, "        assert False, 'never'"))


def test_a_second_place_as_like_as_the_first_is_refused() -> None:
    quote = with_line(3, "        contnet = file.read()")
    assert found(quote, [*FILE, "", "pass"])
    assert not found(quote, [*FILE, "", *FILE])
    assert not found(quote, [*FILE, "", *with_line(2, "    with open(path) as fi:")])


def test_the_lines_keep_their_order_and_their_number() -> None:
    assert not found([FILE[0], FILE[2], FILE[1], FILE[4], FILE[5]])


def test_a_quote_longer_than_the_file_is_nowhere() -> None:
    assert not found([*FILE, "x"], FILE)
    assert not found(FILE, [])


def test_a_quote_of_lines_that_stand_everywhere_is_nowhere() -> None:
    assert not found(["}", "}", "{", "}", "}"], ["}"] * 500)


@pytest.mark.parametrize(
    ("quoted", "stands"),
    [
        ("contnet = 1", "content = 1"),
        ("contet = 1", "content = 1"),
        ("conntent = 1", "content = 1"),
        ("  contnet = 1 ", "content = 1"),
    ],
)
def test_a_letter_swapped_dropped_or_doubled_is_a_slip(quoted: str, stands: str) -> None:
    assert is_slip(quoted, stands)


@pytest.mark.parametrize(
    ("quoted", "stands"),
    [
        ("contents = 1", "content = 1"),
        ("content = 2", "content = 1"),
        ("confent = 1", "content = 1"),
        ("fot = 1", "foot = 1"),
        ("content = a", "content = b"),
        ("unlocked", "locked"),
        ("content += 1", "content = 1"),
        ("内容 = 1", "内客 = 1"),
        ("content", "content x"),
    ],
)
def test_what_may_be_another_word_is_no_slip(quoted: str, stands: str) -> None:
    assert not is_slip(quoted, stands)


def test_likeness_leaves_blanks_aside() -> None:
    assert likeness("  a = 1", "a=1") == 1
    assert likeness("abcd", "abcx") == 0.75
    assert likeness("", "") == 1
