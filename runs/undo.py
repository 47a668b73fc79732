"""Taking back what runs did: the last commit of flow, or the files that a run without commits wrote.

Used by `flow undo`. Everything is looked at before anything is changed, and what was done in part is done again:
a killed undo is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..core.errors import UsageError
from ..core.events import TakenBack
from ..tools.commit import asked
from .git import GitFolder
from .lease import require_free_workspace, take_lease
from .made_commits import MadeCommit, found_in, made_commits
from .store import RunRow, RunStore
from .undo_commit import CommitUndo, plan_commit_undo
from .undo_files import FilesUndo, plan_files_undo

Undo = CommitUndo | FilesUndo

_RUNS_LOOKED_AT = 50
"""How many runs back something to undo is looked for where no run is named."""


class Target(NamedTuple):
    """What is to be undone: a commit of the run, or its files (None); `folder` is the checkout."""

    row: RunRow
    folder: Path
    commit: MadeCommit | None


def plan_undo(store: RunStore, workspace: Path, ref: str = "") -> tuple[Target, Undo]:
    """Return what `flow undo` takes back next, and how.

    Args:
        workspace: where it was called.
        ref: names a run; "" = the last thing that flow did in this workspace.

    Raises:
        UsageError: there is nothing to take back, or it cannot be done without touching anything else.
    """
    target = _of_run(store, store.find_run(ref, workspace)) if ref else _last(store, workspace)
    undo = _planned(store, target)
    if not undo.files and isinstance(undo, FilesUndo):
        raise UsageError(
            f"Run {target.row.id} left nothing to take back.", hint="`flow runs show` tells what it did."
        )
    return target, undo


def apply_undo(store: RunStore, target: Target, undo: Undo) -> None:
    """Do what was planned, while no run can work in the checkout.

    Raises:
        UsageError: a process works on the run or in its checkout, something has changed since it was planned, or a
            file or git refused.
    """
    hint = "Take back nothing while it works: wait for it, or stop that process."
    require_free_workspace(store, str(target.folder), hint=hint)
    with take_lease(store, target.row, hint=hint):
        if _planned(store, target) != undo:
            raise UsageError(
                "Something has changed in the meantime; nothing was done.", hint="Run `flow undo` again."
            )
        undo.apply()
        commit = undo.made.commit if isinstance(undo, CommitUndo) else ""
        store.append_event(target.row.id, "", TakenBack(commit, tuple(each.path for each in undo.files)))


def _planned(store: RunStore, target: Target) -> Undo:
    if target.commit is None:
        return plan_files_undo(store, target.row, target.folder)
    if GitFolder(target.folder).head() != target.commit.commit:
        raise UsageError("Another commit was made in the meantime; nothing was done.")
    return plan_commit_undo(store, target.row, target.folder, target.commit)


def _of_run(store: RunStore, row: RunRow) -> Target:
    folder = Path(row.folder)
    if not folder.is_dir():
        raise UsageError(f"The folder {str(folder)!r} of run {row.id} is gone.", hint="See `flow runs list`.")
    commits, head = made_commits(store, row.id), GitFolder(folder).head()
    at_head = next(_at_head(folder, commits, head), None)
    if at_head is not None or not commits:
        return Target(row, folder, at_head)
    if (kept := _in_history(folder, commits, head)) is not None:
        raise _not_last(folder, head, kept)
    raise UsageError(f"Run {row.id} has no commit left to take back.", hint="See `flow undo --list`.")


def _last(store: RunStore, workspace: Path) -> Target:
    GitFolder(workspace).require()
    head, every = GitFolder(workspace).head(), made_commits(store)
    for row in _runs_in(store, workspace):
        commits = [made for made in every if made.run_id == row.id]
        at_head = next(_at_head(workspace, commits, head), None)
        if at_head is not None:
            return Target(row, workspace, at_head)
        if (kept := _in_history(workspace, commits, head)) is not None:
            raise _not_last(workspace, head, kept)
        if commits or _is_taken_back(store, row):
            continue
        if plan_files_undo(store, row, workspace, committed_is_over=True).files:
            return Target(row, workspace, None)
    # Made in a worktree, and merged into this checkout since.
    if (merged := next(_at_head(workspace, every, head), None)) is not None:
        return Target(store.get_run(merged.run_id), workspace, merged)
    raise UsageError(
        f"There is nothing to take back in {str(workspace)!r}: {_named(workspace, head)} was not made by flow, and no"
        " run left changed files that are in no commit.",
        hint="`flow undo --list` shows the commits that flow made.",
    )


def _runs_in(store: RunStore, workspace: Path) -> Iterator[RunRow]:
    # A worktree's run belongs to the workspace it was started for, but works elsewhere.
    rows = (row for row in store.list_runs(None, -1) if row.folder == str(workspace))
    for _, row in zip(range(_RUNS_LOOKED_AT), rows, strict=False):
        yield row


def _is_taken_back(store: RunStore, row: RunRow) -> bool:
    """Tell whether the files of the run were put back and it has not gone on since."""
    events = store.query(
        "SELECT type FROM event WHERE run_id = ? AND type IN ('run_start', 'undo') ORDER BY seq DESC LIMIT 1",
        (row.id,),
    )
    return bool(events) and events[0]["type"] == "undo"


def _at_head(folder: Path, commits: list[MadeCommit], head: str) -> Iterator[MadeCommit]:
    return (made for made in (found_in(folder, each, head) for each in commits if head) if made is not None)


def _in_history(folder: Path, commits: list[MadeCommit], head: str) -> MadeCommit | None:
    """Return the newest of the commits that HEAD holds; None = none."""
    held = (made for made in commits if made.commit and head and is_in_history(folder, made.commit, head))
    return next(held, None)


def is_in_history(folder: Path, commit: str, head: str) -> bool:
    """Tell whether HEAD is the commit or stands upon it."""
    return asked(folder, "merge-base", "--is-ancestor", commit, head) is not None


def _not_last(folder: Path, head: str, made: MadeCommit) -> UsageError:
    return UsageError(
        f"{_named(folder, head)} came after the last commit of run {made.run_id} ({made.commit[:10]}"
        f" {made.subject!r}), and only the commit that is checked out can be taken back.",
        hint=f"`git revert {made.commit[:10]}` takes it back with a commit of its own.",
    )


def _named(folder: Path, head: str) -> str:
    subject = (asked(folder, "show", "--no-patch", "--encoding=UTF-8", "--format=%s", head) or "").strip()
    return f"the commit {head[:10]} {subject!r}" if head else "the branch without a commit"
