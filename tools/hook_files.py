"""The git hooks of a repository, for `flow trust` to show. No command of flow runs one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import UsageError
from ..core.git import run_git
from .git_folders import HookFolders, read_repository

_HUSKY = ".husky"


def hook_files(workspace: Path) -> list[Path]:
    """Return the programs that git would run on its own, sorted: those of the repository's folder for hooks, of the
    folder that its configuration names in place of it, and of husky."""
    found = {path for folder in _folders(workspace) for path in _programs(folder)}
    return sorted(found)


def _folders(workspace: Path) -> Iterator[Path]:
    for folder in read_repository(workspace, HookFolders()).folders:
        yield folder / "hooks"
    if named := _named(workspace):
        yield named
    yield workspace / _HUSKY


def _named(workspace: Path) -> Path | None:
    """Return the folder of core.hooksPath, where the repository itself sets it and not the user's own settings."""
    try:
        asked = run_git(workspace, "config", "--show-scope", "--null", "--type=path", "--get-all", "core.hooksPath")
    except UsageError:
        return None
    *parts, _ = os.fsdecode(asked.stdout).split("\0")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    names = [name for scope, name in pairs if scope in ("local", "worktree")]
    return Path(os.path.normpath(workspace / names[-1])) if names else None


def _programs(folder: Path) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        # husky's own are read by a shell and need not be executable.
        runs = folder.name == _HUSKY or os.access(path, os.X_OK)
        if path.is_file() and runs and path.suffix not in (".sample", ".md", ".gitignore"):
            yield path
