"""Which files one agent visit changed, whoever of its tools did it. Called by the agent loop and nodes/agent.py."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from .deps import NodeDeps


def changed_contents(deps: NodeDeps) -> dict[str, str]:
    """Return the SHA-256 hex of every file that differs from before the run, by path; "" = it is gone."""
    workspace = deps.toolbox.workspace
    return {path: _content(workspace / path) for path in deps.changes.files()}


def changed_between(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths that changed from one `changed_contents` to a later one, sorted.

    A path in only one of them was as before the run at the other time, so it changed as well.
    """
    return tuple(sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path)))


def _content(path: Path) -> str:
    try:
        if path.is_symlink():
            return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except PermissionError:
        return "unreadable"
