"""Mentions and commands in a text that a person wrote (`@path`, `@problems`, `!command` and so on), with their spans.

Pure: whether a mention means anything is found out by app/mentions.py, which reads what it names.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from ..retrieval.languages import language_of

Kind = Literal["path", "url", "docs", "problems", "terminal", "git-changes", "command"]

MAX_LONG_READINGS, MAX_SHORT_READINGS = 40, 20
"""Ways in which one mention is tried, the longest and the shortest, so that a long word costs no long search."""
MAX_MENTIONS = 100
"""Of one text; what comes after them is text."""

# An address (a@b.c), a package (pkg/@types, x@1.2), the head of a diff's hunk (@@) and an escaped \@ are none.
_START = re.compile(r"(?<![A-Za-z0-9_.+\-/@\\%$])@")
_QUOTED = re.compile(r"\"([^\"\n]+)\"|'([^'\n]+)'")
_KEYWORD = re.compile(r"(problems|terminal|git-changes)(?![A-Za-z0-9_/#\-]|[.:][A-Za-z0-9_])")
_URL = re.compile(r"https?://[!#-;=?-_a-z|~]+", re.IGNORECASE)
_WORD = re.compile(r"[^\s\"'`<>|*?,;\x00-\x1f\x7f、。，．！？：；（）「」『』【】《》〈〉［］｛｝…‥“”‘’]+")
_LINES = re.compile(r"(.+?)(?:#L(\d{1,9})(?:-L?(\d{1,9}))?|:(\d{1,9})(?:-(\d{1,9}))?(?::\d{1,9})?)", re.DOTALL)
_ANCHOR_LINES = re.compile(r"#L(\d{1,9})(?:-L?(\d{1,9}))?(?![\w-])")
_ANCHOR_SYMBOL = re.compile(r"#([A-Za-z_$][\w$.:]*)", re.ASCII)
_TRAILING = ".,;:!?"
_PAIRS = {")": "(", "]": "[", "}": "{"}
# `![` begins an image of Markdown, `!=` and `!!` no program.
_COMMAND = re.compile(r"!(?![\[!=\s])(.*\S)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_TEXT_SUFFIXES = frozenset(
    {
        *(".md", ".mdx", ".rst", ".txt", ".adoc", ".toml", ".yaml", ".yml", ".json", ".jsonl", ".xml", ".html"),
        *(".htm", ".css", ".scss", ".sql", ".csv", ".tsv", ".ini", ".cfg", ".conf", ".env", ".lock", ".log"),
        *(".proto", ".vue", ".svelte", ".ipynb", ".pdf", ".png", ".jpg", ".svg", ".gradle", ".tf", ".bat"),
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a path mention.

    Attributes:
        symbol: a definition in the file; "" = none named.
        first, last: 1-indexed lines, inclusive; 0 = none named.
        end: where in the text this reading ends, exclusive.
    """

    path: str
    end: int
    symbol: str = ""
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Mention:
    """Something a person may have meant to attach.

    Attributes:
        start, end: its longest reading in the text, in characters, the `@` or `!` included; `end` is exclusive.
        value: the address, the query of documents or the command line; "" for the other kinds.
        readings: of a path, the longest first; () for the other kinds.
        fenced: it stands in a block of code, where an `@` most often belongs to the code.
    """

    kind: Kind
    start: int
    end: int
    value: str = ""
    readings: tuple[Reading, ...] = ()
    quoted: bool = False
    fenced: bool = False

    @property
    def is_clear(self) -> bool:
        """True when it can hardly be anything but a mention, so that a person should know if it names nothing."""
        if self.quoted or self.kind != "path":
            return not self.fenced
        names = [PurePosixPath(reading.path).name for reading in self.readings]
        has_suffix = any(language_of(name) or PurePosixPath(name).suffix.lower() in _TEXT_SUFFIXES for name in names)
        return not self.fenced and (has_suffix or any("/" in reading.path for reading in self.readings))


def parse_mentions(text: str) -> list[Mention]:
    """Return what may be mentions, and the command lines, in the order in which they stand; never raises.

    A command is a line that begins with `!`, outside of blocks of code. Its line holds no mentions.
    """
    commands, fences = _lines_of(text)
    found = list(commands)
    spans = [(each.start, each.end) for each in commands]
    position = 0
    for match in _START.finditer(text):
        start = match.start()
        inside = bisect_right(spans, (start, len(text) + 1)) - 1
        if start < position or (inside >= 0 and start < spans[inside][1]):
            continue
        mention = _mention_at(text, start, fenced=any(low <= start < high for low, high in fences))
        if mention is not None:
            found.append(mention)
            position = mention.end
        if len(found) > MAX_MENTIONS:
            break
    return sorted(found, key=lambda each: each.start)[:MAX_MENTIONS]


def _lines_of(text: str) -> tuple[list[Mention], list[tuple[int, int]]]:
    """Return the commands, and the spans of blocks of code."""
    commands: list[Mention] = []
    fences: list[tuple[int, int]] = []
    fence, opened, position = "", 0, 0
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark is not None and not fence:
            fence, opened = mark[1], position
        elif fence and mark is not None and mark[1].startswith(fence) and not line[mark.end() :].strip():
            fences.append((opened, position + len(line)))
            fence = ""
        elif not fence and (match := _COMMAND.match(line)) is not None:
            commands.append(Mention("command", position, position + match.end(), match[1]))
        position += len(line) + 1
    if fence:
        fences.append((opened, len(text)))
    return commands, fences


