"""Removing runs, with their worktrees. Used by `flow runs rm`."""

from __future__ import annotations

from .lease import take_lease
from .node_worktrees import forget, visit_worktrees, worktrees_folder
from .store import RunRow, RunStore
from .worktrees import Worktree, require_saved


def require_removable(store: RunStore, row: RunRow) -> None:
    """Return when nothing but the run itself would be lost.

    Raises:
        UsageError: a worktree of it holds changes that are in no commit.
    """
    for worktree in _worktrees(store, row):
        require_saved(worktree, row.id)


def remove_run(store: RunStore, row: RunRow) -> str:
    """Remove the run with all that is stored of it, and its worktrees with all that is in them.

    Returns:
        What was kept, in one line: branches with commits that are nowhere else. "" = nothing.

    Raises:
        UsageError: a process works on it, or git cannot remove a worktree.
    """
    from ..tools.background_jobs import stop_all

    with take_lease(store, row, workspace=False):
        stop_all(store.jobs_folder(row.id))
        kept = [worktree.branch for worktree in _worktrees(store, row) if not worktree.remove()]
        forget(worktrees_folder(store), row.id)
        store.remove_run(row.id)
    if len(kept) > 1:
        return f"The branches {', '.join(kept)} were kept: they have commits that are on no other one."
    return f"The branch {kept[0]} was kept: it has commits that are on no other one." if kept else ""


def _worktrees(store: RunStore, row: RunRow) -> list[Worktree]:
    """Return the worktrees of the run's visits and, last since those may be made from it, its own."""
    own = Worktree.of(row)
    return [*visit_worktrees(worktrees_folder(store), row.id), *([] if own is None else [own])]
