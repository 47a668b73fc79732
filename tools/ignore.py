"""Ignore files: .gitignore hides from searches; .flowignore, .aiignore and .clineignore deny reading and writing too.

Called by the tools that read, write or list files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ToolError
from .paths import DENY_FILES

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

HIDDEN_FOLDERS = frozenset({".git", ".flow"})
"""Folders that are never listed or searched."""


class Rules:
    """The rules of one kind of ignore file, from the top folder down; a deeper file's rules win, as in git."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._specs: list[tuple[str, GitIgnoreSpec]] = []

    def enter(self, folder: Path, prefix: str) -> None:
        """Add the rules that a folder's own ignore files hold.

        Args:
            prefix: what a path below this folder begins with, "" or ending in "/".
        """
        for name in self._names:
            lines = _lines(folder / name)
            if lines:
                from pathspec import GitIgnoreSpec

                self._specs.append((prefix, GitIgnoreSpec.from_lines(lines)))

    def below(self, folder: Path, prefix: str) -> Rules:
        """Return the rules as they stand below a folder: these, and those of its own ignore files."""
        if not any(os.path.lexists(folder / name) for name in self._names):
            return self
        inner = Rules(self._names)
        inner._specs = list(self._specs)
        inner.enter(folder, prefix)
        return inner

    def match(self, path: str) -> bool:
        """Tell whether the rules take out a path; a folder's path ends with "/"."""
        verdict = False
        for prefix, spec in self._specs:
            if path.startswith(prefix):
                found = spec.check_file(path[len(prefix) :]).include
                verdict = verdict if found is None else found
        return verdict

    def match_within(self, path: str) -> bool:
        """Tell whether the rules take out a file itself or one of the folders that it lies in."""
        parts = path.split("/")
        folders = ("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))
        return any(self.match(folder) for folder in folders) or self.match(path)

    def __bool__(self) -> bool:
        return bool(self._specs)


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
