import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowloom.tools.three_way import merge

BASE = "一\n二\n三\n四\n五\n六\n七\n"


def test_changes_of_different_lines_are_both_kept() -> None:
    merged = merge(BASE, BASE.replace("一", "壱"), BASE.replace("七", "漆"))
    assert (merged.text, merged.overlaps) == ("壱\n二\n三\n四\n五\n六\n漆\n", "")


def test_where_both_change_a_line_the_edit_is_in_the_text_and_all_versions_are_shown() -> None:
    merged = merge(BASE, BASE.replace("四", "theirs"), BASE.replace("四", "mine"))
    assert merged.text == BASE.replace("四", "mine")
    assert [line for line in merged.overlaps.split("\n") if line[0] not in "<>=|"] == ["theirs", "四", "mine"]


def test_an_undisputed_change_beside_an_overlap_is_kept() -> None:
    theirs = BASE.replace("一", "壱").replace("七", "theirs")
    assert merge(BASE, theirs, BASE.replace("七", "mine")).text == BASE.replace("一", "壱").replace("七", "mine")


def test_the_same_change_on_both_sides_is_no_overlap() -> None:
    changed = BASE.replace("四", "肆")
    assert merge(BASE, changed, changed).overlaps == ""


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_line_ends_and_a_missing_last_one_stay(end: str) -> None:
    base = end.join(["a", "b", "c", "d"])
    assert merge(base, base, base.replace("b", "B")).text == base.replace("b", "B")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["a\n", "b\n", "\n", "é\r\n"]), max_size=8).map("".join), st.text("ab\n", max_size=8))
def test_without_another_change_the_edit_is_taken_as_it_is(base: str, wanted: str) -> None:
    assert merge(base, base, wanted).text == wanted
