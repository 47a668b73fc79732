from collections.abc import Callable

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowloom.tools.edit_lines import Lines, split_lines, without_blanks
from flowloom.tools.edit_text import CONFIDENCE, EditError, EditResult, apply_edit

STANDING = ["def f(self):", "class A:", "    x = 1", "    y = 2", "        x = 1", "        return y", "\tz = 3", "}"]
STANDING += ["", "名前：太郎", "　全角（かな）", "か\u3099", "if a < b:", 'say("hi")', "f( a,b )"]
STANDING += ["# ... rest", "- x  "]
"""Lines of files: alike often enough that places are ambiguous, stages differ and wrappers seem to be there."""
WRITTEN = ["new = 1", "    new = 1", "        new = 2", "\tnew = 3", "新しい行", "def new():", "new(  )", ""]
"""Lines that no file has, save the blank one."""
ODD = ["a\rb", "\r", "\0", "\x0b\x0c", "\x1c\x85\u2028", " " * 400 + "x", "\t" * 90 + "}", "&lt;", "“”", r"\n\u0041"]
ODD += ["```", "~~~", "...", "# 省略", "7|", "8: x", "1|x", "e\u0301", "😀"]

line = st.sampled_from(STANDING)
odd_line = st.sampled_from(STANDING + WRITTEN + ODD)
odd_text = st.lists(st.tuples(odd_line, st.sampled_from(["\n", "\n", "\r\n", "\r", ""]))).map(
    lambda pairs: "".join(text + end for text, end in pairs)
)


