"""Leases: the right of one process to work on a run, and of one run to change a workspace.

Taken by app/ before a run starts or goes on. A lease lasts half a minute and is renewed by a thread. The database
itself enforces it (runs/fence.py), so a process that stood still cannot write once its lease is over.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple

from ..core.errors import FlowError, UsageError
from .fence import LeaseLost
from .rows import RunRow, is_alive, this_host, this_process
from .store import RunStore

_LOG = logging.getLogger(__name__)
_RETRY_S = 1.0
"""Pause after a renewal that the database refused (busy, disk full)."""

Kind = Literal["run", "workspace"]

# One statement, so that of several processes exactly one gets through. `:gone` is the epoch of a holder that was
# found dead; had another process taken the lease since, its epoch would be a later one.
_TAKE = """
INSERT INTO lease (kind, name, run_id, owner, host, pid, process_start, epoch, taken_at, expires_at)
VALUES (:kind, :name, :run_id, :owner, :host, :pid, :process_start, 1, :now, :now + :lease_s)
ON CONFLICT (kind, name) DO UPDATE SET
    run_id = excluded.run_id, owner = excluded.owner, host = excluded.host, pid = excluded.pid,
    process_start = excluded.process_start, epoch = lease.epoch + 1, taken_at = excluded.taken_at,
    expires_at = excluded.expires_at
