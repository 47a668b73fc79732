from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.effects import Command, ToolResult
from flowloom.core.events import NodeStarted
from flowloom.core.ports import CallRef
from flowloom.core.questions import Answer, Question
from flowloom.runs.blobs import BlobStore
from flowloom.runs.checkpoints import open_saver
from flowloom.runs.fence import Fence, LeaseLost
from flowloom.runs.journal import RunJournal
from flowloom.runs.lease import take_lease
from flowloom.runs.schema import FENCED, SCHEMA_VERSION, STEPS
from flowloom.runs.store import RunRow, RunStore

ASK = Question(kind="human", node="a", text="?", choices=("yes",), id="q")
OPEN = Question(kind="human", node="a", text="?", choices=("yes",), id="open")
REF = CallRef("a#1", "c1")
RUN = Command(("true",), 1.0)


def journal(store: RunStore, run_id: str) -> RunJournal:
    return RunJournal(store, run_id, BlobStore(store.blobs_folder(run_id)))


WRITES: dict[str, Callable[[RunStore, str], object]] = {
    "event": lambda store, run: store.append_event(run, "a", NodeStarted("set", 1)),
    "row": lambda store, run: store.update_run(run, status="done"),
    "question": lambda store, run: store.open_question(run, ASK),
    "answer": lambda store, run: store.close_question(run, "open", Answer("yes")),
    "grant": lambda store, run: store.add_grant(run, "edit"),
    "journal begin": lambda store, run: journal(store, run).begin(REF, RUN, None),
    "journal finish": lambda store, run: journal(store, run).finish(CallRef("a#1", "c0"), ToolResult("")),
    "removal": lambda store, run: store.remove_run(run),
}


def prepare(store: RunStore, run_id: str) -> None:
    store.open_question(run_id, OPEN)
    journal(store, run_id).begin(CallRef("a#1", "c0"), RUN, None)


def contents(store: RunStore) -> list[list[tuple[Any, ...]]]:
    return [[tuple(row) for row in store.query(f"SELECT * FROM {table}")] for table in FENCED]


@pytest.mark.parametrize("name", WRITES)
def test_store_without_the_lease_writes_nothing_to_a_held_run(store: RunStore, row: RunRow, name: str) -> None:
    prepare(store, row.id)
    take_lease(store, row)
    with RunStore(store.path) as other:
        before = contents(store)
        with pytest.raises(LeaseLost, match="Nothing was written"):
            WRITES[name](other, row.id)
        assert contents(store) == before


@pytest.mark.parametrize("name", WRITES)
def test_holder_of_the_lease_writes(store: RunStore, row: RunRow, name: str) -> None:
    prepare(store, row.id)
    take_lease(store, row)
    before = contents(store)
    WRITES[name](store, row.id)
    assert contents(store) != before


@pytest.mark.parametrize("name", WRITES)
def test_former_holder_writes_nothing_after_a_take_over(store: RunStore, row: RunRow, name: str) -> None:
    prepare(store, row.id)
    take_lease(store, row)
    with RunStore(store.path) as other:
        with other.change() as db:
            db.execute("UPDATE lease SET expires_at = 0")
        take_lease(other, row)
        before = contents(store)
        with pytest.raises(LeaseLost):
            WRITES[name](store, row.id)
        assert contents(store) == before


def test_lease_given_back_lets_nobody_write_until_it_is_taken_again(store: RunStore, row: RunRow) -> None:
    with take_lease(store, row):
        store.add_grant(row.id, "one")
    with pytest.raises(LeaseLost):
        store.add_grant(row.id, "two")
    with take_lease(store, row):
        store.add_grant(row.id, "three")
    assert store.grants(row.id) == {"one", "three"}


def test_former_holder_of_a_removed_run_writes_nothing(store: RunStore, row: RunRow) -> None:
    take_lease(store, row)
    with RunStore(store.path) as other:
        with other.change() as db:
            db.execute("UPDATE lease SET expires_at = 0")
        with take_lease(other, row):
            other.remove_run(row.id)
    with pytest.raises(LeaseLost):
        store.append_event(row.id, "a", NodeStarted("set", 1))


