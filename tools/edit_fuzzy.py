"""The last stage of the matching of edits: a few quoted lines that the model misremembered.

What makes it safe are the conditions, not the threshold: at 0.7 and at 0.95 the same edits come out right.
Source of the measures: normalised Levenshtein similarity and OSA distance, as rapidfuzz computes them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from .edit_lines import without_blanks
from .edit_match import FileIndex, Match, core

MIN_LINES = 3
"""Quotes with fewer lines that are not blank carry too little to be recognised by."""
MIN_LINES_AROUND = 5
"""The same, where a line of code says something else."""
MIN_LINE_SCORE = 0.6
MIN_EXACT_SHARE = 0.5
MIN_RIVAL_SCORE = 0.5
"""How alike the differing lines of another place have to be for it to count as one that may be meant."""
MIN_TYPO_CHARS = 5
MAX_CHARS = 2_000
"""Of longer lines only the beginning is compared: the time grows with the square."""
MAX_COMMON = 200
"""A line that stands more often than this says nothing about the place."""

_COMMENT = re.compile(r"\s*(#|//|--|;|%|/\*|\*|<!--)")
_WORD = re.compile(r"[A-Za-z]+|[^A-Za-z]+")


def misquoted(index: FileIndex, quote: Sequence[str], must_stand: Sequence[bool]) -> list[Match]:
    """Return the one place that the quote can only mean, or [] when there is none or more than one.

    Args:
        must_stand: for each line of the quote whether it has to stand in the file as quoted, blanks and slips of the
            keyboard aside: the lines that the edit replaces. A look-alike of a line that is gone would otherwise be
            replaced in its place.
    """
    first_line, last_line = core(quote)
    lines = quote[first_line:last_line]
    filled = sum(1 for line in lines if line.strip())
    if filled < MIN_LINES:
        return []
    windows = {first: _differing(index, lines, first) for first in _windows(index, lines)}
    if not windows:
        return []
    best = min(windows, key=lambda first: len(windows[first]))
    count = len(windows[best])
    if count > max(1, filled // 5) or filled - count < filled * MIN_EXACT_SHARE:
        return []
    rivals = [first for first, other in windows.items() if first != best and len(other) <= count + 1]
    if any(_alike_enough(index, lines, first, windows[first], MIN_RIVAL_SCORE) for first in rivals):
        return []
    for number in windows[best]:
        quoted, stands = lines[number], index.texts[best + number]
        if not is_slip(quoted, stands) and (must_stand[first_line + number] or not _is_held(lines, number, stands)):
            return []
    if not _alike_enough(index, lines, best, windows[best], MIN_LINE_SCORE):
        return []
    score = 1 - sum(1 - likeness(lines[number], index.texts[best + number]) for number in windows[best]) / filled
    pairs = (*(None,) * first_line, *range(best, best + len(lines)), *(None,) * (len(quote) - last_line))
    return [Match(best, best + len(lines), pairs, score)]


def likeness(quoted: str, stands: str) -> float:
    """Return how alike two lines are, 0..1, blanks aside."""
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.normalized_similarity(without_blanks(quoted)[:MAX_CHARS], without_blanks(stands)[:MAX_CHARS])


def is_slip(quoted: str, stands: str) -> bool:
    """Tell whether two lines differ by slips of the keyboard alone: letters doubled, dropped or swapped in a word.

    First and last letter have to be the same, so that neither a plural nor a prefix passes for a slip.
    """
    from rapidfuzz.distance import OSA

    ours, theirs = _WORD.findall(stands.strip()), _WORD.findall(quoted.strip())
    if len(ours) != len(theirs):
        return False
    for one, other in zip(ours, theirs, strict=True):
        if one == other or not (one.strip() or other.strip()):
            continue
        shortest = min(len(one), len(other))
        if not (one.isalpha() and one.isascii() and other.isalpha() and shortest >= MIN_TYPO_CHARS - 1):
            return False
        if max(len(one), len(other)) < MIN_TYPO_CHARS or one[0] != other[0] or one[-1] != other[-1]:
            return False
        if OSA.distance(one, other) != 1 or (len(one) == len(other) and sorted(one) != sorted(other)):
            return False
    return True


def _is_held(lines: Sequence[str], number: int, stands: str) -> bool:
    """Tell whether a line of context that says something else may be a misquote.

    It has to lie between other lines: at the edge of the quote it may as well be what tells this place from the one
    that is meant. A comment may stand anywhere.
    """
    if 0 < number < len(lines) - 1 and sum(1 for line in lines if line.strip()) >= MIN_LINES_AROUND:
        return True
    quoted_mark, stands_mark = _COMMENT.match(lines[number]), _COMMENT.match(stands)
    return bool(quoted_mark and stands_mark and quoted_mark[1] == stands_mark[1])


def _windows(index: FileIndex, lines: Sequence[str]) -> list[int]:
    """Return the first lines of all windows that have a line of the quote at its place."""
    places = index.places(without_blanks)
    votes: Counter[int] = Counter()
    for number, line in enumerate(lines):
        wanted = without_blanks(line)
        found = places.get(wanted, ()) if wanted else ()
        if len(found) <= MAX_COMMON:
            votes.update(place - number for place in found)
    filled = sum(1 for line in lines if line.strip())
    least = max(1, filled // 4)
    last = len(index.texts) - len(lines)
    return [first for first, count in votes.items() if count >= least and 0 <= first <= last]


def _differing(index: FileIndex, lines: Sequence[str], first: int) -> list[int]:
    keys = index.keys(without_blanks)
    return [number for number, line in enumerate(lines) if without_blanks(line) != keys[first + number]]


def _alike_enough(index: FileIndex, lines: Sequence[str], first: int, numbers: Sequence[int], least: float) -> bool:
    return all(likeness(lines[number], index.texts[first + number]) >= least for number in numbers)
