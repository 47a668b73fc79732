"""Removing runs, with their worktrees. Used by `flow runs rm`."""

from __future__ import annotations

from .lease import take_lease
from .store import RunRow, RunStore
from .worktrees import Worktree, require_saved


def require_removable(row: RunRow) -> None:
    """Return when nothing but the run itself would be lost.

    Raises:
        UsageError: its worktree holds changes that are in no commit.
    """
    if (worktree := Worktree.of(row)) is not None:
        require_saved(worktree, row.id)


def remove_run(store: RunStore, row: RunRow) -> str:
    """Remove the run with all that is stored of it, and its worktree with all that is in it.

    Returns:
        What was kept, in one line: a branch with commits that are nowhere else. "" = nothing.

    Raises:
        UsageError: a process works on it, or git cannot remove the worktree.
    """
    from ..tools.background_jobs import stop_all

    with take_lease(store, row, workspace=False):
        stop_all(store.jobs_folder(row.id))
        worktree = Worktree.of(row)
        is_gone = worktree is None or worktree.remove()
        store.remove_run(row.id)
    if worktree is None or is_gone:
        return ""
    return f"The branch {worktree.branch} was kept: it has commits that are on no other one."
