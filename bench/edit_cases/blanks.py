"""Damage by line ends, trailing blanks, indentation and blank lines: the words of the quote are right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from random import Random

from .hunk import Hunk, common_indent, indent_of
from .task import (
    Draw,
    Task,
    changed,
    context_places,
    on_both,
    place_in_new,
    task,
    widened,
    with_file,
    without_places,
)


def exact(draw: Draw) -> Task:
    return task(draw.hunk)


def blank_edges(draw: Draw) -> Task | None:
    """A quote that is exact and begins or ends with a blank line of the file."""
    hunk = draw.hunk
    above = hunk.first > 0 and not hunk.lines[hunk.first - 1].strip()
    below = hunk.end < len(hunk.lines) and not hunk.lines[hunk.end].strip()
    return task(hunk.with_context(hunk.before + above, hunk.after + below)) if above or below else None


def one_line(draw: Draw) -> Task | None:
    """One removed line quoted alone."""
    hunk = draw.hunk.with_context(0, 0)
    once = hunk.removed == 1 and hunk.added and hunk.text.count(hunk.old[0]) == 1
    return task(hunk) if once and hunk.old[0].strip() else None


def crlf_file(draw: Draw) -> Task:
    made = task(draw.hunk)
    return replace(made, text=_crlf(made.text), expected=_crlf(draw.hunk.text_after))


def crlf_quote(draw: Draw) -> Task | None:
    made = task(draw.hunk)
    return replace(made, old=_crlf(made.old), new=_crlf(made.new)) if "\n" in made.old else None


def mixed_ends(draw: Draw) -> Task:
    """A file with both ends; around the site all are alike, and new lines get those."""
    hunk, rng = draw.hunk, draw.rng
    here = rng.choice(["\n", "\r\n"])
    near = range(hunk.first - 2, hunk.end + 2)
    ends = [here if place in near else rng.choice(["\n", "\r\n"]) for place in range(len(hunk.lines))]
    ends_after = ends[: hunk.start] + [here] * len(hunk.added) + ends[hunk.start + hunk.removed :]
    after = [*hunk.lines[: hunk.start], *hunk.added, *hunk.lines[hunk.start + hunk.removed :]]
    text = "".join(line + end for line, end in zip(hunk.lines, ends, strict=True))
    expected = "".join(line + end for line, end in zip(after, ends_after, strict=True))
    return replace(task(hunk), text=text, expected=expected)


def no_final_newline(draw: Draw) -> Task:
    """The file ends right after the quote, without a newline, which the quote has."""
    hunk = replace(with_file(draw.hunk, draw.hunk.lines[: draw.hunk.end]), final_newline=True)
    made = task(hunk)
    return replace(made, text=made.text[:-1], expected=hunk.text_after[:-1])


def trailing_added(draw: Draw) -> Task | None:
    """The quote has trailing blanks that the file has not."""
    hunk, rng = draw.hunk, draw.rng
    in_both = rng.random() < 0.5
    old, new = hunk.old, hunk.new
    for place in _some([place for place, line in enumerate(old) if line.strip()], rng):
        blanks = rng.choice([" ", "  ", "    ", "\t"])
        old[place] += blanks
        if in_both and place in context_places(hunk):
            new[place_in_new(hunk, place)] += blanks
    return changed(task(hunk, old, new), hunk)


def trailing_lost(draw: Draw) -> Task | None:
    """The file has trailing blanks that the quote has not; kept on the lines of context."""
    hunk, rng = draw.hunk, draw.rng
    places = [place for place, line in enumerate(hunk.old[:-1]) if line.strip()]
    if not places:
        return None
    lines = list(hunk.lines)
    for place in _some(places, rng):
        lines[hunk.first + place] += rng.choice([" ", "  ", "   ", "\t"])
    return task(with_file(hunk, lines), hunk.old, hunk.new)


def blanks_on_blank_lines(draw: Draw) -> Task | None:
    """Blank lines of the file hold blanks, those of the quote nothing."""
    wide = widened(draw.hunk, lambda hunk: any(not line for line in hunk.old))
    if wide is None:
        return None
    lines = list(wide.lines)
    for place in range(wide.first, wide.end):
        if not lines[place]:
            lines[place] = indent_of(lines[place - 1]) or "    "
    return task(with_file(wide, lines), wide.old, wide.new)


def dedented(draw: Draw) -> Task | None:
    """Both texts moved left alike."""
    common = common_indent([*draw.hunk.old, *draw.hunk.new])
    width = len(common) if draw.rng.random() < 0.7 else draw.rng.randint(0, len(common))
    return _moved(draw.hunk, lambda line: line[width:])


def indented(draw: Draw) -> Task | None:
    """Both texts moved right alike."""
    tabs = any(line.startswith("\t") for line in draw.hunk.old)
    more = "\t" if tabs else draw.rng.choice(["  ", "    ", "        "])
    return _moved(draw.hunk, lambda line: more + line)


def tabs_for_spaces(draw: Draw) -> Task | None:
    unit = _unit(draw.hunk)
    indents = [indent_of(line) for line in (*draw.hunk.old, *draw.hunk.new) if line.strip()]
    if not unit or any("\t" in indent or len(indent) % unit for indent in indents):
        return None
    return on_both(draw.hunk, lambda line: "\t" * (len(indent_of(line)) // unit) + line.lstrip(" "))


def spaces_for_tabs(draw: Draw) -> Task | None:
    """The file has tabs, its own or in place of its spaces; the quote has spaces."""
    hunk = draw.hunk if any(line.startswith("\t") for line in draw.hunk.old) else _with_tabs(draw.hunk)
    if hunk is None or any(" " in indent_of(line) for line in (*hunk.old, *hunk.new) if line.strip()):
        return None
    unit = draw.rng.choice([2, 4, 4, 8])
    return on_both(hunk, lambda line: " " * (unit * len(indent_of(line))) + line.lstrip("\t"))


def indent_lost_in_old(draw: Draw) -> Task | None:
    """The quote moved left, the replacement as the file has it."""
    hunk = draw.hunk
    width = len(common_indent(hunk.old))
    # Without a line of context it has to be seen from the depth that the replacement was not moved.
    if not hunk.before and not hunk.after and len(common_indent(hunk.added)) < width:
        return None
    old = [line[width:] if line.strip() else line for line in hunk.old]
    return changed(task(hunk, old), hunk)


def all_indent_lost(draw: Draw) -> Task | None:
    """Every line at the left edge in both texts, where the file shows how deep the new lines belong."""
    return _flat(draw.hunk) if _level(draw.hunk) else None


def all_indent_lost_deeper(draw: Draw) -> Task | None:
    """The same where the new lines have depths that nothing shows for certain."""
    made = _flat(draw.hunk) if len(draw.hunk.added) > draw.hunk.removed else None
    return None if made is None or made.old in made.text else made


def first_line_lost(draw: Draw) -> Task | None:
    """The first line of both texts lost its indentation, as when a text was stripped."""
    old, new = draw.hunk.old, draw.hunk.new
    if len(old) < 2 or indent_of(old[0]) != indent_of(new[0]):
        return None
    return changed(task(draw.hunk, [old[0].lstrip(), *old[1:]], [new[0].lstrip(), *new[1:]]), draw.hunk)


def first_line_lost_in_old(draw: Draw) -> Task | None:
    """The same in the quote alone."""
    old = draw.hunk.old
    return changed(task(draw.hunk, [old[0].lstrip(), *old[1:]]), draw.hunk) if len(old) > 1 else None


def blank_line_lost(draw: Draw) -> Task | None:
    """Blank lines among the context are missing in both texts."""
    return _with_blank_context(draw.hunk, without_places)


def blank_line_lost_in_old(draw: Draw) -> Task | None:
    """The same in the quote alone."""

    def leave_out(hunk: Hunk, places: list[int]) -> Task:
        return replace(without_places(hunk, places), new=task(hunk).new)

    return _with_blank_context(draw.hunk, leave_out)


def blank_line_added(draw: Draw) -> Task | None:
    """Both texts have a blank line between two lines of context where the file has none."""
    wide = widened(draw.hunk, lambda hunk: bool(_joints(hunk)))
    if wide is None:
        return None
    place = draw.rng.choice(_joints(wide))
    old, new = wide.old, wide.new
    old.insert(place, "")
    new.insert(place_in_new(wide, place), "")
    return task(wide, old, new)


def inner_blanks(draw: Draw) -> Task | None:
    """Blanks around signs inside some lines are others than the file's, in both texts for context."""
    hunk, rng = draw.hunk, draw.rng
    old, new = hunk.old, hunk.new
    for place in _some(range(len(old)), rng):
        line = _spaced(old[place], rng)
        if place in context_places(hunk):
            new[place_in_new(hunk, place)] = line
        old[place] = line
    return changed(task(hunk, old, new), hunk)


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def _some(places: range | list[int], rng: Random) -> list[int]:
    """Return at least one of the places."""
    return sorted(rng.sample(places, rng.randint(1, len(places)))) if places else []


