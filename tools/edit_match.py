"""Where a quote stands in a file, stage by stage from exact to lenient. Called by edit_text.py.

Every stage compares whole lines by a key; a stage never chooses between two places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .edit_lines import Key, body, line_at

MAX_PLACES = 10
"""How many places are counted before a quote is called ambiguous without counting further."""


@dataclass(frozen=True, slots=True)
class Match:
    """One place of a quote: file lines `first` up to, not including, `last`, 0-indexed.

    Attributes:
        pairs: for each line of the quote the file line it stands for; None = a line that only the quote has.
        score: how alike both are, 0..1; 1 wherever a key decided.
    """

    first: int
    last: int
    pairs: tuple[int | None, ...]
    score: float = 1.0


class FileIndex:
    """The lines of a file, looked up by keys; a key's table is made when a stage first needs it."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._keys: dict[Key, list[str]] = {}
        self._places: dict[Key, dict[str, list[int]]] = {}

    def keys(self, key: Key) -> list[str]:
        """Return the key of every line."""
        if key not in self._keys:
            self._keys[key] = [key(text) for text in self.texts]
        return self._keys[key]

    def places(self, key: Key) -> dict[str, list[int]]:
        """Return the line numbers, ascending, that have a key."""
        if key not in self._places:
            table: dict[str, list[int]] = defaultdict(list)
            for number, found in enumerate(self.keys(key)):
                table[found].append(number)
            self._places[key] = dict(table)
        return self._places[key]


def same_lines(index: FileIndex, quote: Sequence[str], key: Key) -> list[Match]:
    """Return where the quote's lines stand one below the other, compared by a key; at most MAX_PLACES places.

    Blank lines at the quote's edges are left out of the comparison; the place does not contain them.
    """
    core_first, core_last = core(quote)
    wanted = [key(line) for line in quote[core_first:core_last]]
    places = index.places(key)
    if not wanted or any(line not in places for line in wanted):
        return []
    rarest = min(range(len(wanted)), key=lambda number: len(places[wanted[number]]))
    keys = index.keys(key)
    matches: list[Match] = []
    for place in places[wanted[rarest]]:
        first = place - rarest
        if first >= 0 and keys[first : first + len(wanted)] == wanted:
            pairs = (
                *(None,) * core_first,
                *range(first, first + len(wanted)),
                *(None,) * (len(quote) - core_last),
            )
            matches.append(Match(first, first + len(wanted), pairs))
            if len(matches) == MAX_PLACES:
                break
    return matches


def same_but_blank_lines(index: FileIndex, quote: Sequence[str], key: Key) -> list[Match]:
    """Return where the quote stands when blank lines count on neither side."""
    filled = [number for number, line in enumerate(quote) if line.strip()]
    numbers = [number for number, found in enumerate(index.keys(key)) if found]
    dense = FileIndex([index.texts[number] for number in numbers])
    matches = []
    for match in same_lines(dense, [quote[number] for number in filled], key):
        pairs: list[int | None] = [None] * len(quote)
        for offset, number in enumerate(filled):
            pairs[number] = numbers[match.first + offset]
        matches.append(Match(numbers[match.first], numbers[match.last - 1] + 1, tuple(pairs)))
    return matches


def core(lines: Sequence[str]) -> tuple[int, int]:
    """Return the range of lines from the first to the last that is not blank; (0, 0) = all are."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    return (filled[0], filled[-1] + 1) if filled else (0, 0)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place of a quote to the letter: its lines, and what stands on the first and the last of them around it."""

    match: Match
    before: str
    after: str

    def completed(self, old: str, new: str) -> tuple[list[str], list[str]]:
        """Return both texts as whole lines, with what the file has around them."""
        joined = body(new)
        if old[0] == "\n" and joined and joined[0] != "\n":
            joined = "\n" + joined  # it ends the line before, which the quote does not have
        joined = joined if self.before.isspace() and joined.startswith(self.before) else self.before + joined
        return (self.before + body(old) + self.after).split("\n"), (joined + self.after).split("\n")


def spot_at(texts: Sequence[str], starts: Sequence[int], place: int, old: str) -> Spot:
    """Return what a place of the text joined by "\\n" is in lines.

    Args:
        starts: where each line begins in it.
    """
    first, end = line_at(starts, place), place + len(old)
    last = line_at(starts, end - 1) + 1
    after = "" if old.endswith("\n") else texts[last - 1][end - starts[last - 1] :]
    return Spot(Match(first, last, tuple(range(first, last))), texts[first][: place - starts[first]], after)


def find_text(text: str, wanted: str) -> list[int]:
    """Return the first places, overlapping ones too: an overlap is as ambiguous as two places apart."""
    places: list[int] = []
    place = text.find(wanted)
    while place >= 0 and len(places) < MAX_PLACES:
        places.append(place)
        place = text.find(wanted, place + 1)
    return places


def holds_already(plain: str, place: int, old: str, new: str) -> bool:
    """Tell whether the only place of `old` lies where `new`, which contains it, already stands."""
    start = new.find(old)
    while start >= 0:
        if place >= start and plain.startswith(new, place - start):
            return True
        start = new.find(old, start + 1)
    return False
