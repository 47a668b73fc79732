"""Wrappers that models put around a quote by mistake: fences, line numbers, escapes. Undone on both texts alike.

Called by edit_text.py. A wrapper is a guess, so it counts only where the quote without it stands in the file.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_WRAPPERS = 3
"""How many wrappers around one another are undone."""

_FENCE = re.compile(r"(`{3,}|~{3,})[^`]*\Z")
_NUMBERED = re.compile(r"[ \t]*(?:L|[Ll]ine )?(\d{1,7})(\t| *[|│→:]|-(?=[ \t]|$))(.*)\Z")
_CURLY = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "\u00a0": " "})
_ESCAPE = re.compile(r"\\(n|t|r|\"|'|\\|/|u[0-9a-fA-F]{4})")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\", "/": "/"}


@dataclass(frozen=True, slots=True)
class Quote:
    """The two texts of an edit at one level of unwrapping.

    Attributes:
        wrappers: what was undone, outermost first; () = the texts are as the model wrote them.
        number: line the quote says it begins at, by its own line numbers; None = it says nothing.
        only_exact: the unwrapping changes what the characters mean, so only an exact place counts.
    """

    old: str
    new: str
    wrappers: tuple[str, ...] = ()
    number: int | None = None
    only_exact: bool = False


def unwrapped_forms(quote: Quote) -> list[Quote]:
    """Return a quote and every form of it with wrappers undone, the fewest first."""
    forms, level = [quote], [quote]
    known = {(quote.old, quote.new)}
    for _ in range(MAX_WRAPPERS):
        outer, level = level, []
        for inner in (undo(form) for form in outer for undo in _UNDO):
            if inner is not None and inner.old.strip() and (inner.old, inner.new) not in known:
                known.add((inner.old, inner.new))
                level.append(inner)
        forms += level
    return forms


def _fence(quote: Quote) -> Quote | None:
    old = _inside_fence(quote.old)
    new = None if old is None else _inside_fence(quote.new)
    return None if old is None else _inner(quote, "fence", old, quote.new if new is None else new)


def _inside_fence(text: str) -> str | None:
    head, _, rest = text.strip().partition("\n")
    inner, _, last = rest.rpartition("\n")
    mark = _FENCE.match(head)
    return inner if mark and last.strip() == mark.group(1) else None


def _line_numbers(quote: Quote) -> Quote | None:
    """Undo numbers before each line, which count up by one in the quote; in the new text any number will do."""
    old_lines, numbers = _numbered(quote.old)
    counted = [number for number in numbers if number is not None]
    if not counted or counted != list(range(counted[0], counted[0] + len(counted))):
        return None
    if any(number is None and line.strip() for line, number in zip(old_lines, numbers, strict=True)):
        return None
    span = range(counted[0], counted[0] + quote.old.count("\n") + quote.new.count("\n") + 2)
    new_lines = [
        line if number is None or number not in span else inner
        for line, inner, number in zip(quote.new.split("\n"), *_numbered(quote.new), strict=True)
    ]
    wrappers = (*quote.wrappers, "line numbers")
    return Quote("\n".join(old_lines), "\n".join(new_lines), wrappers, counted[0], quote.only_exact)


def _spaced_line_numbers(quote: Quote) -> Quote | None:
    """Undo numbers of the form "12 | text", where the blank behind the mark belongs to it."""
    inner = _line_numbers(quote)
    marks = [match.group(2) for line in quote.old.split("\n") if (match := _NUMBERED.match(line))]
    if inner is None or any(mark in ("|", "│", "\t") for mark in marks):
        return None
    if not all(line.startswith(" ") or not line for line in inner.old.split("\n")):
        return None
    new = [
        line.removeprefix(" ") if line != numbered else line
        for line, numbered in zip(inner.new.split("\n"), quote.new.split("\n"), strict=True)
    ]
    old = [line[1:] for line in inner.old.split("\n")]
    return Quote("\n".join(old), "\n".join(new), inner.wrappers, inner.number, inner.only_exact)


def _numbered(text: str) -> tuple[list[str], list[int | None]]:
    """Return the lines of a text without the numbers before them, and these numbers; None = the line has none."""
    read = [(line, _NUMBERED.match(line)) for line in text.split("\n")]
    lines = [line if match is None else match.group(3) for line, match in read]
    return lines, [None if match is None else int(match.group(1)) for _, match in read]


def _entities(quote: Quote) -> Quote | None:
    old = html.unescape(quote.old)
    return None if old == quote.old else _inner(quote, "entities", old, html.unescape(quote.new))


def _curly_quotes(quote: Quote) -> Quote | None:
    old = quote.old.translate(_CURLY)
    return None if old == quote.old else _inner(quote, "typographic quotes", old, quote.new.translate(_CURLY))


def _double_escapes(quote: Quote) -> Quote | None:
    old = _unescaped(quote.old)
    if old == quote.old:
        return None
    return Quote(old, _unescaped(quote.new), (*quote.wrappers, "escapes"), quote.number, only_exact=True)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(
        lambda match: _ESCAPED[match.group(1)] if len(match.group(1)) == 1 else chr(int(match.group(1)[1:], 16)), text
    )


def _inner(quote: Quote, wrapper: str, old: str, new: str) -> Quote:
    return Quote(old, new, (*quote.wrappers, wrapper), quote.number, quote.only_exact)


_UNDO: tuple[Callable[[Quote], Quote | None], ...] = (
    _fence,
    _spaced_line_numbers,
    _line_numbers,
    _entities,
    _curly_quotes,
    _double_escapes,
)
