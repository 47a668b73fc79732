from typing import get_args

import pytest

from flowloom.tools.edit_match import MAX_PLACES
from flowloom.tools.edit_near import MAX_SHOWN_LINES
from flowloom.tools.edit_placeholder import is_elision
from flowloom.tools.edit_text import (
    CONFIDENCE,
    MAX_ELIDED_LINES,
    NEAR_LINES,
    EditError,
    EditResult,
    Site,
    Stage,
    apply_edit,
)

CODE = "import os\n\n\ndef load(path):\n    with open(path) as file:\n        return file.read()\n"


def applied(text: str, old: str, new: str, near_line: int | None = None) -> EditResult:
    result = apply_edit(text, old, new, near_line)
    assert isinstance(result, EditResult), result
    return result


def refused(text: str, old: str, new: str, near_line: int | None = None) -> EditError:
    result = apply_edit(text, old, new, near_line)
    assert isinstance(result, EditError), result
    return result


def found(text: str, old: str, new: str) -> tuple[str, str]:
    """Return the stage that found the place, and the text after the edit."""
    result = applied(text, old, new)
    return result.stage, result.text


# The stages, each with what only it forgives.


def test_a_unique_quote_is_replaced() -> None:
    result = applied("a = 1\nb = 2\nc = 3\n", "b = 2\n", "b = 20\nb2 = 21\n")
    diff = "@@ -1,3 +1,4 @@\n a = 1\n-b = 2\n+b = 20\n+b2 = 21\n c = 3"
    assert result == EditResult("a = 1\nb = 20\nb2 = 21\nc = 3\n", "exact", Site(2, 2), 1.0, diff)


def test_a_part_of_a_line_is_replaced() -> None:
    assert found("x = load(1)  # once\n", "load(1)", "save(2)") == ("exact", "x = save(2)  # once\n")


def test_a_part_of_a_line_becomes_several_lines() -> None:
    assert found("f(a, b)\n", "a, b", "\n    a,\n    b\n") == ("exact", "f(\n    a,\n    b)\n")


def test_a_quote_may_end_inside_a_line() -> None:
    assert found("a = 1\nb = 2  # two\n", "a = 1\nb = 2", "a = 10\nb = 20") == ("exact", "a = 10\nb = 20  # two\n")


def test_a_line_end_that_the_quote_alone_begins_with_ends_the_line_before() -> None:
    assert found("a\nb\nc\n", "\nb\n", "B\n") == ("exact", "a\nB\nc\n")


def test_a_wrapper_is_undone() -> None:
    assert found("a\nb\n", "```\nb\n```\n", "```\nc\n```\n") == ("unwrapped", "a\nc\n")


def test_several_wrappers_around_one_another_are_undone() -> None:
    old = "```py\n1|if a &lt; b:\n2|    pass\n```"
    new = "```py\n1|if a &lt;= b:\n2|    pass\n```"
    assert found("if a < b:\n    pass\n", old, new) == ("unwrapped", "if a <= b:\n    pass\n")


def test_what_looks_like_a_wrapper_and_stands_in_the_file_is_text() -> None:
    assert found("a &lt; b\na < b\n", "a &lt; b", "a &gt; b") == ("exact", "a &gt; b\na < b\n")
    assert found("```\nx\n```\n", "```\nx\n```\n", "```\ny\n```\n") == ("exact", "```\ny\n```\n")


def test_double_escapes_are_undone_where_the_result_stands_exactly() -> None:
    assert found('say("hi")\n', r"say(\"hi\")", r"say(\"ho\")") == ("unwrapped", 'say("ho")\n')
    assert refused('    say("hi")\n', r"  say( \"hi\")", r"  say( \"ho\")").reason == "not_found"


def test_trailing_blanks_do_not_count() -> None:
    assert found("a\nb  \nc\n", "a \nb\n", "A\nb\n") == ("trailing", "A\nb  \nc\n")


def test_indentation_does_not_count() -> None:
    old, new = "x = 1\nif x:\n    y = 2\n", "x = 1\nif not x:\n    y = 2\n"
    text = "def f():\n    x = 1\n    if x:\n        y = 2\n"
    assert found(text, old, new) == ("indentation", text.replace("if x", "if not x"))


