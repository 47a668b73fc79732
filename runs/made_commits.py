"""The commits that runs made, as the journal tells: read by `flow undo`. Imports nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from ..tools.commit import asked, commit_id, planned_commit
from ..tools.commit_script import COMMIT_NAME, HOOKED_NAME
from .store import RunStore

_ASKED = """
SELECT run_id, agent, effect, result, state, began_at FROM tool_call
WHERE kind = 'command' AND json_extract(effect, '$.argv[3]') IN (?, ?) AND (? = '' OR run_id = ?)
ORDER BY began_at DESC, rowid DESC
"""


class MadeCommit(NamedTuple):
    """A commit that a run began.

    Attributes:
        commit: full hex; "" = a kill came before its end was stored, so it may have been made or not.
        parent: "" = it was the first one of its repository.
        node: path of the node with its visit, or of the agent that called git.
        at: when it began; UTC, ISO 8601.
        mark: what the reflog calls it, if hooks ran; "" = not known.
    """

    run_id: str
    commit: str
    parent: str
    message: str
    node: str
    at: str
    mark: str = ""

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]


def made_commits(store: RunStore, run_id: str = "") -> list[MadeCommit]:
    """Return the commits of a run, newest first; "" = of all runs. Those that were not made are left out."""
    found = []
    for row in store.query(_ASKED, (COMMIT_NAME, HOOKED_NAME, run_id, run_id)):
        planned = planned_commit(json.loads(row["effect"])["argv"])
        result = json.loads(row["result"]) if row["state"] == "done" else None
        commit = "" if result is None else commit_id(result["text"])
        if planned is None or (result is not None and not commit):
            continue
        found.append(MadeCommit(row["run_id"], commit, *planned[:2], row["agent"], row["began_at"], planned.mark))
    return found


def found_in(folder: Path, made: MadeCommit, head: str) -> MadeCommit | None:
    """Return the commit when it is the one that is checked out; None = it is not.

    One whose end was not stored is known by its parent and its message, or where a hook may have changed that by what
    the reflog calls it. The name of any other came from the command's output: its parent has to be right as well.
    """
    if made.commit and made.commit != head:
        return None
    told = asked(folder, "show", "--no-patch", "--encoding=UTF-8", "--format=%P%n%B", head) or ""
    parents, _, message = told.partition("\n")
    if parents.strip() != made.parent:
        return None
    is_it = made.commit or message.rstrip("\n") == made.message or _is_marked(folder, made)
    return made._replace(commit=head) if is_it else None


def _is_marked(folder: Path, made: MadeCommit) -> bool:
    action = asked(folder, "log", "--walk-reflogs", "--max-count=1", "--format=%gs", "HEAD") or ""
    return bool(made.mark) and action.startswith(f"{made.mark}: ")
