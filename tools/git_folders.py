"""Where a workspace's git data lies: in it, above it, or somewhere else as for a linked worktree.

Asked by sandbox_view.py, since commands need that data read-only, and nothing that only claims to be such data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..configs.workspace import find_workspace
from ..core.errors import UsageError
from ..core.git import run_git

_MAX_BYTES = 1_000_000
_WORKTREE = re.compile(r"^\s*worktree\s*=\s*(.+?)\s*$", re.MULTILINE)
_SUBMODULE = re.compile(r"^\s*path\s*=\s*(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Repository:
    """The git repository that a workspace is, or is part of.

    Attributes:
        root: the folder that holds `.git`; None = there is no repository.
        folders: existing git folders: the worktree's own and the common one, which mostly are the same.
        outer: those of `folders` that lie outside of the workspace.
        hooks: folder of the hooks that a setting names; None = none is set.
        submodules: workspace-relative posix paths.
    """

    root: Path | None = None
    folders: tuple[Path, ...] = ()
    outer: tuple[Path, ...] = ()
    hooks: Path | None = None
    submodules: tuple[str, ...] = ()


class HookFolders:
    """Where repositories keep their hooks by setting; git is asked again only when its settings have changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], Path | None]] = {}

    def of(self, root: Path, folders: Sequence[Path]) -> Path | None:
        """Return the folder that core.hooksPath names, which may not exist yet; None = it is not set."""
        files = [folder / name for folder in folders for name in ("config", "config.worktree")]
        times = tuple(_changed(path) for path in (*files, Path.home() / ".gitconfig"))
        known = self._known.get(root)
        if known is None or known[0] != times:
            known = self._known[root] = (times, _hooks(root))
        return known[1]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return 0


def read_repository(workspace: Path, hooks: HookFolders) -> Repository:
    """Return what git data there is for a resolved workspace.

    A `.git` file is followed only where the folder it names points back: the file could have come with an archive.
    """
    root = find_workspace(workspace)
    dot = root / ".git"
    if not dot.exists():
        return Repository(submodules=_submodules(workspace))
    folder = dot if dot.is_dir() else _named_by(dot)
    folders = () if folder is None else tuple(dict.fromkeys((folder, _common(folder))))
    return Repository(
        root=root,
        folders=folders,
        outer=tuple(path for path in folders if not path.is_relative_to(workspace)),
        hooks=hooks.of(root, folders) if folders else None,
        submodules=_submodules(workspace),
    )


def _named_by(dot: Path) -> Path | None:
    """Return the folder that a `.git` file names; None = it is no git folder of this very checkout."""
    kind, _, name = _text(dot).partition(":")
    if kind.strip() != "gitdir" or not name.strip():
        return None
    folder = Path(os.path.realpath(dot.parent / name.strip()))
    if not (folder / "HEAD").is_file():
        return None
    if back := _text(folder / "gitdir").strip():  # a linked worktree
        return folder if os.path.realpath(folder / back) == str(dot) else None
    match = _WORKTREE.search(_text(folder / "config"))  # a submodule
    return folder if match and os.path.realpath(folder / match[1]) == str(dot.parent) else None


def _common(folder: Path) -> Path:
    name = _text(folder / "commondir").strip()
    common = Path(os.path.realpath(folder / name)) if name else folder
    return common if folder.is_relative_to(common) and (common / "objects").is_dir() else folder


def _hooks(root: Path) -> Path | None:
    try:
        asked = run_git(root, "config", "--show-scope", "--null", "--type=path", "--get-all", "core.hooksPath")
    except UsageError:
        return None
    *parts, _ = os.fsdecode(asked.stdout).split("\0")
    # Our own setting, which switches hooks off, is of the scope "command".
    names = [name for scope, name in zip(parts[::2], parts[1::2], strict=True) if scope != "command"]
    return Path(os.path.normpath(root / names[-1])) if names else None


def _submodules(workspace: Path) -> tuple[str, ...]:
    names = [name.strip('"') for name in _SUBMODULE.findall(_text(workspace / ".gitmodules"))]
    inside = [name for name in names if not os.path.isabs(name) and ".." not in Path(name).parts and name != "."]
    return tuple(dict.fromkeys(inside))


def _text(path: Path) -> str:
    """Return a small file's text; "" = it is none."""
    try:
        with path.open("rb") as file:
            return os.fsdecode(file.read(_MAX_BYTES))
    except OSError:
        return ""