def test_blanks_inside_a_line_do_not_count() -> None:
    assert found("f( a,b )\ng()\n", "f(a, b)\ng()\n", "f(a, c)\ng()\n") == ("whitespace", "f(a, c)\ng()\n")


def test_blank_lines_do_not_count() -> None:
    assert found("a\n\n\nb\nc\n", "a\nb\nc\n", "a\nb\nd\n") == ("blank-lines", "a\n\n\nb\nd\n")
    assert found("a\nb\nc\n", "a\n\nb\nc\n", "a\n\nb\nd\n") == ("blank-lines", "a\nb\nd\n")


@pytest.mark.parametrize("mark", ["...", "# ...", "    // ... existing code ...", "# 省略"])
def test_an_elision_in_both_texts_keeps_what_it_stands_for(mark: str) -> None:
    old, new = f"a = 1\n{mark}\nd = 4\n", f"a = 10\n{mark}\nd = 40\n"
    assert found("a = 1\nb = 2\nc = 3\nd = 4\n", old, new) == ("elision", "a = 10\nb = 2\nc = 3\nd = 40\n")


def test_an_elision_may_come_first_or_last() -> None:
    assert found("a\nb\nc\n", "...\nb\nc\n", "...\nB\nc\n") == ("elision", "a\nB\nc\n")
    assert found("a\nb\nc\n", "a\nb\n...\n", "a\nB\n...\n") == ("elision", "a\nB\nc\n")


def test_an_elision_stands_for_so_many_lines_and_no_more() -> None:
    old, new = "first\n...\nlast\n", "first\n...\nend\n"
    between = [f"line {number}\n" for number in range(MAX_ELIDED_LINES)]
    applied("".join(["first\n", *between, "last\n"]), old, new)
    refused("".join(["first\n", *between, "one more\n", "last\n"]), old, new)


def test_the_parts_around_an_elision_stand_in_their_order() -> None:
    refused("d\nb\na\n", "a\n...\nd\n", "A\n...\nd\n")


def test_a_misquoted_line_among_others_that_stand_is_found_last() -> None:
    text = "def f():\n    # Opens the file, once.\n    x = 1\n    y = 2\n    return x\n"
    old = text.replace("the file, once.", "the file once")
    result = applied(text, old, old.replace("y = 2", "y = 3"))
    assert (result.stage, result.text) == ("fuzzy", text.replace("y = 2", "y = 3"))
    assert 0.6 < result.confidence < CONFIDENCE["fuzzy"]


def test_the_ladder_grows_less_sure() -> None:
    assert tuple(CONFIDENCE) == get_args(Stage)
    assert list(CONFIDENCE.values()) == sorted(CONFIDENCE.values(), reverse=True)


# One place at every stage, or none.


@pytest.mark.parametrize(
    ("place", "quote"),
    [
        ("x = f(1)", "x = f(1)"),
        ("x = f(1)", "```\nx = f(1)\n```"),
        ("x = f(1)\ny", "x = f(1)  \ny"),
        ("    x = f(1)\n    y", "  x = f(1)\n  y"),
        ("x = f( 1 )", "x = f(1)"),
        ("x = f(1)\n\ny", "x = f(1)\ny"),
    ],
)
def test_two_places_are_refused_at_every_stage_with_their_lines(place: str, quote: str) -> None:
    assert applied(f"{place}\nend\n", quote, "z").text
    error = refused(f"{place}\nend\n{place}\n", quote, "z")
    assert (error.reason, error.lines) == ("ambiguous", (1, place.count("\n") + 3))
    assert f"lines 1, {place.count(chr(10)) + 3}" in error.message


def test_two_places_of_one_part_of_an_elision_are_refused() -> None:
    refused("a\nb\nc\nd\nc\n", "a\n...\nc\n", "A\n...\nc\n")


def test_a_later_stage_does_not_choose_between_two_places() -> None:
    assert refused("  x = 1\n\n   x = 1\n", "    x = 1\n", "    x = 2\n").reason == "ambiguous"


def test_an_exact_place_is_not_weighed_against_likely_ones() -> None:
    assert found("    x = 1\nx  = 1\n", "    x = 1\n", "    x = 2\n") == ("exact", "    x = 2\nx  = 1\n")


