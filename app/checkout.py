"""The checkout that a run works in: its workspace, or a worktree made for it. Used by app/run.py.

Settings, trust, graphs and the verify command are the workspace's in either case.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import FlowError
from ..runs.blobs import BlobStore
from ..runs.changes import baseline
from ..runs.git import GitFolder
from ..runs.store import RunRow, RunStore
from ..runs.worktrees import Worktree, next_steps, summary
from .context import AppContext, Watcher

if TYPE_CHECKING:
    from ..runs.runner import Outcome

WORKTREE_HINT = "Wait for it, or give this run a checkout of its own with --worktree."


def plan_worktree(context: AppContext, run_id: str) -> Worktree:
    """Return the worktree that a new run of this id is to have.

    Raises:
        UsageError: the workspace has no commit.
    """
    return Worktree.plan(context.workspace, context.dirs.data / "worktrees", run_id)


async def begin(store: RunStore, row: RunRow, watcher: Watcher) -> RunRow:
    """Make the run's worktree if it wants one, note how the checkout is before the run, and return the row with that.

    A start that was cut short is begun again: until the row knows the state before it, no step has run.

    Raises:
        UsageError: git cannot make the worktree.
    """
    if (worktree := Worktree.of(row)) is not None:
        await asyncio.to_thread(worktree.make)
        watcher.notice(_announced(worktree))
    blobs = BlobStore(store.blobs_folder(row.id))
    return store.update_run(row.id, baseline=await asyncio.to_thread(baseline, Path(row.folder), blobs))


async def begin_or_undo(store: RunStore, row: RunRow, watcher: Watcher) -> RunRow:
    """Do `begin` for a new run; when that fails, there is no run.

    Raises:
        FlowError: as `begin`.
    """
    try:
        return await begin(store, row, watcher)
    except FlowError:
        if (worktree := Worktree.of(row)) is not None and worktree.folder.exists():
            worktree.remove()
        store.remove_run(row.id)
        raise


async def continue_in(store: RunStore, row: RunRow, watcher: Watcher) -> RunRow:
    """Return the row of a run that goes on, its checkout being there.

    Raises:
        UsageError: its worktree is gone.
    """
    if not row.baseline:
        return await begin(store, row, watcher)
    if (worktree := Worktree.of(row)) is not None:
        worktree.require()
    return row


def left_in_worktree(row: RunRow, outcome: Outcome) -> str:
    """Return what is said at the end of a run with a worktree: where it is, and what may be done with it."""
    worktree = Worktree.of(row)
    if worktree is None or outcome.status not in ("done", "failed"):
        return ""
    state = worktree.state()
    facts = [("Worktree", str(worktree.folder)), ("Branch", summary(worktree, state))]
    steps = next_steps(worktree, state, row.id)
    return "\n".join(f"{what + ':':9} {text}" for what, text in [*facts, *steps])


def _announced(worktree: Worktree) -> str:
    left = len(GitFolder(worktree.source).dirty())
    files = f"the changes of {left} file{'s' if left > 1 else ''} in {str(worktree.source)!r} that no commit has"
    without = f", without {files}" if left else ""
    return f"The run works in {str(worktree.folder)!r}, from commit {worktree.commit[:10]}{without}."
