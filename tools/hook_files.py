"""The git hooks of a repository: where they are, what belongs to them, and which of them a commit runs.

Asked by `flow trust`, which shows them, and by commit.py, which has the trusted ones run.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..configs.project_files import ProjectFile, read_project_file
from ..core.ports import HookTrust
from .git_folders import HookFolders, Repository, read_repository

COMMIT_EVENTS = ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit")
"""The events of a commit, in their order. Hooks of other events are never run."""
MAX_PARTS = 50
"""Files that may belong to one hook."""
MAX_LISTED = 500

_HUSKY = ".husky"
_NO_PROGRAMS = (".sample", ".md", ".gitignore")


class CommitHooks(NamedTuple):
    """What a commit runs on the way.

    Attributes:
        folder: absolute, where git looks for hooks.
        events: those whose hooks are trusted, in the order in which they run.
        files: by absolute path the trusted content of each file of theirs.
        left_out: events that have a hook which is not trusted.
    """

    folder: Path
    events: tuple[str, ...]
    files: dict[Path, bytes]
    left_out: tuple[str, ...]

    def ids(self, algorithm: str) -> list[str]:
        """Return git's hash of each of the files, as `git hash-object` gives it; "sha1" or "sha256"."""
        return [
            hashlib.new(algorithm, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            for content in self.files.values()
        ]

    def needed(self) -> tuple[str, ...]:
        """Return where the files are, and where links of that name lead."""
        return tuple(dict.fromkeys(place for path in self.files for place in (str(path), os.path.realpath(path))))


def commit_hooks(workspace: Path, trust: HookTrust | None) -> CommitHooks | None:
    """Return the hooks that git would run for a commit, parted by whether they are trusted; None = there are none.

    A hook is trusted when it is so itself and with all that belongs to it; what cannot be read is not.

    Args:
        trust: None = nothing is trusted.
    """
    folder = _folder_in_force(read_repository(workspace, HookFolders()))
    if folder is None:
        return None
    events: list[str] = []
    left_out: list[str] = []
    files: dict[Path, bytes] = {}
    for event in COMMIT_EVENTS:
        hook = folder / event
        if not (hook.is_file() and os.access(hook, os.X_OK)):  # git passes over it as well
            continue
        trusted = _trusted(hook, trust)
        (events if trusted else left_out).append(event)
        files |= trusted
    return CommitHooks(folder, tuple(events), files, tuple(left_out)) if events or left_out else None


def _trusted(hook: Path, trust: HookTrust | None) -> dict[Path, bytes]:
    """Return the contents of a hook and of what belongs to it; {} = not all of that is trusted."""
    parts = hook_parts(hook)
    if trust is None or len(parts) > MAX_PARTS or any("\n" in str(path) for path in parts):
        return {}
    try:
        contents = {path: read_project_file(path) for path in parts}
    except OSError:
        return {}
    return contents if all(trust.covers(path, content) for path, content in contents.items()) else {}


def hook_parts(hook: Path) -> list[Path]:
    """Return the hook and the files that belong to it: those beside it which it names, or which have its name.

    Beside it are its own folder, `_` in that and HOOK.d; of `.husky/_/HOOK` also `.husky/HOOK`. What else it starts
    is not a part of it.
    """
    folder, event = hook.parent, hook.name
    parts = [hook]
    if folder.name == "_" and (folder.parent / event).is_file():
        parts.append(folder.parent / event)
    parts += _files(folder / f"{event}.d")
    beside = [path for inner in (folder, folder / "_") for path in _files(inner) if path.name not in COMMIT_EVENTS]
    parts += [path for path in beside if path.name.startswith((f"{event}.", f"{event}-"))]
    for path in parts:  # grows meanwhile
        if len(parts) > MAX_PARTS:
            break
        words = _words(path)
        parts += [other for other in beside if other.name in words and other not in parts]
    return parts


def hook_files(workspace: Path) -> list[ProjectFile]:
    """Return the programs that git would run on its own, and what belongs to them, sorted by path.

    They are those of the repository's folder for hooks, of the folder that the settings name in place of it, and of
    husky. Only what a commit would run now acts once it is trusted.
    """
    repository = read_repository(workspace, HookFolders())
    in_force = _folder_in_force(repository)
    acting: set[Path] = set()
    if in_force is not None:
        hooks = [path for path in _programs(in_force) if path.name in COMMIT_EVENTS and os.access(path, os.X_OK)]
        acting = {part for hook in hooks for part in hook_parts(hook)}
    folders = [*(folder / "hooks" for folder in repository.folders), in_force, workspace / _HUSKY]
    found = {*acting, *(path for folder in folders if folder is not None for path in _programs(folder))}
    return [ProjectFile(path, "hook", acts=path in acting) for path in sorted(found)[:MAX_LISTED]]


def _folder_in_force(repository: Repository) -> Path | None:
    if repository.hooks is not None:
        return repository.hooks
    return repository.folders[-1] / "hooks" if repository.folders else None


def _programs(folder: Path) -> Iterator[Path]:
    for path in _files(folder):
        # husky's own are read by a shell and need not be executable.
        if folder.name == _HUSKY or os.access(path, os.X_OK):
            yield path


def _files(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())[:MAX_LISTED]
    except OSError:
        return []
    return [path for path in paths if path.is_file() and path.suffix not in _NO_PROGRAMS]


def _words(path: Path) -> frozenset[str]:
    """Return everything in a file that could be a file's name; nothing of one that cannot be read."""
    try:
        text = read_project_file(path).decode("utf-8", "replace")
    except OSError:
        return frozenset()
    return frozenset(re.findall(r"[\w.-]+", text))
