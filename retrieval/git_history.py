"""Reads from git what the last commits said and which files they changed. Called by the code index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UsageError
from ..core.git import run_git

MOST_COMMITS = 1000
"""More of them found no more on the tuning repositories of bench/code_search.py."""

_HEAD_TIMEOUT_S = 5.0
_LOG_TIMEOUT_S = 10.0
# What stands below a message for machines, and words that no one searches for.
_NOISE = re.compile(
    r"^[A-Z][A-Za-z-]+(?: [a-z]+)?: .*$|^\(cherry picked.*$|https?://\S+|\b[0-9a-f]{7,40}\b", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Change:
    """A commit: its message without trailers and links, and the files that it changed, relative to the workspace."""

    message: str
    paths: tuple[str, ...]


def read_head(workspace: Path) -> str:
    """Return the commit that is checked out; "" = there is none: no git, no repository, nothing committed."""
    try:
        done = run_git(workspace, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", timeout_s=_HEAD_TIMEOUT_S)
    except UsageError:
        return ""
    return done.stdout.decode("ascii", "replace").strip() if done.returncode == 0 else ""


def read_changes(workspace: Path, head: str) -> list[Change]:
    """Return the last commits up to `head` that changed the workspace and are no merges, the newest first.

    [] also when git can not tell, as in a clone that lacks its history.
    """
    asked = (
        "--no-merges",
        f"--max-count={MOST_COMMITS}",
        "--no-renames",
        "--no-ext-diff",
        "--name-only",
        "--relative",
    )
    shown = ("--format=%x00%B%x00", "--encoding=UTF-8", "--no-show-signature", "--no-notes", "--no-color")
    try:
        done = run_git(workspace, "log", *asked, *shown, head, "--", ".", timeout_s=_LOG_TIMEOUT_S)
    except UsageError:
        return []
    if done.returncode:
        return []
    # No message holds a NUL byte. A path that git puts in quotes, for its line break or the like, is left unknown.
    _, *parts = done.stdout.split(b"\0")
    return [
        Change(
            _NOISE.sub(" ", message.decode("utf-8", "replace")),
            tuple(files.decode("utf-8", "replace").split("\n")[2:-1]),
        )
        for message, files in zip(parts[::2], parts[1::2], strict=True)
    ]