def joined(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


Edit = tuple[list[str], int, list[str], list[str]]
"""Lines of a file, where the quote begins, its lines, and the replacement's."""


def rewritten(draw: st.DrawFn, old: list[str], written: list[str]) -> list[str]:
    """Return the lines with some left out and at least one that is new."""
    new = [line for line in old if not draw(st.sampled_from([False, False, True]))]
    for place in draw(st.lists(st.integers(0, len(new)), min_size=1, max_size=2)):
        new.insert(place, draw(st.sampled_from(written)))
    return new


@st.composite
def whole_line_edits(draw: st.DrawFn, unique: bool = False) -> Edit:
    """Return an edit of lines that may stand anywhere else too, unless they are unique, blanks aside."""
    lines = draw(st.lists(line, min_size=1, max_size=12, unique_by=without_blanks if unique else None))
    first = draw(st.integers(0, len(lines) - 1))
    old = lines[first : first + draw(st.integers(1, 5))]
    # A blank line that the quote alone begins with is taken for the end of the line before.
    head = [""] if not old[0] else []
    new = [*head, *rewritten(draw, old[len(head) :], WRITTEN[:-1])]
    assume(any(line.strip() for line in old))
    return lines, first, old, new


@st.composite
def framed_edits(draw: st.DrawFn) -> Edit:
    """Return an edit between two lines of context, in a file that is indented with spaces."""
    lines = st.lists(st.sampled_from([line for line in STANDING if line[:2] in ("  ", "")]), max_size=4)
    frame = st.sampled_from(["    for item in items:", "    y = 2", "        return y"])
    before, inner, after = draw(lines), draw(lines), draw(lines)
    head, tail = draw(frame), draw(frame)
    written = [line for line in WRITTEN if line[:2] in ("  ", "")]
    new = [head, *rewritten(draw, inner, written), tail]
    old = [head, *inner, tail]
    return [*before, *old, *after], len(before), old, new


def stands_once(lines: list[str], old: list[str]) -> bool:
    return sum(lines[first : first + len(old)] == old for first in range(len(lines))) == 1


def outside(text: Lines, first: int, last: int) -> tuple[str, str]:
    """Return what stands before line `first` and after line `last`, 1-indexed."""
    before = Lines(text.texts[: first - 1], text.ends[: first - 1])
    after = Lines(text.texts[last:], text.ends[last:])
    return before.joined(), after.joined()


@given(whole_line_edits(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=80, deadline=None)
def test_whole_lines_quoted_exactly_are_replaced_and_nothing_else(edit: Edit, end: str, quoted_end: str) -> None:
    lines, first, old, new = edit
    assume(stands_once(lines, old))
    expected = joined([*lines[:first], *new, *lines[first + len(old) :]])
    texts = (joined(old).replace("\n", quoted_end), joined(new).replace("\n", quoted_end))
    result = apply_edit(joined(lines).replace("\n", end), *texts)
    assert isinstance(result, EditResult)
    assert (result.stage, result.confidence, result.text) == ("exact", 1.0, expected.replace("\n", end))


@given(odd_text, odd_text, odd_text, st.none() | st.integers(-5, 2_000))
@settings(max_examples=80, deadline=None)
def test_an_answer_is_an_applied_edit_or_a_refusal_and_leaves_the_text_around_alone(
    text: str, old: str, new: str, near_line: int | None
) -> None:
    check(text, apply_edit(text, old, new, near_line))


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_characters_get_an_answer(text: str, old: str, new: str) -> None:
    check(text, apply_edit(text, old, new))
    middle = text[len(text) // 3 : len(text) // 2]
    assume(middle.strip())
    check(text, apply_edit(text, middle, new))


def check(text: str, result: EditResult | EditError) -> None:
    if isinstance(result, EditError):
        assert result.message
        return
    before, after = outside(split_lines(text), result.site.first, result.site.last)
    assert result.text.startswith(before)
    assert result.text.endswith(after)
    assert len(result.text) >= len(before) + len(after)
    assert 1 <= result.site.first <= result.site.last
    assert result.text != text
    assert 0 < result.confidence <= CONFIDENCE[result.stage]
    assert result.diff.startswith("@@ -")


def moved_right(text: str, first: int) -> str:
    return "".join("  " + line if line.strip() else line for line in text.splitlines(True))


def moved_left(text: str, first: int) -> str:
    return "".join(line.removeprefix("  ") for line in text.splitlines(True))


def with_trailing_blanks(text: str, first: int) -> str:
    return "".join(line.replace("\n", "  \n") if line[-2:-1].strip() else line for line in text.splitlines(True))


def numbered(text: str, first: int) -> str:
    return "".join(f"{number}|{line}" for number, line in enumerate(text.splitlines(True), first + 1))


def fenced(text: str, first: int) -> str:
    return f"```python\n{text}```\n"


def fenced_and_numbered(text: str, first: int) -> str:
    return fenced(numbered(text, first), first)


def with_blank_edges(text: str, first: int) -> str:
    return f"\n{text}\n"


DAMAGES = [moved_right, moved_left, with_trailing_blanks, numbered, fenced, fenced_and_numbered, with_blank_edges]


@given(framed_edits(), st.sampled_from(DAMAGES))
@settings(max_examples=80, deadline=None)
def test_a_damaged_quote_gives_the_text_that_the_undamaged_one_gives_or_a_refusal(
    edit: Edit, damage: Callable[[str, int], str]
) -> None:
    lines, first, old, new = edit
    text = joined(lines)
    plain = apply_edit(text, joined(old), joined(new))
    assume(isinstance(plain, EditResult))
    damaged_new = joined(new) if damage is with_trailing_blanks else damage(joined(new), first)
    result = apply_edit(text, damage(joined(old), first), damaged_new)
    if isinstance(plain, EditResult) and isinstance(result, EditResult):
        assert result.text == plain.text


@given(whole_line_edits(), st.lists(st.sampled_from(["\n", "\r\n"]), min_size=12, max_size=12))
@settings(max_examples=60, deadline=None)
def test_lines_that_both_texts_have_keep_their_line_ends(edit: Edit, ends: list[str]) -> None:
    lines, _, old, _ = edit
    text = "".join(line + end for line, end in zip(lines, ends, strict=False))
    result = apply_edit(text, joined(old), joined([*old, "new = 1"]))
    if isinstance(result, EditResult):
        after = split_lines(result.text)
        place = after.texts.index("new = 1")
        rest = Lines(after.texts[:place] + after.texts[place + 1 :], after.ends[:place] + after.ends[place + 1 :])
        assert rest.joined() == text


@given(whole_line_edits(unique=True))
@settings(max_examples=60, deadline=None)
def test_the_same_edit_a_second_time_is_refused(edit: Edit) -> None:
    lines, _, old, new = edit
    once = apply_edit(joined(lines), joined(old), joined(new))
    # A remark that reads like an elision is one where the quote does not stand any more.
    assume(isinstance(once, EditResult))
    if isinstance(once, EditResult):
        assert isinstance(apply_edit(once.text, joined(old), joined(new)), EditError)
