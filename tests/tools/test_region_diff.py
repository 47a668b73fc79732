from flowloom.tools.edit_lines import split_lines
from flowloom.tools.edit_match import Match
from flowloom.tools.edit_merge import Piece
from flowloom.tools.region_diff import region_diff, text_diff

NUMBERED = "".join(f"line {number}\n" for number in range(1, 21))


def diff_of(changes: list[tuple[int, int, list[str]]]) -> str:
    """Return the region diff of NUMBERED with lines first..last-1, 0-indexed, replaced."""
    texts = list(split_lines(NUMBERED).texts)
    for first, last, lines in reversed(changes):
        texts[first:last] = lines
    after = split_lines("".join(line + "\n" for line in texts))
    parts: list[tuple[Match, list[Piece]]] = [
        (Match(first, last, tuple(range(first, last))), [(line, "\n") for line in lines])
        for first, last, lines in changes
    ]
    return region_diff(split_lines(NUMBERED), after, parts)


def test_a_hunk_has_the_line_numbers_of_the_whole_file() -> None:
    assert diff_of([(9, 10, ["ten"])]) == ("@@ -8,5 +8,5 @@\n line 8\n line 9\n-line 10\n+ten\n line 11\n line 12")


def test_a_second_hunk_counts_what_the_first_added() -> None:
    hunks = diff_of([(4, 5, ["five", "five and a half"]), (14, 16, [])]).split("\n")
    assert [line for line in hunks if line.startswith("@@")] == ["@@ -3,5 +3,6 @@", "@@ -13,6 +14,4 @@"]


def test_a_hunk_at_the_first_line_has_nothing_above_it() -> None:
    assert diff_of([(0, 1, ["one"])]) == "@@ -1,3 +1,3 @@\n-line 1\n+one\n line 2\n line 3"


def test_a_hunk_at_the_last_line_has_nothing_below_it() -> None:
    assert diff_of([(19, 20, ["end", "more"])]) == "@@ -18,3 +18,4 @@\n line 18\n line 19\n-line 20\n+end\n+more"


def test_lines_of_the_place_that_stayed_are_context() -> None:
    lines = [f"line {number}" for number in range(6, 16)]
    assert diff_of([(5, 15, [*lines[:9], "fifteen"])]) == (
        "@@ -13,5 +13,5 @@\n line 13\n line 14\n-line 15\n+fifteen\n line 16\n line 17"
    )


def test_two_changes_far_apart_in_one_place_are_two_hunks() -> None:
    lines = [f"line {number}" for number in range(2, 20)]
    hunks = diff_of([(1, 19, ["two", *lines[1:-1], "nineteen"])]).split("\n")
    assert [line for line in hunks if line.startswith("@@")] == ["@@ -1,4 +1,4 @@", "@@ -17,4 +17,4 @@"]


def test_a_diff_of_two_texts_has_no_file_names() -> None:
    assert text_diff("a\nb\nc\n", "a\nB\nc\n") == "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c"
    assert text_diff("a\n", "a\n") == ""


def test_a_removed_line_may_look_like_the_name_of_a_file() -> None:
    assert text_diff("a\n-- b\n", "a\n") == "@@ -1,2 +1 @@\n a\n--- b"
    assert text_diff("a\n", "a\n++ b\n") == "@@ -1 +1,2 @@\n a\n+++ b"