WHERE lease.expires_at <= :now OR lease.epoch = :gone
"""


class Timing(NamedTuple):
    """Seconds that a lease lasts, and between two renewals."""

    lease_s: float = 30.0
    renew_s: float = 10.0


TIMING = Timing()


@dataclass(frozen=True, slots=True)
class Lease:
    """A stored lease.

    Attributes:
        kind, name: "run" and its id, or "workspace" and its folder.
        run_id: the run that it was taken for.
        owner: a random name that no other taking has.
        epoch: counts the takings of this name.
        taken_at, expires_at: seconds since 1970 by the machines' clocks; `expires_at` 0 = given back.
    """

    kind: str
    name: str
    run_id: str
    owner: str
    host: str
    pid: int
    process_start: str
    epoch: int
    taken_at: float
    expires_at: float

    def holder(self) -> str:
        """Return who holds it, for a message."""
        return f"process {self.pid} on {self.host!r}"


def find_lease(store: RunStore, kind: Kind, name: str) -> Lease | None:
    """Return the lease as it is stored, held or not; None = it was never taken."""
    rows = store.query("SELECT * FROM lease WHERE kind = ? AND name = ?", (kind, name))
    return Lease(**dict(rows[0])) if rows else None


def is_held(lease: Lease, now: float) -> bool:
    """Return whether the lease keeps others off: it has not run out, and its process is not known to be dead."""
    return lease.expires_at > now and is_alive(lease, this_host())


def require_free_workspace(store: RunStore, folder: str, *, hint: str) -> None:
    """Return when no run holds the workspace now; only taking it makes sure.

    Raises:
        UsageError: one does; the message names it and ends with the hint.
    """
    lease = find_lease(store, "workspace", folder)
    if lease is not None and is_held(lease, time.time()):
        raise _held(lease, hint, time.time())


def take_lease(
    store: RunStore,
    row: RunRow,
    *,
    on_lost: Callable[[], None] | None = None,
    timing: Timing = TIMING,
    hint: str = "",
    workspace: bool = True,
) -> RunLease:
    """Return the lease on a run, and on the folder it works in unless the run only plans. Use it in a `with`.

    From here on only this store, and connections that share its fence, may write to the run. Inside a `change` of the
    store it is taken, or not, together with the rest of it.

    Args:
        on_lost: called from another thread when the lease is lost while it is being renewed.
        hint: what to do when another run holds the workspace; "" = wait for it.
        workspace: False = the run alone, nothing is going to be changed in its folder.

    Raises:
        UsageError: another process holds the run, or another run the workspace; nothing was changed.
    """
    names: list[tuple[Kind, str]] = [("run", row.id)]
    if workspace and row.options.get("mode") != "plan":
        names.append(("workspace", row.folder))
    owner = secrets.token_hex(8)
    until = store.fence.now() + timing.lease_s
    with store.change() as db:
        taking = _Taking(store, db, row.id, owner, timing, hint)
        epoch, *_ = [_take(taking, kind, name) for kind, name in names]
    store.fence.hold(row.id, epoch, until)
    return RunLease(store, row.id, owner, len(names), timing, on_lost)


class _Taking(NamedTuple):
    store: RunStore
    db: sqlite3.Connection
    run_id: str
    owner: str
    timing: Timing
    hint: str = ""


def _take(taking: _Taking, kind: Kind, name: str) -> int:
    """Return the epoch of the lease, now taken.

    Raises:
        UsageError: another one holds it.
    """
    now = time.time()
    before = find_lease(taking.store, kind, name)
    values = {
        "kind": kind,
        "name": name,
        "run_id": taking.run_id,
        "owner": taking.owner,
        **this_process(),
        "now": now,
        "lease_s": taking.timing.lease_s,
        "gone": before.epoch if before is not None and not is_held(before, now) else -1,
    }
    taken = taking.db.execute(_TAKE, values)
    lease = find_lease(taking.store, kind, name)
    if lease is None:
        raise ValueError(f"the lease on {kind} {name!r} is not there after it was taken")
    if not taken.rowcount:
        raise _held(lease, taking.hint, now)
    return lease.epoch


def _held(lease: Lease, hint: str, now: float) -> UsageError:
    since = f"since {_duration(now - lease.taken_at)}"
    left = "" if lease.host == this_host() else f" If that machine is gone: in {_duration(lease.expires_at - now)}."
    if lease.kind == "run":
        return UsageError(
            f"Run {lease.name} is being worked on by {lease.holder()} {since}.",
            hint=f"Wait for it, or stop that process.{left}",
        )
    return UsageError(
        f"Run {lease.run_id} may be changing {lease.name!r}: {lease.holder()} works on it {since}.",
        hint=f"{hint or 'Wait for it, or stop that process.'}{left}",
    )


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    for size, unit in ((3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


class RunLease:
    """A lease that this process holds, renewed from `__enter__` to `__exit__`, which gives it back.

    Made by `take_lease` alone.
    """

    def __init__(
        self,
        store: RunStore,
        run_id: str,
        owner: str,
        count: int,
        timing: Timing,
        on_lost: Callable[[], None] | None,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._owner = owner
        self._count = count
        self._timing = timing
        self._on_lost = on_lost
        self._ended = threading.Event()
        # A thread, not a task: an event loop that is blocked (a person is asked, a model is loaded) must not lose it.
        self._heartbeat = threading.Thread(target=self._beat, name=f"lease {run_id}", daemon=True)

    def check(self) -> None:
        """Return when the run still is this process's: to be asked right before something happens outside of it.

        Raises:
            LeaseLost: it is not.
        """
        held = self._store.query("SELECT count(*) FROM lease WHERE owner = ?", (self._owner,))[0][0]
        if held != self._count or self._store.fence.epoch(self._run_id) is None:
            raise self._lost()

    def __enter__(self) -> RunLease:
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._heartbeat.join()
        lost = self._lost() if isinstance(err, LeaseLost) else None
        self._give_back()
        if lost is not None:
            raise lost from err

    def _give_back(self) -> None:
        self._store.fence.drop(self._run_id)
        try:
            with self._store.change() as db:
                db.execute("UPDATE lease SET expires_at = 0 WHERE owner = ?", (self._owner,))
        except FlowError as err:
            # It ends with this process, or by itself; how the run ended must not be hidden by it.
            _LOG.info("the lease on run %s was not given back: %s", self._run_id, err)

    def _lost(self) -> LeaseLost:
        now = find_lease(self._store, "run", self._run_id)
        if now is None:
            return LeaseLost(f"Run {self._run_id} was removed while this process stood still; it ends here.")
        if now.owner != self._owner:
            return LeaseLost(
                f"Run {self._run_id} was taken over by {now.holder()} while this process stood still; it has written"
                " nothing since and ends here.",
                hint=f"See how it goes on: `flow runs show {self._run_id}`.",
            )
        return LeaseLost(
            f"Run {self._run_id}: this process stood still for longer than its lease of"
            f" {self._timing.lease_s:g} s; it writes nothing more and ends here.",
            hint=f"Go on with `flow resume {self._run_id}`.",
        )

    def _beat(self) -> None:
        pause = self._timing.renew_s
        while not self._ended.wait(pause):
            try:
                renewed = self._renew()
            except sqlite3.Error as err:
                _LOG.info("the lease on run %s was not renewed: %s", self._run_id, err)
                pause = min(_RETRY_S, self._timing.renew_s)
                continue
            if not renewed:
                self._store.fence.drop(self._run_id)
                if self._on_lost is not None:
                    self._on_lost()
                return
            pause = self._timing.renew_s

    def _renew(self) -> bool:
        """Return whether the lease goes on; False = it ran out, or was taken."""
        fence = self._store.fence
        began = fence.now()
        epoch = fence.epoch(self._run_id)
        if epoch is None:
            return False
        # A connection of its own, which no write of the run can keep waiting; a lease needs no sync to the disk.
        path = f"{self._store.path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(path, timeout=self._timing.renew_s, isolation_level=None, uri=True)) as db:
            db.execute("PRAGMA synchronous = NORMAL")
            done = db.execute(
                "UPDATE lease SET expires_at = ? WHERE owner = ?", (time.time() + self._timing.lease_s, self._owner)
            )
        if done.rowcount != self._count:
            return False
        fence.hold(self._run_id, epoch, began + self._timing.lease_s)
        return True
