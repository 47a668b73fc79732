"""The files of the workspace that searches look at, taken from the same list as the code index.

Called by glob, grep and the near names of read_file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import ToolError
from ..retrieval.files import Denials, find_paths
from .paths import relative_path, resolve_inside

HIDDEN_FOLDERS = frozenset({".git", ".flow"})
"""Names that are never listed or searched, wherever they stand."""


def list_files(workspace: Path, under: str = ".") -> list[str]:
    """Return workspace-relative posix paths of all files at or below `under`, sorted by code point.

    Left out: what .gitignore or an ignore file that denies takes out, .git, .flow, links.

    Args:
        under: workspace-relative folder or file.
    """
    prefix = "" if under == "." else under + "/"
    denials = Denials(workspace)
    kept = (path for path in _files(workspace) if path.startswith(prefix) or path == under)
    return sorted(path for path in kept if not denials.denied_by(path))


def _files(workspace: Path, base: str = "") -> Iterator[str]:
    """Yield the regular files; `base` is the repository within the workspace that is listed, "" or ending in "/"."""
    for found in find_paths(workspace / base):
        path = base + found.rstrip("/")
        if not HIDDEN_FOLDERS.isdisjoint(path.split("/")):
            continue
        try:
            mode = os.lstat(workspace / path).st_mode
        except OSError:  # gone since it was tracked, or in a folder without permission
            continue
        if stat.S_ISREG(mode):
            yield path
        elif stat.S_ISDIR(mode) and os.path.lexists(workspace / path / ".git"):
            yield from _files(workspace, path + "/")


def files_under(workspace: Path, path: str) -> tuple[str, list[str]]:
    """Return the workspace-relative folder or file that a model named, and the files at or below it.

    Raises:
        ToolError: there is nothing of that name, or it leaves the workspace.
    """
    resolved = resolve_inside(workspace, path or ".")
    if not resolved.exists():
        raise ToolError(f"there is no folder {path!r}. Name none to search the whole workspace.")
    relative = relative_path(workspace, resolved)
    return relative, list_files(workspace, relative)
