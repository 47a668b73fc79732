"""Text as lines for the matching of edits: splitting without loss, and what two lines are compared by."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Key = Callable[[str], str]
"""Gives what two lines must have in common at a stage; lines that are nothing but blanks give ""."""

TAB_COLUMNS = 4
"""How wide a tab counts where tabs and spaces have to be compared at all."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A text as lines: `texts` without their ends, `ends` beside them: "\\n", "\\r\\n", or "" after the last one.

    A text that ends with a line end has no empty line behind it; "" has no lines.
    """

    texts: list[str]
    ends: list[str]

    def joined(self) -> str:
        return "".join(text + end for text, end in zip(self.texts, self.ends, strict=True))


def split_lines(text: str) -> Lines:
    """Return a text as lines; only "\\n" and "\\r\\n" end one, as in every editor."""
    texts = text.split("\n")
    last = texts.pop()
    ends = ["\n"] * len(texts)
    if "\r" in text:
        for index, line in enumerate(texts):
            if line.endswith("\r"):
                texts[index], ends[index] = line[:-1], "\r\n"
    if last:
        texts.append(last)
        ends.append("")
    return Lines(texts, ends)


def line_starts(texts: Sequence[str]) -> list[int]:
    """Return where each line begins in the text joined by "\\n"."""
    starts, place = [], 0
    for text in texts:
        starts.append(place)
        place += len(text) + 1
    return starts


def line_at(starts: Sequence[int], place: int) -> int:
    """Return the 0-indexed line that a place of the joined text lies in; its line end belongs to it."""
    return bisect_right(starts, place) - 1


def exactly(line: str) -> str:
    return line


def without_trailing(line: str) -> str:
    return line.rstrip()


def without_indent(line: str) -> str:
    return line.strip()


def without_blanks(line: str) -> str:
    """Return a line without any blank, in compatible characters (full and half width alike, composed)."""
    packed = "".join(line.split())
    return packed if packed.isascii() else "".join(unicodedata.normalize("NFKC", packed).split())


def indent_of(line: str) -> str:
    """Return the blanks a line begins with; "" for a line of blanks alone, which has no indentation to speak of."""
    stripped = line.lstrip(" \t\u3000")
    return line[: len(line) - len(stripped)] if stripped else ""


def width(indent: str) -> int:
    """Return how many columns an indentation takes."""
    return sum(TAB_COLUMNS if char == "\t" else 1 for char in indent)


def body(text: str) -> str:
    """Return a text without its last line end."""
    return text[:-1] if text.endswith("\n") else text


def as_lines(text: str) -> list[str]:
    """Return a text as lines; a last line end adds none, "" has none."""
    return body(text).split("\n") if text else []
