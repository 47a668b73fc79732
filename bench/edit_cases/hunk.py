"""One change of one file, quoted as a model would quote it: what every damaged case is made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

_COMMENTS = {
    (
        "//",
        "",
    ): "js jsx ts tsx mjs go rs java scala c h cc cpp hpp cs kt swift php proto groovy gradle scss less json",
    ("<!--", "-->"): "html xml md vue svg",
    ("/*", "*/"): "css",
    ("..", ""): "rst",
    ("--", ""): "sql lua hs",
    (";", ""): "el lisp clj asm scm ini",
}


@dataclass(frozen=True)
class Hunk:
    """A change with the lines of context that are quoted with it.

    Attributes:
        lines: the whole file before the change, without line ends; the file has LF ends and a final one.
        start: 0-indexed line where the removed lines begin.
        removed: how many lines go.
        added: the lines that come instead.
        before: lines of context quoted above the change.
        after: lines of context quoted below it.
        final_newline: the model ends both texts with a newline.
    """

    repository: str
    commit: str
    path: str
    lines: tuple[str, ...]
    start: int
    removed: int
    added: tuple[str, ...]
    before: int = 0
    after: int = 0
    final_newline: bool = False

    @property
    def first(self) -> int:
        """The 0-indexed first line of the quote."""
        return self.start - self.before

    @property
    def end(self) -> int:
        """The 0-indexed line after the quote."""
        return self.start + self.removed + self.after

    @property
    def head(self) -> list[str]:
        """The lines of context above the change."""
        return list(self.lines[self.first : self.start])

    @property
    def gone(self) -> list[str]:
        """The removed lines."""
        return list(self.lines[self.start : self.start + self.removed])

    @property
    def tail(self) -> list[str]:
        """The lines of context below the change."""
        return list(self.lines[self.start + self.removed : self.end])

    @property
    def old(self) -> list[str]:
        """The quoted lines, undamaged."""
        return [*self.head, *self.gone, *self.tail]

    @property
    def new(self) -> list[str]:
        """The lines they become."""
        return [*self.head, *self.added, *self.tail]

    @property
    def text(self) -> str:
        """The whole file before the change."""
        return "\n".join(self.lines) + "\n"

    @property
    def text_after(self) -> str:
        """The whole file after it, nothing else changed."""
        return "\n".join((*self.lines[: self.start], *self.added, *self.lines[self.start + self.removed :])) + "\n"

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The file's lines as `line_key` sees them, blank lines left out."""
        return tuple(key for line in self.lines if (key := line_key(line)))

    def comment(self, words: str) -> str:
        """Return the words as a comment of the file's language, `#` where that is not known."""
        extension = PurePosixPath(self.path).suffix[1:].lower() or PurePosixPath(self.path).name.lower()
        before, after = next((signs for signs, names in _COMMENTS.items() if extension in names.split()), ("#", ""))
        return f"{before} {words} {after}".strip()

    def with_context(self, before: int, after: int) -> Hunk:
        """Return the hunk with as much of that context as the file has."""
        below = len(self.lines) - self.start - self.removed
        return replace(self, before=min(before, self.start), after=min(after, below))

    def shown(self, lines: Sequence[str]) -> str:
        """Return quoted lines as one text, ended as this model ends them."""
        return "\n".join(lines) + ("\n" if self.final_newline and lines else "")


def line_key(line: str) -> str:
    """Return a line with every blank taken out: equal keys = equal but for blanks. "" = a blank line."""
    return "".join(line.split())


def keys_of(lines: Sequence[str]) -> list[str]:
    """Return the keys of the lines that are not blank."""
    return [key for line in lines if (key := line_key(line))]


def count_runs(keys: Sequence[str], wanted: Sequence[str | None]) -> int:
    """Return at how many places the wanted keys stand in a row; None fits any key."""
    if not any(wanted):
        return len(keys)
    anchor, text = max(
        ((index, key) for index, key in enumerate(wanted) if key is not None), key=lambda pair: len(pair[1])
    )
    found = 0
    for place, key in enumerate(keys):
        begin = place - anchor
        if key == text and begin >= 0 and begin + len(wanted) <= len(keys):
            found += all(part is None or keys[begin + offset] == part for offset, part in enumerate(wanted))
    return found


def indent_of(line: str) -> str:
    """Return the blanks a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def common_indent(lines: Sequence[str]) -> str:
    """Return the blanks that every line which is not blank begins with."""
    indents = [indent_of(line) for line in lines if line.strip()]
    if not indents:
        return ""
    low, high = min(indents), max(indents)
    return next((low[:place] for place, char in enumerate(low) if char != high[place]), low)


def is_comment(line: str) -> bool:
    """Tell whether a line looks like a comment of words."""
    return bool(re.match(r"\s*(#|//+|\*|/\*+|--|;+)!?\s+\w+.*\w+\W+\w+", line))