def test_a_quote_of_whole_lines_is_not_meant_in_the_middle_of_one() -> None:
    assert found("price = 1 # x\nprice = 1\n", "price = 1\n", "price = 2\n") == (
        "exact",
        "price = 1 # x\nprice = 2\n",
    )
    assert found("unset x\nset x\n", "set x\n", "set y\n") == ("exact", "unset x\nset y\n")


def test_overlapping_places_are_two() -> None:
    assert refused("a\na\na\n", "a\na", "b").reason == "ambiguous"


def test_many_places_are_not_counted_to_the_end() -> None:
    error = refused("x " * 1_000_000, " ", "_")
    assert "and more" in error.message
    assert len(error.lines) == MAX_PLACES


# A line number chooses.


def sites(*lines: int) -> str:
    """Return a text of forty lines with the same call at these."""
    return "".join("call()\n" if number in lines else f"line {number}\n" for number in range(1, 41))


@pytest.mark.parametrize("quote", ["call()\n", "call( )\n", "    call()\n"])
def test_a_line_number_chooses_the_place_it_is_clearly_nearer_to(quote: str) -> None:
    assert applied(sites(5, 30), quote, "done()\n", near_line=28).site == Site(30, 30)
    assert applied(sites(5, 30), quote, "done()\n", near_line=5).site == Site(5, 5)


@pytest.mark.parametrize(
    ("lines", "near_line"),
    [
        ((10, 20), 15),
        ((10, 20), 13),
        ((5, 40), 5 + NEAR_LINES + 1),
        ((5, 7), 7 + NEAR_LINES),
        ((5, 30), -1_000),
    ],
)
def test_a_line_number_that_is_not_clearly_nearer_to_one_chooses_none(lines: tuple[int, ...], near_line: int) -> None:
    assert refused(sites(*lines), "call()\n", "done()\n", near_line).lines == lines


def test_a_line_number_does_not_move_a_unique_place() -> None:
    assert applied(sites(30), "call()\n", "done()\n", near_line=1).site == Site(30, 30)


def test_a_line_number_does_not_choose_within_a_line() -> None:
    assert refused("f(a, a)\n", "a", "b", near_line=1).reason == "ambiguous"


def test_the_numbers_of_the_quote_itself_choose_their_line_and_no_other() -> None:
    assert applied(sites(5, 30), "30|call()\n", "30|done()\n").site == Site(30, 30)
    assert refused(sites(5, 30), "29|call()\n", "29|done()\n").lines == (5, 30)


# Why an edit is refused.


def test_an_empty_quote_is_refused() -> None:
    error = refused("a", "", "b")
    assert error.reason == "empty"
    assert "write_file" in error.message


def test_an_edit_that_changes_nothing_is_refused() -> None:
    assert refused("a\r\nb", "a\r\nb", "a\nb").reason == "no_change"


def test_a_missing_quote_shows_the_nearest_lines_and_how_they_differ() -> None:
    error = refused(CODE, "def load(name):\n    with open(name) as file:\n", "x")
    assert (error.reason, error.lines) == ("not_found", (4,))
    assert "4|def load(path):\n  ~ def load([-path-]{+name+}):\n5|" in error.message


def test_a_long_missing_quote_is_answered_in_a_few_lines() -> None:
    text = "".join(f"value_{number} = compute({number})\n" for number in range(500))
    error = refused(text, text[:5_000].replace("compute", "count"), "x")
    numbered = [line for line in error.message.split("\n") if line.split("|")[0].isdecimal()]
    assert 0 < len(numbered) <= MAX_SHOWN_LINES


def test_a_quote_that_is_nowhere_near_shows_nothing() -> None:
    error = refused("alpha\nbeta\n", "zzzzzz qqqqqq", "x")
    assert (error.reason, error.lines) == ("not_found", ())
    assert "Read the file" in error.message


@pytest.mark.parametrize("text", ["", "\n", "\r\n"])
def test_a_file_without_a_word_in_it_refuses_any_quote(text: str) -> None:
    assert refused(text, "x", "y").reason == "not_found"


