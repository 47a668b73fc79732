"""Which folder is the workspace of a command; asked by every command that reads settings."""

from __future__ import annotations

from pathlib import Path


def find_workspace(start: Path) -> Path:
    """Return the nearest folder from `start` upwards that holds a `.git`, resolved; `start` itself when none does."""
    start = start.resolve()
    # A linked worktree and a submodule have a `.git` file instead of a folder.
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), start)
