"""Three versions of a text made one, by `git merge-file`: what somebody changed, and what an edit changes."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..core.errors import ToolError, UsageError
from ..core.git import run_git

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Merge:
    """`text`: both changes; where they overlap the edit's. `overlaps`: the overlaps with all versions; "" = none."""

    text: str
    overlaps: str


def merge(base: str, now: str, wanted: str) -> Merge:
    """Return `now` with the changes that lead from `base` to `wanted`.

    Args:
        base: what the edit was made for.
        now: what stands in the file.
        wanted: what the edit makes of `base`.

    Raises:
        ToolError: git is missing or fails.
    """
    with TemporaryDirectory(prefix="flow-merge-") as folder:
        paths = []
        for name, text in (("now", now), ("base", base), ("wanted", wanted)):
            path = Path(folder, name)
            path.write_bytes(text.encode())
            paths.append(path.name)
        names = ("-L", "in the file now", "-L", "as it was read", "-L", "the edit")
        both = _merge_file(folder, paths, "--diff3", *names)
        if both.returncode == 0:
            return Merge(both.stdout.decode(), "")
        return Merge(_merge_file(folder, paths, "--theirs").stdout.decode(), _overlaps(both.stdout.decode()))


def _merge_file(folder: str, paths: list[str], *options: str) -> subprocess.CompletedProcess[bytes]:
    try:
        done = run_git(Path(folder), "merge-file", "-p", "-q", *options, *paths, timeout_s=TIMEOUT_S)
    except UsageError as err:
        raise ToolError(
            f"the file changed since it was read and can not be merged: {err.message} Read it again."
        ) from err
    # The exit code counts the overlaps; git gives 128 and above for its own faults.
    if not 0 <= done.returncode < 128:
        said = done.stderr.decode(errors="replace").strip()
        raise ToolError(f"the file changed since it was read and can not be merged: {said}. Read it again.")
    return done


def _overlaps(text: str) -> str:
    """Return the marked overlaps of a merged text, without the lines that are not disputed."""
    shown: list[str] = []
    inside = False
    for line in text.splitlines():
        inside = inside or line.startswith("<<<<<<< ")
        if inside:
            shown.append(line)
        if line.startswith(">>>>>>> "):
            inside = False
    return "\n".join(shown)