@pytest.mark.parametrize(
    "mark", ["# ... rest of the code ...", "    ...", "// 既存のコード", "# 以下省略", "<!-- unchanged -->"]
)
def test_a_placeholder_in_the_replacement_alone_is_refused(mark: str) -> None:
    error = refused("a = 1\nb = 2\n", "a = 1\nb = 2\n", f"a = 10\n{mark}\n")
    assert error.reason == "placeholder"
    assert repr(mark.strip()) in error.message


def test_a_stub_is_no_placeholder() -> None:
    new = "class Reader(Protocol):\n    def read(self) -> bytes:\n        ...\n"
    assert found("pass\n", "pass\n", new) == ("exact", new)


def test_an_elision_in_the_quote_alone_is_refused() -> None:
    error = refused("a\nb\nc\n", "a\n# ...\nc\n", "A\nC\n")
    assert error.reason == "elision"
    assert "'# ...'" in error.message


def test_new_lines_that_no_quoted_line_indents_are_refused() -> None:
    error = refused("    a = 1\n        b = 2\n", "a = 1\nb = 2\n", "a = 1\nb = 3\nc = 4\n")
    assert (error.reason, error.lines) == ("indentation", (1,))
    assert "1|    a = 1" in error.message


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("a\nnew line\nb\n", "old line", "new line"),
        ("a\n    new line\nb\n", "old line\n", "new line\n"),
        ("a\nimport os\nimport sys\n", "import os\n", "import os\nimport sys\n"),
        ("a\n    x = 1\n    y = 2\n", "x = 1\n", "x = 1\ny = 2\n"),
        ("b\na\n", "a", "b\na"),
        ("z\nf(a, b)\n", "f(a", "f(a, b"),
        ("a\nnew\n", "```\nold\n```", "```\nnew\n```"),
    ],
)
def test_an_edit_that_is_already_there_says_so(text: str, old: str, new: str) -> None:
    error = refused(text, old, new)
    assert error.reason == "already_applied"
    assert "this edit is done" in error.message or "this edit seems to be done" in error.message
    assert error.lines in ((1,), (2,))


def test_an_addition_is_not_made_twice() -> None:
    once = applied("import os\n", "import os\n", "import os\nimport sys\n").text
    assert refused(once, "import os\n", "import os\nimport sys\n").reason == "already_applied"


def test_a_replacement_that_stands_elsewhere_does_not_stop_an_exact_edit() -> None:
    assert found("x = 2\ny\nz\nx = 1\n", "x = 1\n", "x = 2\n") == ("exact", "x = 2\ny\nz\nx = 2\n")


# Text of every kind.


@pytest.mark.parametrize("quote", ["年齢：３０\n", "年齢:30\n", " 年齢 ：30\n"])
def test_japanese_is_found_in_either_width(quote: str) -> None:
    assert applied("名前：太郎\n年齢：３０\n", quote, "年齢：四十\n").text.endswith("太郎\n年齢：四十\n")


def test_japanese_in_decomposed_form_is_found_and_kept_as_it_is() -> None:
    decomposed = "# か\u3099ソ\u3099リン\nx = 1\n"
    assert found(decomposed, "# がゾリン\nx = 1\n", "# がゾリン\nx = 2\n") == ("whitespace", decomposed[:-2] + "2\n")


def test_a_part_of_a_japanese_line_is_replaced() -> None:
    assert found("名前：太郎\n年齢：三十\n", "太郎", "花子") == ("exact", "名前：花子\n年齢：三十\n")


def test_a_deletion_leaves_the_rest() -> None:
    assert found("a\nb\nc\n", "b\n", "") == ("exact", "a\nc\n")
    assert found("a\nb\nc\n", "b", "") == ("exact", "a\nc\n")
    assert found("a\nb", "b", "") == ("exact", "a\n")
    assert found("a\n", "a\n", "") == ("exact", "")


def test_a_large_file_is_edited_exactly_and_nearly() -> None:
    lines = [f"    value_{number} = compute({number}, option={number % 7})\n" for number in range(50_000)]
    text = "".join(lines)
    assert len(text) > 2_000_000
    assert applied(text, lines[25_000], "    pass\n").text == text.replace(lines[25_000], "    pass\n")
    quote = lines[25_000].strip().replace(",", " ,") + "\n" + lines[25_001].strip() + "\n"
    assert applied(text, quote, "pass\n").site == Site(25_001, 25_002)