def _mention_at(text: str, start: int, *, fenced: bool) -> Mention | None:
    """Return the mention whose `@` stands at `start`; None = that `@` begins none."""
    at = start + 1
    if (quote := _QUOTED.match(text, at)) is not None:
        return _quoted(text, start, quote, fenced)
    if text.startswith("docs:", at):
        query = _QUOTED.match(text, at + 5)
        end = query.end() if query else _trimmed(text, at + 5, _WORD)
        value = (query[1] or query[2]) if query else text[at + 5 : end]
        return Mention("docs", start, end, value.strip(), fenced=fenced) if value.strip() else None
    if (keyword := _KEYWORD.match(text, at)) is not None:
        kind: Kind = keyword[1]  # type: ignore[assignment]  # the pattern's own alternatives
        return Mention(kind, start, keyword.end(), fenced=fenced)
    if _URL.match(text, at):
        end = _trimmed(text, at, _URL)
        return Mention("url", start, end, text[at:end], fenced=fenced)
    if text.startswith(("@", "("), at):
        return None
    end = _trimmed(text, at, _WORD)
    if text[end - 1 : end + 1] == "/*":  # a pattern, which is not the folder in front of it
        return Mention("path", start, end + 1, readings=(Reading(text[at : end + 1], end + 1),), fenced=fenced)
    readings = tuple(_readings(text, at, end))
    if len(readings) > MAX_LONG_READINGS + MAX_SHORT_READINGS:
        readings = (*readings[:MAX_LONG_READINGS], *readings[-MAX_SHORT_READINGS:])
    return Mention("path", start, end, readings=readings, fenced=fenced) if readings else None


def _quoted(text: str, start: int, quote: re.Match[str], fenced: bool) -> Mention | None:
    path = (quote[1] or quote[2]).strip()
    if _URL.match(path):
        return Mention("url", start, quote.end(), path, quoted=True, fenced=fenced)
    if not path:
        return None
    end = quote.end()
    inside = [*_anchored(path, end), Reading(path, end)]
    if (lines := _ANCHOR_LINES.match(text, end)) is not None:
        inside = [_with_lines(path, lines.end(), lines[1], lines[2])]
    elif (symbol := _ANCHOR_SYMBOL.match(text, end)) is not None:
        name = symbol[1].rstrip(".:")
        inside = [Reading(path, symbol.start(1) + len(name), name)]
    end = inside[0].end
    return Mention("path", start, end, readings=tuple(inside), quoted=True, fenced=fenced)


def _trimmed(text: str, at: int, pattern: re.Pattern[str]) -> int:
    """Return where the word at a place ends, without punctuation that ends the sentence around it."""
    match = pattern.match(text, at)
    end = at if match is None else match.end()
    while end > at:
        last = text[end - 1]
        opening = _PAIRS.get(last)
        if last not in _TRAILING and (opening is None or text.count(opening, at, end) >= text.count(last, at, end)):
            break
        end -= 1
    return end


def _readings(text: str, at: int, end: int) -> Iterator[Reading]:
    """Yield the ways to read a word: whole, then up to each place where the script changes.

    Japanese puts no blank between a name and the word behind it: of `src/a.pyを直す` only `src/a.py` is the path.
    """
    for stop in _stops(text, at, end):
        piece = text[at:stop]
        yield Reading(piece, stop)
        yield from _anchored(piece, stop)


def _stops(text: str, at: int, end: int) -> Iterator[int]:
    if end > at:
        yield end
    scripts = [_script(char) for char in text[at:end]]
    for offset in range(len(scripts) - 1, 0, -1):
        script = scripts[offset]
        # Behind a slash only a particle (docs/を見て) is no part of the path: another word is a name in the folder.
        is_name = text[at + offset - 1] == "/" and script != "HIRAGANA"
        if script not in ("ascii", scripts[offset - 1]) and not is_name:
            stop = at + offset
            while stop > at and text[stop - 1] in _TRAILING:
                stop -= 1
            if stop > at:
                yield stop


def _script(char: str) -> str:
    if char.isascii():
        return "ascii"
    return unicodedata.name(char, "").partition(" ")[0]


def _anchored(piece: str, end: int) -> Iterator[Reading]:
    """Yield the readings of a path with lines or a symbol behind it."""
    if (lines := _LINES.fullmatch(piece)) is not None:
        yield _with_lines(lines[1], end, lines[2] or lines[4], lines[3] or lines[5])
    path, mark, symbol = piece.rpartition("#")
    # Behind a name in another script stands the next word, which a shorter reading is without.
    is_mixed = symbol[:1].isascii() and not symbol.isascii()
    if mark and path and symbol and not is_mixed and not _ANCHOR_LINES.fullmatch(f"#{symbol}"):
        yield Reading(path, end, symbol)


def _with_lines(path: str, end: int, first: str, last: str | None) -> Reading:
    low, high = int(first), int(last or first)
    return Reading(path, end, first=max(min(low, high), 1), last=max(low, high, 1))
