from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.graph import END, START, StateGraph

from flowloom.core.errors import UsageError
from flowloom.runs.checkpoints import open_saver
from flowloom.runs.store import RunRow, RunStore
from flowloom.runs.versions import STATE_VERSION, migrated, require_readable


class State(TypedDict):
    steps: Annotated[list[int], operator.add]


async def save(path: Path, run_id: str, version: int) -> None:
    graph = StateGraph(State)
    graph.add_node("step", lambda _: {"steps": [1]})
    graph.add_edge(START, "step")
    graph.add_edge("step", END)
    async with open_saver(path) as saver:
        saver.stamp = lambda: {"state_version": version}
        app = graph.compile(checkpointer=saver)
        await app.ainvoke({"steps": []}, {"configurable": {"thread_id": run_id}}, durability="sync")


def found(version: int | None, values: dict[str, Any]) -> CheckpointTuple:
    metadata: Any = {} if version is None else {"state_version": version}
    checkpoint: Any = {"channel_values": values}
    return CheckpointTuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}}, checkpoint, metadata)


def renamed(old: str, new: str) -> Any:
    def migrate(each: CheckpointTuple) -> CheckpointTuple:
        values = {new if name == old else name: value for name, value in each.checkpoint["channel_values"].items()}
        checkpoint: Any = {**each.checkpoint, "channel_values": values}
        return each._replace(checkpoint=checkpoint)

    return migrate


async def test_run_of_this_version_is_readable(store: RunStore, row: RunRow) -> None:
    require_readable(store, row.id)
    await save(store.path, row.id, STATE_VERSION)
    require_readable(store, row.id)


async def test_newer_state_is_refused_before_anything_happens(store: RunStore, row: RunRow) -> None:
    await save(store.path, row.id, STATE_VERSION + 1)
    with pytest.raises(UsageError, match=rf"newer Flowloom \(state version {STATE_VERSION + 1}") as caught:
        require_readable(store, row.id)
    assert "Update Flowloom" in caught.value.hint


async def test_newer_state_is_refused_by_the_saver_as_well(store: RunStore, row: RunRow) -> None:
    await save(store.path, row.id, STATE_VERSION + 1)
    async with open_saver(store.path) as saver:
        with pytest.raises(UsageError, match="newer Flowloom"):
            await saver.aget_tuple({"configurable": {"thread_id": row.id}})


@pytest.mark.parametrize(("version", "names"), [(None, {"c"}), (1, {"c"}), (2, {"c"}), (3, {"a"})])
def test_old_state_goes_through_every_migration_after_its_version(version: int | None, names: set[str]) -> None:
    migrations = (renamed("a", "b"), renamed("b", "c"))
    first = "b" if version == 2 else "a"
    after = migrated(found(version, {first: 1}), migrations)
    assert set(after.checkpoint["channel_values"]) == names


def test_migration_leaves_what_was_read_as_it_was() -> None:
    old = found(1, {"a": 1})
    migrated(old, (renamed("a", "b"),))
    assert old.checkpoint["channel_values"] == {"a": 1}