def test_a_quote_that_a_large_file_does_not_have_is_refused() -> None:
    text = "".join(f"    value_{number} = compute({number})\n" for number in range(50_000))
    assert refused(text, "    value_x = compute(12, options=5)\n    other = 1\n" * 4, "x").reason == "not_found"


@pytest.mark.parametrize(("text", "old"), [("", "\n"), ("x\n", "   "), ("x\n", "\n\n")])
def test_a_quote_of_blanks_that_does_not_stand_is_refused(text: str, old: str) -> None:
    assert refused(text, old, "y").reason == "not_found"


def test_a_line_number_does_not_choose_among_places_that_were_not_all_counted() -> None:
    lines = ["call()" if n in (1, 5, 10, 15, 20, 25, 30, 35, 50, 100, 112) else f"line {n}" for n in range(1, 121)]
    result = apply_edit("\n".join(lines) + "\n", "call()\n", "done()\n", near_line=110)
    assert isinstance(result, EditError) or result.site == Site(112, 112)


def test_a_number_in_the_quote_does_not_choose_within_a_line() -> None:
    assert refused("a\nfoo(foo)\n", "2|foo", "2|bar").reason == "ambiguous"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("20:x = {\n21:}\n", "x = {\n    1: 'one',\n}\n"),
        ("20|x = {\n21|}\n", "x = {\n    1: 'one',\n}\n"),
        ("20: x = {\n21: }\n", "20: x = {\n    1: 'one',\n21: }\n"),
    ],
)
def test_new_text_that_begins_with_a_number_keeps_it(old: str, new: str) -> None:
    head = "".join(f"line {n}\n" for n in range(1, 20))
    assert applied(head + "x = {\n}\n", old, new).text == head + "x = {\n    1: 'one',\n}\n"


@pytest.mark.parametrize("new", ["a\nx\n...\nd\n", "a\n...\nx\nd\n"])
def test_an_edit_with_an_elision_is_not_made_twice(new: str) -> None:
    once = applied("a\nb\nc\nd\n", "a\n...\nd\n", new).text
    assert refused(once, "a\n...\nd\n", new).reason == "already_applied"


def test_the_lines_of_a_block_can_be_taken_out_of_it() -> None:
    text = "def f():\n    if x:\n        y = 1\n        z = 2\n    return y\n"
    result = applied(text, "    if x:\n        y = 1\n        z = 2\n", "    y = 1\n    z = 2\n")
    assert result.text == "def f():\n    y = 1\n    z = 2\n    return y\n"


def test_a_deletion_may_be_quoted_with_trailing_blanks() -> None:
    assert applied("a\nb\nc\n", "a  \nb  \n", "a\n").text == "a\nc\n"


def test_a_deletion_may_be_quoted_without_the_indentation() -> None:
    assert applied("  a\n  b\n", "a\nb\n", "  a\n").text == "  a\n"


def test_trailing_blanks_can_be_removed() -> None:
    assert applied("a  \nb\n", "a  \nb\n", "a\nb\n").text == "a\nb\n"


def test_an_indentation_that_is_cut_short_does_not_choose_between_two_lines() -> None:
    assert refused("    a = 1\nb\na = 1\n", "  a = 1\n", "  a = 2\n").reason == "ambiguous"


def test_two_changes_close_together_are_one_hunk() -> None:
    result = applied("a\nb\nc\nd\n", "a\n...\nc\n", "A\nA2\n...\nC\n")
    assert result.diff == "@@ -1,4 +1,5 @@\n-a\n+A\n+A2\n b\n-c\n+C\n d"


def test_the_lines_of_a_refusal_are_lines_of_the_file() -> None:
    assert min(refused("a line\nof text\n", "not there\na line\n", "x\ny\n").lines) == 1


def test_long_runs_of_blanks_are_no_trouble() -> None:
    assert applied("a\n", "a\n", "```\n" + " " * 100_000 + "x\n").stage == "exact"
    assert not is_elision("#" + " " * 100_000 + "x")


def test_a_long_quote_with_every_second_line_changed_is_applied() -> None:
    text = "".join(f"v{number}\n}}\n" for number in range(400))
    assert applied(text, text, text.replace("v", "w")).text == text.replace("v", "w")
