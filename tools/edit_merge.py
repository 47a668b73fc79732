"""Three-way application of an edit: only what the model changed between its two texts is changed in the file.

A line that stands in the quote and in the replacement alike is context: the file keeps its own bytes for it, however
the model misquoted it. Called by edit_text.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from .edit_indent import Reindent, carries_indent, reindent
from .edit_lines import Lines, indent_of, without_blanks
from .edit_match import Match

Piece = tuple[str, str]
"""A line and its end."""
Opcode = tuple[str, int, int, int, int]
MAX_COMPARED = 10_000
"""Pairs of lines that difflib compares; its time grows with the cube of them where lines repeat (800 lines: 15 s)."""


def merged(file: Lines, match: Match, old: Sequence[str], new: Sequence[str], new_end: str) -> list[Piece] | None:
    """Return the lines that take the place of a match; None = the indentation of the new ones can not be told.

    Args:
        old, new: lines of the quote and of the replacement; () = the lines are deleted.
        new_end: line end of lines that are put in.
    """
    pairs = [(line, file.texts[place]) for line, place in zip(old, match.pairs, strict=True) if place is not None]
    carried = carries_indent(pairs, new)
    if carried is None:
        return None
    if carried:
        # The replacement speaks of the file's lines, so it is compared with them.
        standing = zip(old, match.pairs, strict=True)
        old = [line if at is None else indent_of(file.texts[at]) + line.lstrip() for line, at in standing]
        pairs = [(stands, stands) for _, stands in pairs]
    opcodes = line_opcodes(old, new)
    indented = reindent(pairs, new)
    written = _Written(file, match, old, new, indented)
    pieces: list[Piece] = []
    cursor = match.first
    for tag, i1, i2, j1, j2 in opcodes:
        places = [place for place in match.pairs[i1:i2] if place is not None]
        if places:
            # Blank lines that only the file has stay where they are.
            pieces += _stretch(file, cursor, places[0])
            cursor = places[-1] + 1
        if tag == "equal":
            pieces += _stretch(file, places[0], cursor) if places else []
            continue
        lines = written.lines(i1, i2, j1, j2)
        if lines is None:
            return None
        pieces += [(line, new_end) for line in lines]
    pieces += _stretch(file, cursor, match.last)
    return _ended(file, match, pieces, new_end)


def line_opcodes(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    """Return difflib's opcodes; equal lines at both ends are left out of the search, which is quadratic."""
    shortest = min(len(old), len(new))
    head = next((number for number in range(shortest) if old[number] != new[number]), shortest)
    rest = shortest - head
    tail = next((number for number in range(rest) if old[-1 - number] != new[-1 - number]), rest)
    inner = _opcodes(old[head : len(old) - tail], new[head : len(new) - tail])
    opcodes: list[Opcode] = [("equal", 0, head, 0, head)] if head else []
    opcodes += [(tag, i1 + head, i2 + head, j1 + head, j2 + head) for tag, i1, i2, j1, j2 in inner]
    if tail:
        opcodes.append(("equal", len(old) - tail, len(old), len(new) - tail, len(new)))
    return opcodes


def _opcodes(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    if len(old) * len(new) <= MAX_COMPARED:
        return list(difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes())
    from rapidfuzz.distance import Indel

    opcodes: list[Opcode] = []
    for code in Indel.opcodes(old, new):
        if opcodes and code.tag != "equal" and opcodes[-1][0] != "equal":
            _, i1, _, j1, _ = opcodes.pop()
            opcodes.append(("replace", i1, code.src_end, j1, code.dest_end))
        else:
            opcodes.append((code.tag, code.src_start, code.src_end, code.dest_start, code.dest_end))
    return opcodes


def changed_lines(old: Sequence[str], new: Sequence[str]) -> dict[int, str]:
    """Return the lines of `new`, by number, that do not stand in `old` in the same order."""
    return {
        number: new[number]
        for tag, _, _, j1, j2 in line_opcodes(old, new)
        if tag != "equal"
        for number in range(j1, j2)
    }


class _Written:
    """The lines that an edit writes, one changed block after the other."""

    def __init__(
        self, file: Lines, match: Match, old: Sequence[str], new: Sequence[str], indented: Reindent | None
    ) -> None:
        self._file = file
        self._match = match
        self._old = old
        self._new = new
        self._indented = indented

    def lines(self, i1: int, i2: int, j1: int, j2: int) -> list[str] | None:
        """Return the lines for old[i1:i2] -> new[j1:j2]; None = their indentation can not be told."""
        lines: list[str] = []
        for offset, line in enumerate(self._new[j1:j2]):
            line = self._with_file_text(line, i1, i2)
            if self._indented is not None:
                lines.append(self._indented(line, j1 + offset))
                continue
            place = self._match.pairs[i1 + offset] if i2 - i1 == j2 - j1 else None
            if place is None and line.strip():
                return None
            # The quote's indentation is lost, but this line stands for exactly one of the file.
            lines.append(indent_of(self._file.texts[place]) + line.lstrip() if place is not None else line)
        return lines

    def _with_file_text(self, line: str, i1: int, i2: int) -> str:
        """Return a line whose words the model only moved or indented anew with the file's own words for them."""
        wanted = without_blanks(line)
        for number in range(i1, i2):
            place = self._match.pairs[number]
            if place is None or not wanted or without_blanks(self._old[number]) != wanted:
                continue
            stands = self._file.texts[place]
            if self._old[number].strip() != line.strip() or self._old[number].strip() == stands.strip():
                return line  # the blanks are what the model changed
            return indent_of(line) + stands.lstrip()
        return line


def _stretch(file: Lines, first: int, last: int) -> list[Piece]:
    return list(zip(file.texts[first:last], file.ends[first:last], strict=True))


def _ended(file: Lines, match: Match, pieces: list[Piece], new_end: str) -> list[Piece]:
    """Return the pieces with every line ended, save the last one of a file that has no end there."""
    pieces = [(text, end or new_end) for text, end in pieces]
    at_end = match.last == len(file.texts) and bool(file.ends) and not file.ends[-1]
    if at_end and pieces:
        pieces[-1] = (pieces[-1][0], "")
    return pieces
