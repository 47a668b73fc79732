"""What an applier is asked, what the right answer is, and the steps that the kinds of damage share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from .hunk import Hunk, count_runs, keys_of, line_key


class Wanted(StrEnum):
    """Which answers are right."""

    EDIT = "edit wanted"
    EITHER = "edit or refusal"
    REFUSAL = "refusal wanted"


@dataclass(frozen=True, slots=True)
class Task:
    """One edit to apply.

    Attributes:
        expected: the whole file after it, byte for byte; None = every write is wrong.
        near_line: the 1-indexed line that the caller names; None = none.
        alone: the caller has checked itself at how many places the quote stands.
    """

    text: str
    old: str
    new: str
    expected: str | None
    near_line: int | None = None
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Draw:
    """What a kind makes a task from.

    Attributes:
        other: a change of another file, the source of lines that are not in this one.
        held_out: the task is for a set that nothing is tuned on; it may use wordings kept for that.
    """

    hunk: Hunk
    other: Hunk
    rng: Random
    held_out: bool = False


Damage = Callable[[Draw], Task | None]
"""Returns None when the damage would not change this case or would make its right answer unclear."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to damage an edit.

    Attributes:
        lookalikes: it is for changes that add lines which read like a placeholder and are none.
    """

    name: str
    wanted: Wanted
    damage: Damage
    lookalikes: bool = False


def task(hunk: Hunk, old: Sequence[str] | None = None, new: Sequence[str] | None = None) -> Task:
    """Return the task to make this change, quoted by these lines, or undamaged."""
    quote = hunk.shown(hunk.old if old is None else old)
    return Task(hunk.text, quote, hunk.shown(hunk.new if new is None else new), hunk.text_after)


def changed(made: Task, hunk: Hunk) -> Task | None:
    """Return the task when its quote differs from the undamaged one."""
    return None if made.old == hunk.shown(hunk.old) else made


def refusal(made: Task) -> Task:
    """Return the same request with no right edit."""
    return replace(made, expected=None, alone=False)


def on_both(hunk: Hunk, change: Callable[[str], str]) -> Task | None:
    """Return the task with every quoted line of both texts changed; None when no line of the old one is."""
    return changed(task(hunk, [*map(change, hunk.old)], [*map(change, hunk.new)]), hunk)


def context_places(hunk: Hunk) -> list[int]:
    """Return the places in the old text of the lines that both texts hold."""
    return [*range(hunk.before), *range(hunk.before + hunk.removed, len(hunk.old))]


def place_in_new(hunk: Hunk, place: int) -> int:
    """Return where a line of context of the old text stands in the new one."""
    return place if place < hunk.before else place - hunk.removed + len(hunk.added)


def with_line(hunk: Hunk, place: int, line: str) -> Task:
    """Return the task with one line of the old text quoted otherwise, in both texts when it is context."""
    old, new = hunk.old, hunk.new
    old[place] = line
    if place in context_places(hunk):
        new[place_in_new(hunk, place)] = line
    return task(hunk, old, new)


def without_places(hunk: Hunk, places: Sequence[int]) -> Task:
    """Return the task with lines of context left out of both texts."""
    gone_new = {place_in_new(hunk, place) for place in places}
    old = [line for place, line in enumerate(hunk.old) if place not in places]
    new = [line for place, line in enumerate(hunk.new) if place not in gone_new]
    return task(hunk, old, new)


def holds_without(hunk: Hunk, places: Sequence[int]) -> bool:
    """Tell whether the quote is unique by its other lines, and those say enough to be recognised."""
    kept = [line_key(line) for place, line in enumerate(hunk.old) if place not in places]
    wanted = [None if place in places else line_key(line) for place, line in enumerate(hunk.old) if line.strip()]
    telling = sum(sum(char.isalnum() for char in key) >= 4 for key in kept)
    return telling >= 2 and count_runs(hunk.keys, wanted) == 1


def telling(line: str) -> bool:
    """Tell whether a line has words, not only brackets."""
    return sum(char.isalnum() for char in line) >= 4


def widened(hunk: Hunk, fits: Callable[[Hunk], bool], most: int = 7) -> Hunk | None:
    """Return the hunk with the least context that fits, both edges lines that are not blank; None = none does."""
    tried = ((hunk.before + more, hunk.after + more) for more in range(most))
    for before, after in tried:
        wide = hunk.with_context(before, after)
        edges = (wide.old[0], wide.old[-1], wide.new[0], wide.new[-1])
        if all(edge.strip() for edge in edges) and fits(wide):
            return wide
    return None


def is_once(hunk: Hunk, lines: Sequence[str]) -> bool:
    """Tell whether these lines stand in the file at one place only, blanks not counted."""
    return count_runs(hunk.keys, keys_of(lines)) == 1


def with_file(hunk: Hunk, lines: Sequence[str], start: int | None = None) -> Hunk:
    """Return the same change in a file with other lines."""
    return replace(hunk, lines=tuple(lines), start=hunk.start if start is None else start)
