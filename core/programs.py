"""Where programs are looked for. Called once, where the command line begins."""

from __future__ import annotations

import os


def safe_path(path: str) -> str:
    """Return a PATH without its relative entries, or the system's own when nothing is left.

    An empty entry and "." name whatever folder is current: there a repository's own `git` would be started.
    """
    kept = [entry for entry in path.split(os.pathsep) if os.path.isabs(entry)]
    return os.pathsep.join(kept) or os.defpath.lstrip(os.pathsep)
