"""The tables of the run database and how the file is opened; called by the run store alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..configs.dirs import create_private, make_private
from ..core.errors import UsageError
from .fence import SAVER_TABLES, Fence, triggers

BUSY_TIMEOUT_S = 10.0

_RUNS = """
CREATE TABLE run (
    id TEXT PRIMARY KEY, graph TEXT NOT NULL, graph_source TEXT NOT NULL, graph_text TEXT NOT NULL,
    fingerprint TEXT NOT NULL, input TEXT NOT NULL, options TEXT NOT NULL, workspace TEXT NOT NULL,
    title TEXT NOT NULL, status TEXT NOT NULL, exit_code INTEGER, message TEXT NOT NULL, output TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
    process_start TEXT NOT NULL, baseline TEXT NOT NULL);
CREATE TABLE event (
    run_id TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, node TEXT NOT NULL, type TEXT NOT NULL,
    data TEXT NOT NULL, v INTEGER NOT NULL, PRIMARY KEY (run_id, seq)) WITHOUT ROWID;
CREATE TABLE question (
    run_id TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, answer TEXT, answered_by TEXT, asked_at TEXT NOT NULL,
    answered_at TEXT, PRIMARY KEY (run_id, id));
CREATE TABLE run_grant (
    run_id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (run_id, name)) WITHOUT ROWID;
CREATE TABLE tool_call (
    run_id TEXT NOT NULL, agent TEXT NOT NULL, call_id TEXT NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL,
    effect TEXT NOT NULL, effect_sha TEXT NOT NULL, pre_sha TEXT, post_sha TEXT, state TEXT NOT NULL, result TEXT,
    began_at TEXT NOT NULL, ended_at TEXT, PRIMARY KEY (run_id, agent, call_id));
"""
# `kind` is run or workspace, `name` the run's id or the workspace's folder. A released lease expired at 0; its row
# stays, since its epoch must never be given out twice.
_LEASES = """
CREATE TABLE lease (
    kind TEXT NOT NULL, name TEXT NOT NULL, run_id TEXT NOT NULL, owner TEXT NOT NULL, host TEXT NOT NULL,
    pid INTEGER NOT NULL, process_start TEXT NOT NULL, epoch INTEGER NOT NULL, taken_at REAL NOT NULL,
    expires_at REAL NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
"""
# Model replies that no checkpoint holds yet; `after_seq` is the last event before each.
_REPLIES = """
CREATE TABLE reply (
    run_id TEXT NOT NULL, agent TEXT NOT NULL, turn INTEGER NOT NULL, request_sha TEXT NOT NULL, body TEXT NOT NULL,
    after_seq INTEGER NOT NULL, at TEXT NOT NULL, PRIMARY KEY (run_id, agent, turn));
"""
# The snapshot of the workspace that was taken before a command.
_SNAPSHOTS = "ALTER TABLE tool_call ADD COLUMN pre_tree TEXT;"

# What visits came to that no checkpoint may hold yet; `graph` is the path of their graph, `step` its superstep.
_ENDS = """
CREATE TABLE visit_end (
    run_id TEXT NOT NULL, visit TEXT NOT NULL, graph TEXT NOT NULL, step INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (run_id, visit)) WITHOUT ROWID;
"""

STEPS = (_RUNS, _LEASES, _REPLIES, _SNAPSHOTS, _ENDS)
"""Step n takes a database of version n to n + 1. A released step never changes: the next one is a step of its own."""
SCHEMA_VERSION = len(STEPS)
FENCED = {
    "run": "id",
    "event": "run_id",
    "question": "run_id",
    "run_grant": "run_id",
    "tool_call": "run_id",
    "reply": "run_id",
    "visit_end": "run_id",
}
"""Tables that only the holder of a run's lease may write, and their column with the run's id."""


def open_database(path: Path, fence: Fence) -> sqlite3.Connection:
    """Return a connection in autocommit mode, usable from any thread, to a database with our tables.

    Args:
        fence: what this connection's writes to runs are held to.

    Raises:
        UsageError: the file cannot be opened, is no run database, or was written by a newer Flowloom.
    """
    make_private(path.parent)
    try:
        # SQLite gives its -wal and -shm files the mode of the database file.
        create_private(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.OperationalError) as err:
        raise UsageError(
            f"The run database {str(path)!r} cannot be opened: {err}.", hint="FLOW_HOME names another folder for it."
        ) from err
    connection.row_factory = sqlite3.Row
    try:
        fence.install(connection)
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # NORMAL may lose the last commits at a power cut; what has been paid for must not be lost.
        connection.execute("PRAGMA synchronous = FULL")
        if _version(connection) != SCHEMA_VERSION:
            # Another process may be making the tables at this very moment: look again under the write lock.
            connection.execute("BEGIN IMMEDIATE")
            _migrate(connection, path)
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as err:
        raise UsageError(
            f"The run database {str(path)!r} cannot be used: {err}.",
            hint="If it is damaged, move it away; a new one is made then.",
        ) from err


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"The run database {str(path)!r} was written by a newer Flowloom (format {version}, this one reads"
            f" {SCHEMA_VERSION}).",
            hint="Update Flowloom, or point FLOW_HOME at another folder.",
        )
    # A step may change rows of runs that other processes hold, so the fence is down until all steps are done.
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f'DROP TRIGGER "{name}"')
    for step in STEPS[version:]:
        # Statement by statement: executescript would commit before it begins.
        for statement in filter(str.strip, step.split(";")):
            connection.execute(statement)
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    saver = dict.fromkeys(tables.intersection(SAVER_TABLES), "thread_id")
    for table, key in {**FENCED, **saver}.items():
        for statement in triggers(table, key):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