def test_holder_whose_time_is_over_writes_nothing_though_nobody_took_the_run(tmp_path: Path) -> None:
    now = [100.0]
    with RunStore(tmp_path / "runs.db", fence=Fence(lambda: now[0])) as store:
        row = store.create_run(
            graph="g", graph_source="", graph_text="", fingerprint="", input={}, options={}, workspace="/w"
        )
        take_lease(store, row)
        now[0] += 29.9
        store.add_grant(row.id, "in time")
        now[0] += 0.2
        with pytest.raises(LeaseLost):
            store.add_grant(row.id, "late")
        assert store.grants(row.id) == {"in time"}


def test_other_runs_are_not_touched_by_a_lease(store: RunStore, row: RunRow) -> None:
    other = store.create_run(
        graph="g", graph_source="", graph_text="", fingerprint="", input={}, options={}, workspace="/w"
    )
    take_lease(store, row)
    with RunStore(store.path) as second:
        second.add_grant(other.id, "edit")
    assert store.grants(other.id) == {"edit"}


def test_connection_that_knows_nothing_of_the_fence_cannot_write(store: RunStore, row: RunRow) -> None:
    with closing(sqlite3.connect(store.path)) as plain, pytest.raises(sqlite3.OperationalError, match="flow_epoch"):
        plain.execute("UPDATE run SET status = 'done'")


async def test_saver_of_a_former_holder_stores_no_checkpoint_and_no_write(store: RunStore, row: RunRow) -> None:
    from langgraph.checkpoint.base import empty_checkpoint

    config: Any = {"configurable": {"thread_id": row.id, "checkpoint_ns": "", "checkpoint_id": "1"}}
    take_lease(store, row)
    async with open_saver(store.path, store.fence) as saver:
        await saver.aput(config, empty_checkpoint(), {}, {})
        await saver.aput_writes(config, [("a", 1)], "task")
        store.fence.drop(row.id)
        with pytest.raises(LeaseLost):
            await saver.aput(config, empty_checkpoint(), {}, {})
        # Both forms of the saver's statement: INSERT OR IGNORE, and INSERT OR REPLACE for an interrupt.
        for channel in ("a", "__interrupt__"):
            with pytest.raises(LeaseLost):
                await saver.aput_writes(config, [(channel, 2)], "task")
        with pytest.raises(LeaseLost):
            await saver.adelete_thread(row.id)
    counts = [store.query(f"SELECT count(*) FROM {table}")[0][0] for table in ("checkpoints", "writes")]
    assert counts == [1, 1]


async def test_saver_without_a_fence_cannot_write_to_a_held_run(store: RunStore, row: RunRow) -> None:
    config: Any = {"configurable": {"thread_id": row.id, "checkpoint_ns": "", "checkpoint_id": "1"}}
    take_lease(store, row)
    async with open_saver(store.path) as saver:
        with pytest.raises(LeaseLost):
            await saver.aput_writes(config, [("a", 1)], "task")


def test_every_table_with_a_run_in_it_is_fenced(store: RunStore) -> None:
    tables = [row["name"] for row in store.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: {row["name"] for row in store.query(f"PRAGMA table_info({name})")} for name in tables}
    holding = {name for name in tables if columns[name] & {"run_id", "thread_id"}}
    assert holding - {"lease"} <= FENCED.keys()


async def test_every_table_of_the_saver_is_fenced(store: RunStore) -> None:
    async with open_saver(store.path):
        tables = {row["name"] for row in store.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    triggers = [row["tbl_name"] for row in store.query("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'")]
    fenced = {table for table in tables if triggers.count(table) == 3}
    assert tables - fenced <= {"lease", "sqlite_sequence"}


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
async def test_older_database_is_brought_up_to_date_while_a_run_is_held(tmp_path: Path, version: int) -> None:
    path = tmp_path / "runs.db"
    with RunStore(path) as store:
        held = store.create_run(
            graph="g", graph_source="", graph_text="", fingerprint="", input={}, options={}, workspace="/w"
        )
        async with open_saver(path):
            pass
        rows = [tuple(row) for row in store.query("SELECT * FROM run")]
        table = store.query("SELECT sql FROM sqlite_master WHERE name = 'checkpoints'")[0][0]
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as db:
        for step in STEPS[:version]:
            db.executescript(step)
        db.execute(table)
        db.execute(f"INSERT INTO run VALUES ({', '.join('?' * len(rows[0]))})", rows[0])
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    with RunStore(old) as store, RunStore(old) as other:
        take_lease(store, store.get_run(held.id))
        store.add_grant(held.id, "edit")
        with pytest.raises(LeaseLost):
            other.add_grant(held.id, "other")
