"""The message of a commit: from a step's title, what the coders said, and the files. Called by nodes/commit.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.texts import visible, width

SUBJECT_COLUMNS = 72
BODY_COLUMNS = 72
_SUMMARY_LINES = 40
_FILES = 20
_NO_LINE_START = frozenset("、。，．・：；？！）］｝」』】〉》ー々")
"""Wide characters that Japanese text begins no line with."""


def commit_message(title: str, changes: Sequence[Mapping[str, Any]], files: Sequence[str], trailer: str = "") -> str:
    """Return a message: the title as subject, then the summaries, the files and the trailer.

    Args:
        title: one line; a longer one than git's tools show is cut, and stands in full below.
        changes: Changes whose summaries belong into the body, as far as they have one.
        files: workspace-relative paths.
        trailer: the last line, "NAME: VALUE"; "" = none.
    """
    whole = " ".join(visible(title).split()) or f"Change {', '.join(files[:3])}"
    subject = _cut(whole)
    told = [whole if subject != whole else "", *(_summary(change) for change in changes)]
    # Models' words never stand last, where git would read them as trailers.
    parts = [subject, *(_wrapped(text) for text in told), _listed(files), trailer]
    return "\n\n".join(part for part in parts if part)


def _cut(text: str) -> str:
    if width(text) <= SUBJECT_COLUMNS:
        return text
    kept = text[:SUBJECT_COLUMNS]
    while width(kept) > SUBJECT_COLUMNS - 1:
        kept = kept[:-1]
    # A word cut in its middle says something else; Japanese has no blanks to cut at.
    words = kept.rpartition(" ")[0]
    return (words if width(words) > SUBJECT_COLUMNS // 2 else kept).rstrip() + "…"


def _summary(change: Mapping[str, Any]) -> str:
    lines = visible(str(change.get("summary") or "").strip()).splitlines()
    return "\n".join([*lines[:_SUMMARY_LINES], *(["…"] if len(lines) > _SUMMARY_LINES else [])])


def _listed(files: Sequence[str]) -> str:
    more = [f"- and {len(files) - _FILES} more"] if len(files) > _FILES else []
    return "\n".join([*(f"- {visible(name)}" for name in files[:_FILES]), *more])


def _wrapped(text: str) -> str:
    return "\n".join(line for whole in text.splitlines() for line in _lines(whole.rstrip()))


def _lines(text: str) -> list[str]:
    """Break one line at blanks, and between wide characters."""
    lines, rest = [], text
    while width(rest) > BODY_COLUMNS:
        end = _break(rest)
        if end == 0:
            break
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*lines, rest]


def _break(text: str) -> int:
    """Return where the first line ends, as an index; 0 = it cannot be broken."""
    size, best = 0, 0
    indent = len(text) - len(text.lstrip())
    for at, char in enumerate(text):
        is_possible = char == " " or (width(char) == 2 and char not in _NO_LINE_START)
        if at > indent and is_possible:
            best = at
        size += width(char)
        if size > BODY_COLUMNS and best:
            return best
    return 0
