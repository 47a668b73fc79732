"""The run database: one SQLite file with every run's row, events, questions, grants and journal.

The checkpoints of LangGraph's saver lie in the same file, through a connection of its own. Used by the runner, the
journal, the limits and the commands that list and show runs; imports nothing heavy.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core.errors import FlowError, UsageError
from ..core.events import Event, EventRecord, event_data
from ..core.questions import Answer, Question
from .fence import SAVER_TABLES, Fence, lost_when_refused
from .rows import (
    RUN_FIELDS,
    RunRow,
    RunUsage,
    column,
    event_record,
    run_row,
    shown_status,
    tally,
    this_process,
    to_json,
)
from .schema import open_database

__all__ = ["RunRow", "RunStore", "RunUsage", "shown_status"]

_OWN_TABLES = ("event", "question", "run_grant", "tool_call", "reply", "visit_end")
_UPDATABLE = frozenset(RUN_FIELDS) - {"id", "created_at", "updated_at"}


def now_utc() -> datetime:
    """Return the present time, in UTC."""
    return datetime.now(UTC)


def new_run_id() -> str:
    """Return an id for a run that is about to be created."""
    return base64.b32encode(secrets.token_bytes(5)).decode().lower()


class RunStore:
    """All runs of one data directory.

    One connection, used by any thread under a lock: the event loop and workers of `asyncio.to_thread` share the
    store. Each method is one transaction and is on disk when it returns. Close it, or use it in a `with`.

    Args:
        path: the database file; it and its folder are made when absent, for the owner only.
        now: the clock for every time that is stored.

    Raises:
        UsageError: the file was written by a newer Flowloom, or is no run database.
        FlowError: (from every method) the database cannot be read or written.
        LeaseLost: (from every method that writes to a run) another process holds it; nothing was written.

    Attributes:
        fence: the runs that may be written through this store; runs/lease.py fills it.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = now_utc, fence: Fence | None = None) -> None:
        self.path = path
        self.fence = fence or Fence()
        self._now = now
        self._lock = threading.RLock()
        self._connection = open_database(path, self.fence)

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        with self._lock:
            self._connection.close()

    def timestamp(self) -> str:
        """Return the present time as it is stored: UTC, ISO 8601, microseconds."""
        return self._now().astimezone(UTC).isoformat(timespec="microseconds")

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one write transaction: committed at the end, undone by any exception.

        Inside another `change` of the same thread it belongs to that one.
        """
        with self._lock, self._explained():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows of one reading statement."""
        with self._lock, self._explained():
            return self._connection.execute(sql, values).fetchall()

    def blobs_folder(self, run_id: str) -> Path:
        """Return where the run's blobs lie; it need not exist."""
        return self.path.parent / "blobs" / run_id

    def jobs_folder(self, run_id: str) -> Path:
        """Return where the run's commands lie, those in the background too; it need not exist."""
        return self.blobs_folder(run_id) / "jobs"

    def create_run(
        self,
        *,
        graph: str,
        graph_source: str,
        graph_text: str,
        fingerprint: str,
        input: dict[str, Any],
        options: dict[str, Any],
        workspace: Path | str,
        title: str = "",
        baseline: dict[str, Any] | None = None,
        run_id: str = "",
    ) -> RunRow:
        """Return the new run, running in this process; its row is on disk before any step of it can be.

        Args:
            run_id: what `new_run_id` gave; "" = a new one.
        """
        at = self.timestamp()
        row = RunRow(
            id=run_id or new_run_id(),
            graph=graph,
            graph_source=graph_source,
            graph_text=graph_text,
            fingerprint=fingerprint,
            input=input,
            options=options,
            workspace=str(workspace),
            title=title,
            status="running",
            exit_code=None,
            message="",
            output=None,
            created_at=at,
            updated_at=at,
            baseline=baseline or {},
            **this_process(),
        )
        values = [column(name, getattr(row, name)) for name in RUN_FIELDS]
        marks = ", ".join("?" * len(values))
        with self.change() as db:
            db.execute(f"INSERT INTO run ({', '.join(RUN_FIELDS)}) VALUES ({marks})", values)
        return row

    def update_run(self, run_id: str, **fields: Any) -> RunRow:
        """Return the run after setting these fields of its row.

        Raises:
            TypeError: a field that a row does not have or that never changes.
            UsageError: no such run.
        """
        if unknown := sorted(set(fields) - _UPDATABLE):
            raise TypeError(f"a run has no changeable fields {unknown}")
        names = [*fields, "updated_at"]
        values = [column(name, value) for name, value in fields.items()]
        with self.change() as db:
            done = db.execute(
                f"UPDATE run SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?",
                [*values, self.timestamp(), run_id],
            )
            if not done.rowcount:
                raise _no_run(run_id)
        return self.get_run(run_id)

    def claim_run(self, run_id: str) -> RunRow:
        """Return the run, now running in this process, which has taken its lease before.

        Raises:
            UsageError: no such run.
        """
        return self.update_run(run_id, status="running", **this_process())

    def get_run(self, run_id: str) -> RunRow:
        """Return the run with exactly this id.

        Raises:
            UsageError: no such run.
        """
        rows = self.query("SELECT * FROM run WHERE id = ?", (run_id,))
        if not rows:
            raise _no_run(run_id)
        return run_row(rows[0])

    def find_run(self, ref: str, workspace: Path | str | None = None) -> RunRow:
        """Return the run that a person named.

        Args:
            ref: an id, a prefix that only one run has, or "last" for the newest.
            workspace: "last" looks here only; None = everywhere.

        Raises:
            UsageError: no run, or several, go by that name; the message lists the ones it could be.
        """
        if ref == "last":
            newest = self.list_runs(workspace, 1)
            if not newest:
                raise UsageError(f"There is no run in {str(workspace)!r} yet.", hint="See `flow runs list --all`.")
            return newest[0]
        wanted = ref.lower()
        rows = [r for r in map(run_row, self._newest(None, -1)) if wanted and r.id.startswith(wanted)]
        if not rows:
            raise _no_run(ref)
        if len(rows) > 1:
            found = ", ".join(f"{row.id} ({row.graph}, {row.created_at[:16]})" for row in rows[:8])
            raise UsageError(f"{ref!r} names {len(rows)} runs: {found}.", hint="Give more letters.")
        return rows[0]

    def list_runs(self, workspace: Path | str | None, limit: int = 20) -> list[RunRow]:
        """Return runs, newest first; workspace None = of every workspace, limit -1 = all."""
        return [run_row(row) for row in self._newest(workspace, limit)]

    def _newest(self, workspace: Path | str | None, limit: int) -> list[sqlite3.Row]:
        where, values = ("", []) if workspace is None else ("WHERE workspace = ?", [str(workspace)])
        return self.query(f"SELECT * FROM run {where} ORDER BY created_at DESC, rowid DESC LIMIT ?", [*values, limit])

    def remove_run(self, run_id: str) -> None:
        """Forget the run: its rows, its checkpoints and its blobs. The workspace is not touched.

        The caller holds its lease (see runs/removal.py).

        Raises:
            UsageError: no such run.
        """
        with self.change() as db:
            self.get_run(run_id)
            names = {r["name"] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in _OWN_TABLES:
                db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
            for table in names.intersection((*SAVER_TABLES, "checkpoint_item")):
                db.execute(f"DELETE FROM {table} WHERE thread_id = ?", (run_id,))
            db.execute("DELETE FROM run WHERE id = ?", (run_id,))
            # Last: without its lease nobody could have deleted the rest.
            db.execute("DELETE FROM lease WHERE run_id = ?", (run_id,))
        folder = self.blobs_folder(run_id)
        if folder.exists():
            shutil.rmtree(folder)

    def append_event(self, run_id: str, node: str, event: Event) -> EventRecord:
        """Return the event as stored, with the next number of its run."""
        data = event_data(event)
        with self.change() as db:
            last = db.execute("SELECT coalesce(max(seq), 0) FROM event WHERE run_id = ?", (run_id,)).fetchone()[0]
            record = EventRecord(run_id, last + 1, self.timestamp(), node, event.type, data)
            db.execute(
                "INSERT INTO event (run_id, seq, at, node, type, data, v) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run_id, record.seq, record.at, node, record.type, to_json(data), record.v),
            )
        return record

    def events(self, run_id: str, after: int = 0) -> list[EventRecord]:
        """Return the run's events with a number above `after`, in order."""
        rows = self.query("SELECT * FROM event WHERE run_id = ? AND seq > ? ORDER BY seq", (run_id, after))
        return [event_record(row) for row in rows]

    def usage(self, run_id: str) -> RunUsage:
        """Return what the run has used so far, over all its processes."""
        return tally(self.events(run_id))

    def open_question(self, run_id: str, question: Question) -> bool:
        """Store a question under its id; return False when it was there already (a node that runs again asks again).

        Raises:
            ValueError: the question has no id.
        """
        if not question.id:
            raise ValueError("a question is stored under its id; this one has none")
        with self.change() as db:
            done = db.execute(
                "INSERT OR IGNORE INTO question (run_id, id, body, asked_at) VALUES (?, ?, ?, ?)",
                (run_id, question.id, to_json(question.to_dict()), self.timestamp()),
            )
            return done.rowcount > 0

    def questions(self, run_id: str, open_only: bool = True) -> list[Question]:
        """Return the run's questions in the order they were asked."""
        where = "AND answer IS NULL" if open_only else ""
        rows = self.query(f"SELECT body FROM question WHERE run_id = ? {where} ORDER BY asked_at, rowid", (run_id,))
        return [Question.from_dict(json.loads(row["body"])) for row in rows]

    def answer_of(self, run_id: str, question_id: str) -> Answer | None:
        """Return the stored answer; None while the question is open or unknown."""
        rows = self.query("SELECT answer FROM question WHERE run_id = ? AND id = ?", (run_id, question_id))
        if not rows or rows[0]["answer"] is None:
            return None
        return Answer.from_dict(json.loads(rows[0]["answer"]))

    def close_question(self, run_id: str, question_id: str, answer: Answer) -> None:
        """Store the answer.

        Raises:
            UsageError: no such open question.
        """
        with self.change() as db:
            done = db.execute(
                "UPDATE question SET answer = ?, answered_by = ?, answered_at = ?"
                " WHERE run_id = ? AND id = ? AND answer IS NULL",
                (to_json(answer.to_dict()), answer.by, self.timestamp(), run_id, question_id),
            )
            if not done.rowcount:
                raise UsageError(
                    f"Run {run_id} has no open question {question_id!r}.", hint=f"See `flow runs show {run_id}`."
                )

    def grants(self, run_id: str) -> frozenset[str]:
        """Return what a person allowed for the whole run."""
        return frozenset(row["name"] for row in self.query("SELECT name FROM run_grant WHERE run_id = ?", (run_id,)))

    def add_grant(self, run_id: str, grant: str) -> None:
        """Store one more grant; one that is there already stays."""
        with self.change() as db:
            db.execute("INSERT OR IGNORE INTO run_grant (run_id, name) VALUES (?, ?)", (run_id, grant))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with lost_when_refused():
                yield
        except sqlite3.OperationalError as err:
            raise FlowError(
                f"The run database {str(self.path)!r} cannot be used: {err}.",
                hint="Check free space, permissions and other running `flow` processes, then try again.",
            ) from err


def _no_run(ref: str) -> UsageError:
    return UsageError(f"There is no run {ref!r}.", hint="See `flow runs list --all`.")
