"""A unified diff of the few lines that an edit changed, without comparing the whole file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from .edit_lines import Lines, split_lines
from .edit_match import Match
from .edit_merge import Piece

CONTEXT_LINES = 2

_HEADER = re.compile(r"@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@")


def region_diff(before: Lines, after: Lines, changes: Sequence[tuple[Match, list[Piece]]]) -> str:
    """Return the hunks of a change, with two lines around them and line numbers of the whole file.

    Args:
        changes: the replaced places in ascending order, with the lines that stand there now.
    """
    spans: list[tuple[int, int, int]] = []
    for match, pieces in changes:
        first, last = max(0, match.first - CONTEXT_LINES), match.last + CONTEXT_LINES
        grown = len(pieces) - (match.last - match.first)
        if spans and first <= spans[-1][1]:
            first, _, before_grown = spans.pop()
            grown += before_grown
        spans.append((first, last, grown))
    hunks, shift = [], 0
    for first, last, grown in spans:
        old = before.texts[first:last]
        new = after.texts[first + shift : last + shift + grown]
        hunks += [_moved(line, first, first + shift) for line in _hunks(old, new)]
        shift += grown
    return "\n".join(hunks)


def text_diff(before: str, after: str) -> str:
    """Return the hunks of a unified diff of two texts, without the names of files."""
    return "\n".join(_hunks(split_lines(before).texts, split_lines(after).texts))


def _hunks(before: Sequence[str], after: Sequence[str]) -> list[str]:
    # The first two lines name the files; a removed line may look like them.
    return list(difflib.unified_diff(before, after, n=CONTEXT_LINES, lineterm=""))[2:]


def _moved(line: str, old: int, new: int) -> str:
    header = _HEADER.fullmatch(line)
    if header is None:
        return line
    return f"@@ -{int(header[1]) + old}{header[2] or ''} +{int(header[3]) + new}{header[4] or ''} @@"
