"""Ignore files: .gitignore hides from searches; .flowignore, .aiignore and .clineignore deny reading and writing too.

Called by the tools that read, write or list files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ToolError
from .paths import DENY_FILES
from .patterns import name_token

HIDDEN_FOLDERS = frozenset({".git", ".flow"})
"""Folders that are never listed or searched."""


_TOKEN = re.compile(r"(?:^|(?<=/))\*\*/|\*+|\?|\[[!^]?\]?[^\]]*\]|\\.|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of an ignore file. It speaks of one file or folder itself, never of what lies in it.

    pathspec decides for whole paths and so takes what lies in a folder for matched with it; where a later line takes
    the folder in again, that is not what git does (measured: other files in 6 of 60 random trees).
    """

    expression: re.Pattern[str]
    hides: bool
    folders_only: bool
    whole_path: bool

    def matches(self, path: str, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        return self.expression.fullmatch(path if self.whole_path else path.rpartition("/")[2]) is not None


def _rule(line: str) -> _Rule | None:
    """Return the rule of a line; None = blank, a comment, or a pattern that can match nothing."""
    text = re.sub(r"(?<!\\) +$", "", line)
    if not text or text.startswith("#"):
        return None
    hides = not text.startswith("!")
    pattern = text if hides else text[1:]
    folders_only = pattern.endswith("/")
    pattern = pattern.rstrip("/") if folders_only else pattern
    whole_path = "/" in pattern
    try:
        expression = re.compile(_translated(pattern.removeprefix("/")), re.DOTALL)
    except re.error:
        return None
    return _Rule(expression, hides, folders_only, whole_path)


def _translated(pattern: str) -> str:
    out = []
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if text == "**/":
            out.append("(?:[^/]+/)*")
        elif text == "**" and token.end() == len(pattern) and pattern[: token.start()].endswith("/"):
            out.append(".+")
        elif text[0] == "*":
            out.append("[^/]*")
        else:
            out.append("[^/]" if text == "?" else name_token(text))
    return "".join(out)


class Rules:
    """The rules of one kind of ignore file, from the top folder down; a deeper file's rules win, as in git."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._rules: list[tuple[str, _Rule]] = []

    def enter(self, folder: Path, prefix: str) -> None:
        """Add the rules that a folder's own ignore files hold.

        Args:
            prefix: what a path below this folder begins with, "" or ending in "/".
        """
        for name in self._names:
            found = (_rule(line) for line in _lines(folder / name))
            self._rules += [(prefix, rule) for rule in found if rule is not None]

    def below(self, folder: Path, prefix: str) -> Rules:
        """Return the rules as they stand below a folder: these, and those of its own ignore files."""
        if not any(os.path.lexists(folder / name) for name in self._names):
            return self
        inner = Rules(self._names)
        inner._rules = list(self._rules)
        inner.enter(folder, prefix)
        return inner

    def match(self, path: str) -> bool:
        """Tell whether the rules take out a path; a folder's path ends with "/"."""
        is_folder = path.endswith("/")
        name = path.rstrip("/")
        for prefix, rule in reversed(self._rules):
            if name.startswith(prefix) and rule.matches(name[len(prefix) :], is_folder):
                return rule.hides
        return False

    def match_within(self, path: str) -> bool:
        """Tell whether the rules take out a file itself or one of the folders that it lies in."""
        parts = path.split("/")
        folders = ("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))
        return any(self.match(folder) for folder in folders) or self.match(path)

    def __bool__(self) -> bool:
        return bool(self._rules)


def _lines(path: Path) -> list[str]:
    if path.is_symlink() or not path.is_file():
        return []
    return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def deny_rules(workspace: Path) -> Rules:
    """Return what the ignore files in the workspace's top folder deny."""
    rules = Rules(DENY_FILES)
    rules.enter(workspace, "")
    return rules


def refuse_denied(workspace: Path, relative: str) -> None:
    """Check a file against the ignore files that deny.

    Raises:
        ToolError: it is denied.
    """
    if deny_rules(workspace).match_within(relative):
        raise ToolError(f"{relative!r} may not be opened: an ignore file of this project denies it.")


def repository_root(workspace: Path) -> Path | None:
    """Return the nearest folder at or above the workspace that holds .git; None = no repository."""
    for folder in (workspace, *workspace.parents):
        if os.path.lexists(folder / ".git"):
            return folder
    return None
