import pytest

from flowloom.tools.edit_unwrap import Quote, unwrapped_forms


def forms(old: str, new: str = "") -> dict[tuple[str, ...], tuple[str, str]]:
    """Return the two texts of every form but the first by the wrappers that were undone."""
    return {form.wrappers: (form.old, form.new) for form in unwrapped_forms(Quote(old, new))[1:]}


def numbers(old: str, new: str = "") -> list[tuple[str, str, int | None]]:
    return [
        (form.old, form.new, form.number)
        for form in unwrapped_forms(Quote(old, new))
        if form.wrappers == ("line numbers",)
    ]


def test_the_quote_as_it_is_comes_first() -> None:
    assert unwrapped_forms(Quote("x = 1\n", "x = 2\n")) == [Quote("x = 1\n", "x = 2\n")]


@pytest.mark.parametrize("fence", ["```", "```python", "~~~~", "````md title"])
def test_a_fence_is_undone_on_both_texts(fence: str) -> None:
    mark = fence[0] * (len(fence) - len(fence.lstrip("`~")))
    wrapped = f"{fence}\n{{}}\n{mark}\n"
    assert forms(wrapped.format("x = 1"), wrapped.format("x = 2")) == {("fence",): ("x = 1", "x = 2")}


def test_a_fence_around_the_quote_alone_is_undone_there() -> None:
    assert forms("```\nx = 1\n```", "x = 2\n") == {("fence",): ("x = 1", "x = 2\n")}


def test_a_fence_that_does_not_end_is_none() -> None:
    assert forms("```\nx = 1\n~~~\n") == {}


def test_a_fence_with_nothing_in_it_is_none() -> None:
    assert forms("```\n\n```\n") == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("7|def f():\n8|    x = 1\n", "7|def f():\n8|    x = 2\n"),
        ("7\tdef f():\n8\t    x = 1\n", "7\tdef f():\n8\t    x = 2\n"),
        ("  7 |def f():\n  8 |    x = 1\n", "def f():\n    x = 2\n"),
        ("7→def f():\n8→    x = 1\n", "7→def f():\n8→    x = 2\n"),
        ("L7:def f():\nL8:    x = 1\n", "L7:def f():\nL8:    x = 2\n"),
        ("line 7:def f():\nline 8:    x = 1\n", "def f():\n    x = 2\n"),
    ],
)
def test_line_numbers_are_undone_and_tell_the_line(old: str, new: str) -> None:
    assert ("def f():\n    x = 1\n", "def f():\n    x = 2\n", 7) in numbers(old, new)


def test_the_blank_behind_a_colon_may_belong_to_the_number() -> None:
    old = "7: def f():\n8:     x = 1\n"
    assert [form[0] for form in numbers(old)] == ["def f():\n    x = 1\n", " def f():\n     x = 1\n"]


def test_lines_that_the_replacement_adds_need_no_number() -> None:
    ((_, new, _),) = numbers("7|a\n8|b", "7|a\nnew\n9|b")
    assert new == "a\nnew\nb"


@pytest.mark.parametrize("old", ["7|a\n9|b", "7|a\nb", "8|a\n7|b", "7a\n8b", "2024-01-05 start\n2024-01-06 stop"])
def test_numbers_that_do_not_count_the_lines_are_part_of_the_text(old: str) -> None:
    assert numbers(old) == []


def test_a_blank_line_between_numbered_ones_may_lack_its_number() -> None:
    assert numbers("7|a\n\n8|b") == [("a\n\nb", "", 7)]


def test_entities_are_undone() -> None:
    assert forms("if a &lt; b &amp;&amp; c:", "if a &lt;= b:") == {("entities",): ("if a < b && c:", "if a <= b:")}


def test_typographic_characters_are_undone() -> None:
    assert forms("say(“it’s”)\u00a0– ok", "say(“no”)") == {
        ("typographic quotes",): ('say("it\'s") - ok', 'say("no")')
    }


def test_double_escapes_count_only_where_they_stand_exactly() -> None:
    (_, inner) = unwrapped_forms(Quote(r"x = \"a\"\n\ty\u3042", r"x = \"b\""))
    assert inner == Quote('x = "a"\n\tyあ', 'x = "b"', ("escapes",), only_exact=True)


def test_wrappers_around_one_another_are_undone_from_the_outside() -> None:
    old = "```\n7|if a &lt; b:\n8|    pass\n```\n"
    assert forms(old, old)["fence", "line numbers", "entities"] == ("if a < b:\n    pass", "if a < b:\n    pass")


def test_what_is_undone_after_escapes_counts_only_exactly_too() -> None:
    found = [form for form in unwrapped_forms(Quote(r"7|say(\"&lt;\")", "")) if "escapes" in form.wrappers]
    assert ("line numbers", "entities", "escapes") in [form.wrappers for form in found]
    assert all(form.only_exact for form in found)
