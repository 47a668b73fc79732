"""The journal of one run: every tool call with an effect, before and after. Used by the effect runner through the
port `Journal`, and by runs/changes.py for what was written."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any, NamedTuple

from ..core.effects import Command, FileWrite, ToolResult, effect_from_dict, effect_to_dict
from ..core.masking import SecretMask
from ..core.ports import Blobs, CallRef, JournalEntry
from ..tools.commit_script import COMMIT_NAME
from .rows import to_json
from .store import RunStore

# Beginning again keeps the first `pre_sha`: that is the file as it was before this call.
_BEGIN = """
INSERT INTO tool_call
    (run_id, agent, call_id, kind, path, effect, effect_sha, pre_sha, post_sha, state, began_at)
VALUES (:run_id, :agent, :call_id, :kind, :path, :effect, :effect_sha, :pre_sha, :post_sha, :state, :began_at)
ON CONFLICT (run_id, agent, call_id) DO UPDATE SET
    pre_sha = CASE WHEN path = excluded.path THEN pre_sha ELSE excluded.pre_sha END,
    kind = excluded.kind, path = excluded.path, effect = excluded.effect, effect_sha = excluded.effect_sha,
    post_sha = excluded.post_sha, began_at = excluded.began_at
"""


class Write(NamedTuple):
    """One journaled write of a file. `pre_sha` None = there was no file; both name blobs of the run."""

    path: str
    pre_sha: str | None
    post_sha: str


class Written(NamedTuple):
    """One file over all its journaled writes.

    Attributes:
        pre_sha: the content before the first of them; None = there was no file.
        left: contents that the last of them may have left (None = no file): two where it may not have happened.
    """

    pre_sha: str | None
    left: tuple[str | None, ...]


class RunJournal:
    """Implements the port `Journal` in the run database; contents go to the blobs first, so no row lacks them.

    An effect with a secret in it goes there as well, since it may have to happen after a kill, and the row shows it
    masked.

    Args:
        checkout: the visit that works in a checkout of its own, whose paths are other files; "" = none. What is told
            of writes and commands is told of one checkout alone.
    """

    def __init__(
        self, store: RunStore, run_id: str, blobs: Blobs, secrets: SecretMask | None = None, *, checkout: str = ""
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._blobs = blobs
        self._secrets = secrets or SecretMask()
        at = f"@{checkout}" if checkout else ""
        self._write, self._command = f"write{at}", f"command{at}"

    def find(self, ref: CallRef) -> JournalEntry | None:
        """Return what is known of the call; None = it never began."""
        rows = self._store.query(
            "SELECT state, effect, effect_sha, post_sha, result FROM tool_call"
            " WHERE run_id = ? AND agent = ? AND call_id = ?",
            (self._run_id, ref.agent, ref.call_id),
        )
        if not rows:
            return None
        row = rows[0]
        post = self._blobs.get(row["post_sha"]) if row["post_sha"] else b""
        result = None if row["result"] is None else ToolResult.from_dict(json.loads(row["result"]))
        effect = effect_from_dict(self._whole(json.loads(row["effect"])), post)
        return JournalEntry(ref, row["state"], row["effect_sha"], effect, result)

    def begin(self, ref: CallRef, effect: FileWrite | Command, pre: bytes | None) -> None:
        """Store the intent; it is on disk when this returns. A call that began before may begin again.

        Raises:
            ValueError: the call is done.
            FlowError: it cannot be stored; nothing may happen then.
        """
        pre_sha = None if pre is None else self._blobs.put(pre)
        post_sha = self._blobs.put(effect.post) if isinstance(effect, FileWrite) else None
        planned = effect_to_dict(effect)
        row = {
            "run_id": self._run_id,
            "agent": ref.agent,
            "call_id": ref.call_id,
            "kind": self._write if isinstance(effect, FileWrite) else self._command,
            "path": planned.get("path", ""),
            "effect": to_json(self._shown(planned)),
            "effect_sha": effect_sha(effect),
            "pre_sha": pre_sha,
            "post_sha": post_sha,
            "state": "intent",
            "began_at": self._store.timestamp(),
        }
        with self._store.change() as db:
            self._refuse_done(db, ref)
            db.execute(_BEGIN, row)

    def _shown(self, planned: dict[str, Any]) -> dict[str, Any]:
        masked: dict[str, Any] = self._secrets.mask_data(planned)
        return planned if masked == planned else {**masked, "whole": self._blobs.put(json.dumps(planned).encode())}

    def _whole(self, shown: dict[str, Any]) -> dict[str, Any]:
        whole: dict[str, Any] = json.loads(self._blobs.get(shown["whole"])) if "whole" in shown else shown
        return whole

    def finish(self, ref: CallRef, result: ToolResult) -> None:
        """Store what the call came to; it is on disk when this returns.

        Raises:
            ValueError: the call never began.
        """
        with self._store.change() as db:
            done = db.execute(
                "UPDATE tool_call SET state = 'done', result = ?, ended_at = ?"
                " WHERE run_id = ? AND agent = ? AND call_id = ?",
                (to_json(result.to_dict()), self._store.timestamp(), self._run_id, ref.agent, ref.call_id),
            )
            if not done.rowcount:
                raise ValueError(f"call {ref.call_id!r} of {ref.agent!r} ends without having begun")

    def note_tree(self, ref: CallRef, tree: str) -> None:
        """Store the snapshot taken before the call; it is on disk when this returns.

        Raises:
            ValueError: the call never began.
        """
        with self._store.change() as db:
            done = db.execute(
                "UPDATE tool_call SET pre_tree = ? WHERE run_id = ? AND agent = ? AND call_id = ?",
                (tree, self._run_id, ref.agent, ref.call_id),
            )
            if not done.rowcount:
                raise ValueError(f"call {ref.call_id!r} of {ref.agent!r} has a snapshot without having begun")

    def tree_before(self, ref: CallRef) -> str | None:
        """Return the snapshot taken before the call; None = there is none."""
        rows = self._store.query(
            "SELECT pre_tree FROM tool_call WHERE run_id = ? AND agent = ? AND call_id = ?",
            (self._run_id, ref.agent, ref.call_id),
        )
        return rows[0]["pre_tree"] if rows else None

    def began_later(self, ref: CallRef) -> bool:
        """Tell whether another call of the run began, or ended, after this one began."""
        rows = self._store.query(
            "SELECT 1 FROM tool_call AS this JOIN tool_call AS other ON other.run_id = this.run_id"
            " WHERE this.run_id = ? AND this.agent = ? AND this.call_id = ?"
            " AND NOT (other.agent = this.agent AND other.call_id = this.call_id)"
            " AND (other.began_at >= this.began_at OR coalesce(other.ended_at, '9') >= this.began_at) LIMIT 1",
            (self._run_id, ref.agent, ref.call_id),
        )
        return bool(rows)

    def writes(self) -> list[Write]:
        """Return the writes that happened or may have happened, in the order in which they began."""
        rows = self._store.query(
            "SELECT path, pre_sha, post_sha FROM tool_call WHERE run_id = ? AND kind = ? ORDER BY began_at, rowid",
            (self._run_id, self._write),
        )
        return [Write(row["path"], row["pre_sha"], row["post_sha"]) for row in rows]

    def written(self, agents: str = "") -> dict[str, Written]:
        """Return what the agents whose paths begin like this wrote, by path; refused writes are left out."""
        rows = self._store.query(
            "SELECT path, pre_sha, post_sha, state, result FROM tool_call WHERE run_id = ? AND kind = ?"
            " AND substr(agent, 1, length(?)) = ? ORDER BY began_at, rowid",
            (self._run_id, self._write, agents, agents),
        )
        found: dict[str, Written] = {}
        for row in rows:
            is_done = row["state"] == "done"
            if is_done and json.loads(row["result"])["failed"]:
                continue
            first = found[row["path"]].pre_sha if row["path"] in found else row["pre_sha"]
            left = (row["post_sha"],) if is_done else (row["post_sha"], row["pre_sha"])
            found[row["path"]] = Written(first, left)
        return found

    def changed_between(self) -> tuple[set[str], dict[str, str | None]]:
        """Return what the run's writes found that no call of the run had left.

        Returns:
            The files that were another content at a write than after the write before it; and by path the content at
            the first write (None = no file), for the caller to compare. Where a command came before, nothing is told.
        """
        rows = self._store.query(
            "SELECT kind, path, pre_sha, post_sha, state, result FROM tool_call WHERE run_id = ? AND kind IN (?, ?)"
            " AND coalesce(json_extract(effect, '$.argv[3]'), '') != ? ORDER BY began_at, rowid",
            (self._run_id, self._write, self._command, COMMIT_NAME),
        )
        changed: set[str] = set()
        first: dict[str, str | None] = {}
        left: dict[str, str] = {}
        had_command = False
        for row in rows:
            path = row["path"]
            if row["kind"] == self._command:
                left, had_command = {}, True
            elif row["state"] != "done" or json.loads(row["result"])["failed"]:
                left.pop(path, None)
            else:
                if path in left and left[path] != row["pre_sha"]:
                    changed.add(path)
                if not had_command:
                    first.setdefault(path, row["pre_sha"])
                left[path] = row["post_sha"]
        return changed, first

    def ran_commands(self, agents: str = "") -> bool:
        """Tell whether an agent or node whose path begins like this began a command, commits of flow left out."""
        rows = self._store.query(
            "SELECT 1 FROM tool_call WHERE run_id = ? AND kind = ? AND substr(agent, 1, length(?)) = ?"
            " AND coalesce(json_extract(effect, '$.argv[3]'), '') != ? LIMIT 1",
            (self._run_id, self._command, agents, agents, COMMIT_NAME),
        )
        return bool(rows)

    def _refuse_done(self, db: sqlite3.Connection, ref: CallRef) -> None:
        row = db.execute(
            "SELECT state FROM tool_call WHERE run_id = ? AND agent = ? AND call_id = ?",
            (self._run_id, ref.agent, ref.call_id),
        ).fetchone()
        if row is not None and row["state"] == "done":
            raise ValueError(f"call {ref.call_id!r} of {ref.agent!r} is done and may not begin again")


def effect_sha(effect: FileWrite | Command) -> str:
    """Return a SHA-256 hex that two effects share when they do the same."""
    facts = effect_to_dict(effect)
    if isinstance(effect, FileWrite):
        facts["post_sha"] = hashlib.sha256(effect.post).hexdigest()
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