def _moved(hunk: Hunk, move: Callable[[str], str]) -> Task | None:
    """Return the task with every line moved that is not blank.

    Without a line of context a replacement as deep as the file's own lines could just as well be the one that was
    not moved: that is left out.
    """
    moved = [move(line) for line in hunk.new if line.strip()]
    seen = indent_of(moved[0]) == indent_of(hunk.old[0]) or common_indent(moved) == common_indent(hunk.old)
    if seen and not hunk.before and not hunk.after:
        return None
    return on_both(hunk, lambda line: move(line) if line.strip() else line)


def _unit(hunk: Hunk) -> int:
    """Return the spaces of one level of indentation: the smallest step that is common in the file; 0 = none."""
    steps: Counter[int] = Counter()
    depths = [len(indent_of(line)) for line in hunk.lines if line.strip()]
    for above, below in pairwise(depths):
        steps[below - above] += below > above
    common = [step for step, count in steps.items() if step > 1 and count >= 0.2 * steps.total()]
    return min(common, default=0)


def _with_tabs(hunk: Hunk) -> Hunk | None:
    """Return the change in a file whose levels are tabs; None where it has no levels of spaces."""
    unit = _unit(hunk)

    def tabbed(line: str) -> str:
        depth = len(line) - len(line.lstrip(" "))
        return "\t" * (depth // unit) + " " * (depth % unit) + line[depth:]

    return replace(hunk, lines=tuple(map(tabbed, hunk.lines)), added=tuple(map(tabbed, hunk.added))) if unit else None


def _level(hunk: Hunk) -> bool:
    """Tell whether each added line is as deep as the removed line in its place."""
    pairs = zip(hunk.gone, hunk.added, strict=False)
    return hunk.removed == len(hunk.added) and all(indent_of(gone) == indent_of(added) for gone, added in pairs)


def _flat(hunk: Hunk) -> Task | None:
    """Return the task with every line at the left edge, when the quote had lines of several depths."""
    depths = {indent_of(line) for line in hunk.old if line.strip()}
    return on_both(hunk, lambda line: line.lstrip(" \t")) if len(depths) > 1 else None


def _with_blank_context(hunk: Hunk, leave_out: Callable[[Hunk, list[int]], Task]) -> Task | None:
    def blank(wide: Hunk) -> list[int]:
        return [place for place in context_places(wide) if not wide.old[place].strip()]

    wide = widened(hunk, lambda wide: bool(blank(wide)))
    return None if wide is None else leave_out(wide, blank(wide))


def _joints(hunk: Hunk) -> list[int]:
    """Return the places of lines of context that follow another line of context, neither blank."""
    places = context_places(hunk)
    pairs = [place for place in places if place - 1 in places and place != hunk.before]
    return [place for place in pairs if hunk.old[place].strip() and hunk.old[place - 1].strip()]


def _spaced(line: str, rng: Random) -> str:
    """Return a line with the blanks around its signs changed, its indentation as it was."""
    indent, body = indent_of(line), line.strip()
    if rng.random() < 0.6:
        body = re.sub(r" ?([=,+(){}<>:]+) ", r"\1", body)
    else:
        body = re.sub(r"(?<=\w) ?([=,+:]+) ", r" \1  ", body)
    return indent + body
