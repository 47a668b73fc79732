"""Versions of the state in checkpoints: what a stored one must look like today, and how an older one gets there.

The saver asks for every checkpoint it reads; a resume asks once before it begins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import UsageError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

    from .store import RunStore

Migration = Callable[["CheckpointTuple"], "CheckpointTuple"]
"""Returns a checkpoint of one version as the next version has it: its channel values and its pending writes. It is
called for each namespace by itself (`config` names it) and must not change what it is given."""

MIGRATIONS: tuple[Migration, ...] = ()
"""From version 1 to 2, from 2 to 3, and so on. A change of a channel's name or shape adds one at the end, and a
golden database of the version before to tests/golden."""

FIRST_VERSION = 1
STATE_VERSION = FIRST_VERSION + len(MIGRATIONS)


def migrated(found: CheckpointTuple, migrations: Sequence[Migration] = MIGRATIONS) -> CheckpointTuple:
    """Return the checkpoint as the newest version has it.

    Raises:
        UsageError: it was written by a newer Flowloom.
    """
    metadata: Any = found.metadata
    version = metadata.get("state_version", FIRST_VERSION)
    _require(found.config["configurable"]["thread_id"], version, FIRST_VERSION + len(migrations))
    for migrate in migrations[version - FIRST_VERSION :]:
        found = migrate(found)
    return found


def require_readable(store: RunStore, run_id: str) -> None:
    """Return when this Flowloom can go on with the run's checkpoints, if it has any; they are not touched.

    Raises:
        UsageError: a newer one wrote some of them.
    """
    if not store.query("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'"):
        return
    newest = (
        "SELECT max(json_extract(CAST(metadata AS TEXT), '$.state_version')) FROM checkpoints WHERE thread_id = ?"
    )
    try:
        version = store.query(newest, (run_id,))[0][0]
    except sqlite3.Error as err:
        raise UsageError(f"The checkpoints of run {run_id} cannot be read: {err}.") from err
    _require(run_id, version or FIRST_VERSION, STATE_VERSION)


def _require(run_id: str, version: int, newest: int) -> None:
    if version > newest:
        raise UsageError(
            f"Run {run_id} was last worked on by a newer Flowloom (state version {version},"
            f" this one reads {newest}).",
            hint="Update Flowloom to go on with it; the run is as it was.",
        )
