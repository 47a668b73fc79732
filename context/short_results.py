"""An old tool result made short: its head and its tail, and between them lines that name errors and paths."""

from __future__ import annotations

import re
from functools import lru_cache

_SAYS_ERROR = re.compile(
    r"^\s*E\s{2,}|\b\w*(?:Error|Exception)\b|\b(?:error|fatal|panic|failed|failure|traceback|undefined|denied|refused|invalid|mismatch"
    r"|cannot|not found|no such|there is no)\b"
    r"|exit code [1-9]|\bFAIL|エラー|失敗|例外",
    re.IGNORECASE,
)
_ENDINGS = (
    "py pyi js jsx mjs ts tsx go rs c h cc cpp hpp cs java kt scala rb php swift lua sh sql html css scss vue svelte "
    "toml yaml yml json lock cfg ini env md rst txt csv xml proto ipynb log diff patch"
).replace(" ", "|")
# With a folder in front any ending makes a path; alone, `os.path` would be one.
_PATH = re.compile(
    rf"(?<![\w/.@-])(?:/?(?:[\w.@-]+/)+[\w@-][\w.@-]*\.[A-Za-z]\w{{0,7}}|[\w@-][\w.@-]*\.(?:{_ENDINGS}))(?!\w)(?::\d+)?"
)
_MAX_LINE = 200
_NOTE_CHARS = 120


def says_error(line: str) -> bool:
    """Return whether a line of output seems to tell of something that went wrong."""
    return _SAYS_ERROR.search(line) is not None


def paths_in(text: str) -> list[str]:
    """Return what looks like the path of a file, in order, each with the line number that follows it."""
    return _PATH.findall(text)


@lru_cache(512)
def short_result(text: str, limit: int, hint: str = "call the tool again to see all") -> str:
    """Return a text of at most about `limit` characters, the same every time; one that fits comes back unchanged.

    Args:
        hint: how the whole is had; a first line says it, and how much is left out.
    """
    if len(text) <= limit:
        return text
    lines = [line[:_MAX_LINE] for line in text.split("\n")]
    kept = _kept_lines(lines, max(limit - _NOTE_CHARS, 0))
    left_out = len(lines) - len(kept)
    note = f"[shown short to save room: {left_out:,} of {len(lines):,} lines left out; {hint}]"
    shown: list[str] = []
    before = -1
    for place in sorted(kept):
        if place != before + 1:
            shown.append("[...]")
        shown.append(lines[place])
        before = place
    return "\n".join([note, *shown])


def _kept_lines(lines: list[str], room: int) -> set[int]:
    """Return the places of the lines to show: of a third of the room the head, of another the tail, then the rest."""
    third = room // 3
    kept: set[int] = set()
    used = _take(lines, range(len(lines)), third, kept)
    used += _take(lines, range(len(lines) - 1, -1, -1), third, kept)
    telling = [place for place, line in enumerate(lines) if says_error(line)]
    naming = [place for place, line in enumerate(lines) if _PATH.search(line)]
    for place in (*telling, *naming):
        size = len(lines[place]) + 1
        if place not in kept and used + size <= room:
            kept.add(place)
            used += size
    return kept


def _take(lines: list[str], places: range, room: int, kept: set[int]) -> int:
    """Add the first places whose lines fit in the room; return the characters that they take."""
    used = 0
    for place in places:
        size = len(lines[place]) + 1
        if place in kept or used + size > room:
            break
        kept.add(place)
        used += size
    return used
