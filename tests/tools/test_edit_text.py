import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.tools.edit_text import EditError, EditResult, apply_edit


def applied(text: str, old: str, new: str) -> EditResult:
    result = apply_edit(text, old, new)
    assert isinstance(result, EditResult)
    return result


def refused(text: str, old: str, new: str) -> EditError:
    result = apply_edit(text, old, new)
    assert isinstance(result, EditError)
    return result


def test_a_unique_quote_is_replaced() -> None:
    result = applied("a = 1\nb = 2\nc = 3\n", "b = 2\n", "b = 20\nb2 = 21\n")
    assert result == EditResult("a = 1\nb = 20\nb2 = 21\nc = 3\n", line=2, removed=1, added=2)


def test_two_matches_are_refused_with_their_lines() -> None:
    error = refused("x = 1\ny\nx = 1\n", "x = 1", "x = 2")
    assert (error.reason, error.lines) == ("ambiguous", (1, 3))
    assert "lines 1, 3" in error.message


def test_overlapping_matches_are_ambiguous() -> None:
    assert refused("a\na\na\n", "a\na", "b").reason == "ambiguous"


def test_many_matches_are_not_counted_to_the_end() -> None:
    started = time.monotonic()
    assert "and more" in refused("x " * 2_000_000, " ", "_").message
    assert time.monotonic() - started < 1


def test_an_empty_quote_is_refused() -> None:
    assert refused("a", "", "b").reason == "empty"


def test_an_edit_that_changes_nothing_is_refused() -> None:
    assert refused("a\r\nb", "a\r\nb", "a\nb").reason == "no_change"


def test_a_quote_with_lf_matches_a_crlf_file_which_keeps_its_ends() -> None:
    assert applied("a\r\nb\r\nc\r\n", "a\nb\n", "a\nB\nB2\n").text == "a\r\nB\r\nB2\r\nc\r\n"


def test_a_quote_with_crlf_matches_an_lf_file() -> None:
    assert applied("a\nb\nc\n", "b\r\nc", "B\r\nC").text == "a\nB\nC\n"


def test_a_mixed_file_changes_only_where_it_was_quoted() -> None:
    assert applied("a\r\nb\nc\r\nd\n", "b\nc", "B\nC").text == "a\r\nB\nC\r\nd\n"
    assert applied("a\nb\nc\r\nd\r\ne\n", "c\nd\n", "C\nD\n").text == "a\nb\nC\r\nD\r\ne\n"


def test_one_line_replaced_by_several_takes_the_file_s_line_ends() -> None:
    assert applied("a\r\nb\r\n", "b", "b1\nb2").text == "a\r\nb1\r\nb2\r\n"


def test_a_missing_quote_shows_the_nearest_lines() -> None:
    text = "import os\n\ndef load(path):\n    with open(path) as file:\n        return file.read()\n"
    error = refused(text, "def load(name):\n    with open(name) as file:\n", "x")
    assert error.reason == "not_found"
    assert error.lines == (3, 4)
    assert "3|def load(path):" in error.message


def test_a_quote_that_is_nowhere_near_shows_nothing() -> None:
    error = refused("alpha\nbeta\n", "zzzzzz qqqqqq", "x")
    assert error.lines == ()
    assert "Read the file" in error.message


def test_an_edit_that_is_already_there_says_so() -> None:
    error = refused("a\nnew line\nb\n", "old line", "new line")
    assert (error.reason, error.lines) == ("already_applied", (2,))


def test_an_addition_is_not_made_twice() -> None:
    once = applied("import os\n", "import os\n", "import os\nimport sys\n").text
    assert refused(once, "import os\n", "import os\nimport sys\n").reason == "already_applied"


def test_an_addition_before_is_not_made_twice() -> None:
    once = applied("b\n", "b", "a\nb").text
    assert refused(once, "b", "a\nb").reason == "already_applied"


def test_japanese_text_is_replaced() -> None:
    assert applied("名前：太郎\n年齢：三十\n", "太郎", "花子").text == "名前：花子\n年齢：三十\n"


def test_a_deletion_leaves_the_rest() -> None:
    assert applied("a\nb\nc\n", "b\n", "").text == "a\nc\n"


def test_refusals_in_a_long_file_are_fast() -> None:
    text = "".join(f"    value_{number} = compute({number}, option={number % 7})\n" for number in range(2_000))
    started = time.monotonic()
    refused(text, "    value_x = compute(12, options=5)\n    other = 1\n" * 4, "x")
    assert time.monotonic() - started < 1


# Without lone carriage returns: one that a new line end happens to follow would read as a pair.
@given(
    st.lists(st.sampled_from(["a", "b", " ", "\n", "\r\n"]), max_size=30).map("".join),
    st.text("ab\n ", min_size=1, max_size=6),
    st.text("ab\n ", max_size=6),
)
def test_what_surrounds_the_place_never_changes(text: str, old: str, new: str) -> None:
    result = apply_edit(text, old, new)
    if isinstance(result, EditResult):
        place = text.replace("\r\n", "\n").find(old)
        before, after = text.replace("\r\n", "\n")[:place], text.replace("\r\n", "\n")[place + len(old) :]
        assert result.text.replace("\r\n", "\n") == before + new + after


@pytest.mark.parametrize("text", ["", "\n", "\r\n"])
def test_an_empty_file_refuses_any_quote(text: str) -> None:
    assert refused(text, "x", "y").reason == "not_found"
