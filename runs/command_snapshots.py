"""Snapshots around a run's commands: one before each, put back when a cut-short command is to run again.

Built in app/compose.py; its methods are hooks of the effect runner. A snapshot that fails is told, never passed over.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from ..core.effects import Command
from ..core.errors import FlowError
from ..core.ports import CallRef
from .shadow_git import GitTimedOut
from .snapshots import Restored, SnapshotRefused, Snapshots

_SHOWN = 5


class CallTrees(Protocol):
    """Where the snapshot of each call is kept; the run's journal."""

    def note_tree(self, ref: CallRef, tree: str) -> None: ...

    def tree_before(self, ref: CallRef) -> str | None: ...

    def began_later(self, ref: CallRef) -> bool: ...


class CommandSnapshots:
    """Takes and restores the snapshots of one run.

    Args:
        notify: told one line for people, from the event loop's thread.
        keep: how many snapshots of the workspace stay.
        required: whether a command without a snapshot must not run.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        calls: CallTrees,
        notify: Callable[[str], None],
        *,
        keep: int,
        required: bool = False,
    ) -> None:
        self._snapshots = snapshots
        self._calls = calls
        self._notify = notify
        self._keep = keep
        self._required = required
        self._off = False
        self._told: set[str] = set()

    def warm_up(self) -> None:
        """Read the workspace in the background, so that the first command does not wait for it."""
        # A daemon: a run that ends before need not wait; a git left over goes on and holds the store's lock.
        threading.Thread(target=self._read_ahead, name="snapshot", daemon=True).start()

    def _read_ahead(self) -> None:
        # Whatever fails here fails for the first command as well, and is told then.
        with suppress(FlowError):
            self._snapshots.take("start of the run")
            if len(self._snapshots.kept()) > self._keep + self._keep // 4:
                self._snapshots.prune(self._keep)

    async def before(self, ref: CallRef, command: Command) -> None:
        """Take a snapshot and note it with the call.

        Raises:
            FlowError: it can not be taken, and commands must not run without one.
        """
        if self._off:
            return
        try:
            taken = await asyncio.to_thread(self._snapshots.take, f"before: {command.argv[-1]}")
        except FlowError as err:
            if self._required:
                raise
            # These two would fail, and take their time, before every command.
            self._off = isinstance(err, (SnapshotRefused, GitTimedOut))
            self._notify(f"This command runs without a snapshot of the files. {err}")
            return
        self._calls.note_tree(ref, taken.tree)
        self._tell_skipped(taken.skipped)

    async def restore(self, ref: CallRef) -> bool:
        """Put the workspace back to what it was before the call; False = that is not possible, or not wholly.

        It is not when something else of the run has begun since: that would be undone with it.
        """
        tree = self._calls.tree_before(ref)
        if tree is None or self._calls.began_later(ref):
            return False
        try:
            restored = await asyncio.to_thread(self._snapshots.restore, tree)
        except FlowError as err:
            self._notify(f"The files could not be put back to what they were before the command. {err}")
            return False
        self._tell_restored(restored)
        return not restored.left

    def _tell_skipped(self, skipped: Mapping[str, str]) -> None:
        if new := sorted(skipped.keys() - self._told):
            self._told.update(new)
            shown = _listed(f"{path} ({skipped[path]})" for path in new)
            self._notify(f"Snapshots leave these files out: {shown}.")

    def _tell_restored(self, restored: Restored) -> None:
        if restored.changes:
            shown = _listed(change.path for change in restored.changes)
            self._notify(
                f"Put back to what they were before the command: {shown}."
                f" How they were until now is kept as snapshot {restored.safety[:12]}."
            )
        if restored.left:
            shown = _listed(f"{left.path} ({left.reason})" for left in restored.left)
            self._notify(f"Could not be put back: {shown}.")


def _listed(items: Iterable[str]) -> str:
    every = list(items)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
