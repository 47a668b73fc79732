"""Which documents may not be shown: those that a project denies, and those whose files are gone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .files import Denials


class DeniedPaths:
    """Which absolute paths the denial files of a workspace name.

    Raises:
        UsageError: one of the files cannot be used.
    """

    def __init__(self, workspace: Path) -> None:
        self._root = f"{workspace.resolve()}{os.sep}"
        self._denials = Denials(workspace)

    def reason(self, path: str) -> str:
        """Return why a path is denied; "" = it is not, or lies elsewhere."""
        if not path.startswith(self._root):
            return ""
        name = self._denials.denied_by(path[len(self._root) :].replace(os.sep, "/"))
        return f"denied by {name}" if name else ""


def still_there(path: str) -> os.stat_result | None:
    """Return the stat of a document's file; None = it is gone, or no regular file any more."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return info if stat.S_ISREG(info.st_mode) else None
