"""Worktrees of single visits of a run, each with a branch of its own, which stays. Used by app/checkouts.py.

What is known of each lies in a file beside its folder, so that a run that goes on finds it, and `flow runs rm` too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..configs.dirs import write_private
from .store import RunStore
from .worktrees import Worktree

_NOT_IN_NAMES = re.compile(r"[^\w]+")


def worktrees_folder(store: RunStore) -> Path:
    """Return where worktrees lie; it need not exist."""
    return store.path.parent / "worktrees"


def visit_worktree(parent: Path, source: Path, run_id: str, visit: str) -> Worktree:
    """Return the worktree of a visit, made from the source's last commit where it is not there yet.

    One whose folder was removed is checked out again from its branch.

    Args:
        visit: label of the visit, such as "fix[3]#1".

    Raises:
        UsageError: the source has no commit, or git cannot.
    """
    record = _record(parent, run_id, visit)
    known = _read(record)
    if known is None:
        planned = Worktree.plan(source, parent, record.stem)
        planned.make()
        write_private(record, json.dumps({**planned.to_dict(), "source": str(source)}).encode())
        return planned
    if not known.is_there():
        known.make_again()
    return known


def visit_worktrees(parent: Path, run_id: str) -> Iterator[Worktree]:
    """Yield what is known of the worktrees of a run's visits, sorted by name; the folders may be gone."""
    for record in sorted(parent.glob(f"{run_id}-*.json")):
        if (known := _read(record)) is not None:
            yield known


def forget(parent: Path, run_id: str) -> None:
    """Remove what is known of them, and their indexes."""
    for worktree in visit_worktrees(parent, run_id):
        shutil.rmtree(index_folder(worktree), ignore_errors=True)
    for record in parent.glob(f"{run_id}-*.json"):
        record.unlink(missing_ok=True)


def index_folder(worktree: Worktree) -> Path:
    """Return where the index of what is in a worktree lies; it need not exist."""
    return worktree.folder.with_name(f"{worktree.folder.name}.index")


def _record(parent: Path, run_id: str, visit: str) -> Path:
    return parent / f"{run_id}-{_slug(visit)}.json"


def _slug(visit: str) -> str:
    """Return a label as a part of a branch's name: "fix[3]#1" is fix-3, "fix[3]#2" is fix-3-2."""
    path, _, number = visit.rpartition("#")
    words = _NOT_IN_NAMES.sub("-", path if number == "1" else f"{path}-{number}").strip("-")
    return words or "visit"


def _read(record: Path) -> Worktree | None:
    try:
        data = json.loads(record.read_bytes())
    except FileNotFoundError:
        return None
    return Worktree(Path(data["folder"]), data["branch"], data["commit"], Path(data["source"]))
