"""Names close to one that does not exist, so that a refusal can say what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from .listing import list_files

MAX_NEAR = 3


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that look like a name, best first."""
    return difflib.get_close_matches(name, list(known), n=MAX_NEAR, cutoff=0.6)


def near_files(workspace: Path, relative: str) -> list[str]:
    """Return up to three files that a path was probably meant to be: the same name elsewhere, then a like name."""
    files = list_files(workspace)
    wanted = PurePosixPath(relative)
    same = [path for path in files if PurePosixPath(path).name.casefold() == wanted.name.casefold()]
    if same:
        return sorted(same, key=lambda path: -_shared_parts(path, wanted))[:MAX_NEAR]
    beside = [path for path in files if PurePosixPath(path).parent == wanted.parent]
    return near_names(relative, beside) or near_names(relative, files[:5000])


def _shared_parts(path: str, wanted: PurePosixPath) -> int:
    return len(set(PurePosixPath(path).parts) & set(wanted.parts))


def did_you_mean(names: list[str]) -> str:
    """Return the sentence that offers near names, with a space before it; "" when there are none."""
    return f" Did you mean {' or '.join(repr(name) for name in names)}?" if names else ""
