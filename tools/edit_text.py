"""The matching of an edit: one pure function, so that it can be measured and replaced by itself."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

from .text_files import uses_crlf

MAX_COMPARED_LINES = 20_000
"""Above this many lines a refusal names no nearest lines: looking for them would take seconds."""
SHOWN_LINES = 8
MAX_PLACES = 10


@dataclass(frozen=True, slots=True)
class EditResult:
    """An edit that was applied. `line` is where it begins; `removed` and `added` count lines."""

    text: str
    line: int
    removed: int
    added: int


@dataclass(frozen=True, slots=True)
class EditError:
    """An edit that was refused: `message` is for the model, `lines` are the 1-indexed places it speaks of."""

    reason: Literal["empty", "no_change", "not_found", "ambiguous", "already_applied"]
    message: str
    lines: tuple[int, ...] = ()


def apply_edit(text: str, old: str, new: str) -> EditResult | EditError:
    """Return the text with `old`, which must stand in it exactly once, replaced by `new`.

    Line ends do not count in the comparison: the text keeps its own, also in what is put in.
    """
    plain, old, new = _lf(text), _lf(old), _lf(new)
    if not old:
        return EditError("empty", "old_text is empty. Quote the lines to change, or use write_file for a whole file.")
    if old == new:
        return EditError("no_change", "old_text and new_text are the same; nothing to change.")
    places = _find_all(plain, old)
    if not places:
        return _not_found(plain, old, new)
    lines = tuple(_line_of(plain, place) for place in places)
    if len(places) > 1:
        shown = ", ".join(str(line) for line in lines) + (" and more" if len(places) == MAX_PLACES else "")
        message = f"old_text stands at several places, lines {shown}. Quote more lines around the one you mean."
        return EditError("ambiguous", message, lines)
    if _holds_already(plain, places[0], old, new):
        return EditError("already_applied", _already(lines[0]), lines)
    edited = _replace(text, places[0], len(old), new)
    return EditResult(edited, lines[0], _line_count(old), _line_count(new))


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")


def _find_all(text: str, wanted: str) -> list[int]:
    """Return the first places, overlapping ones too: an overlap is as ambiguous as two places apart."""
    places: list[int] = []
    place = text.find(wanted)
    while place >= 0 and len(places) < MAX_PLACES:
        places.append(place)
        place = text.find(wanted, place + 1)
    return places


def _line_of(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _line_count(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n")) if text else 0


def _holds_already(plain: str, place: int, old: str, new: str) -> bool:
    """Tell whether the only place of `old` lies where `new`, which contains it, already stands."""
    start = new.find(old)
    while start >= 0:
        if place >= start and plain.startswith(new, place - start):
            return True
        start = new.find(old, start + 1)
    return False


def _already(line: int) -> str:
    return f"new_text already stands at line {line}: this edit is done. Read the file before you change it again."


def _replace(text: str, place: int, length: int, new: str) -> str:
    """Replace a span given in LF coordinates; the new lines get the ends used in the span, else in the file."""
    start, end = _original(text, place), _original(text, place + length)
    span = text[start:end]
    crlf = uses_crlf(span) if "\n" in span else uses_crlf(text)
    return text[:start] + (new.replace("\n", "\r\n") if crlf else new) + text[end:]


def _original(text: str, place: int) -> int:
    """Return where a place in the text without the CR of its CR LF pairs lies in the text itself."""
    if "\r\n" not in text:
        return place
    pairs: list[int] = []
    found = text.find("\r\n")
    while found >= 0:
        pairs.append(found - len(pairs))  # the pair's place in LF coordinates
        found = text.find("\r\n", found + 2)
    return place + bisect_left(pairs, place)


def _not_found(plain: str, old: str, new: str) -> EditError:
    if new.strip() and (place := plain.find(new)) >= 0:
        line = _line_of(plain, place)
        return EditError("already_applied", _already(line), (line,))
    lines = plain.split("\n")
    near = _nearest(lines, old.strip("\n").split("\n"))
    if not near:
        message = "old_text does not stand in the file, nor anything like it. Read the file, then quote it exactly."
        return EditError("not_found", message)
    shown = "\n".join(f"{number}|{lines[number - 1]}" for number in near)
    return EditError("not_found", f"old_text does not stand in the file. The nearest lines are:\n{shown}", near)


def _nearest(lines: list[str], wanted: list[str]) -> tuple[int, ...]:
    """Return the 1-indexed lines of the window that is most like the quote; () = none is."""
    wanted = wanted[:SHOWN_LINES]
    if len(lines) > MAX_COMPARED_LINES:
        return ()
    best, best_score = -1, 0.0
    anchors = [(index, line.strip()) for index, line in enumerate(wanted) if line.strip()]
    stripped = [line.strip() for line in lines]
    for start in _starts(stripped, anchors):
        score = _window_score(stripped, anchors, start)
        if score > best_score:
            best, best_score = start, score
    if best_score < 0.5:
        return ()
    first = max(best, 0)
    return tuple(range(first + 1, min(best + len(wanted), len(lines)) + 1))


def _starts(stripped: list[str], anchors: list[tuple[int, str]]) -> list[int]:
    """Return where a window may begin: where one of the quote's lines stands, or one that looks like it."""
    starts: dict[int, None] = {}
    places: dict[str, list[int]] = {}
    for number, line in enumerate(stripped):
        places.setdefault(line, []).append(number)
    for index, line in anchors:
        exact = places.get(line, [])
        like = [] if exact else difflib.get_close_matches(line, places, n=2, cutoff=0.6)
        for number in [*exact[:20], *(n for text in like for n in places[text][:5])]:
            starts.setdefault(number - index)
    return list(starts)


def _window_score(stripped: list[str], anchors: list[tuple[int, str]], start: int) -> float:
    """Return how alike a window is to the quote, 0..1."""
    total = 0.0
    for index, line in anchors:
        if 0 <= start + index < len(stripped):
            other = stripped[start + index]
            total += 1.0 if other == line else difflib.SequenceMatcher(None, other, line).ratio()
    return total / len(anchors)
