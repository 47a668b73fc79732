from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.effects import Command, FileWrite
from flowloom.core.ports import CallRef
from flowloom.core.questions import Answer, Question
from flowloom.runs.blobs import BlobStore
from flowloom.runs.fence import LeaseLost
from flowloom.runs.journal import RunJournal
from flowloom.runs.lease import RunLease, take_lease
from flowloom.runs.store import RunRow, RunStore
from flowloom.tools.effects import Effects
from flowloom.tools.host import HostSandbox

REF = CallRef("code#1", "c1")
WRITE = FileWrite("a.txt", hashlib.sha256(b"old").hexdigest(), b"new", "Edited.")
COMMAND = Command(("sh", "-c", "echo ran > a.txt"), 20.0)


class NoSpawner:
    async def spawn(self, parent: str, call_id: str, task: str, tools: object, effects: object) -> str:
        raise NotImplementedError


def nobody(question: Question) -> Answer:
    raise NotImplementedError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"old")
    return folder


@pytest.fixture
def lease(store: RunStore, row: RunRow) -> RunLease:
    return take_lease(store, row)


def effects(store: RunStore, row: RunRow, lease: RunLease, workspace: Path, **more: Any) -> Effects:
    blobs = BlobStore(store.blobs_folder(row.id))
    return Effects(
        workspace=workspace,
        sandbox=HostSandbox(),
        journal=RunJournal(store, row.id, blobs),
        blobs=blobs,
        jobs=store.blobs_folder(row.id) / "jobs",
        mode="auto",
        grants=set(),
        output_bytes=1000,
        spawner=NoSpawner(),
        require_ours=lease.check,
        **more,
    )


def lose(store: RunStore) -> None:
    """Let another process take the run over."""
    with store.change() as db:
        db.execute("UPDATE lease SET epoch = epoch + 1, owner = 'other'")


@pytest.mark.parametrize(("effect", "category"), [(WRITE, "edit"), (COMMAND, "shell")])
async def test_effect_does_not_happen_once_the_run_is_lost(
    store: RunStore, row: RunRow, lease: RunLease, workspace: Path, effect: Any, category: str
) -> None:
    lose(store)
    with pytest.raises(LeaseLost):
        await effects(store, row, lease, workspace).run(REF, effect, category, nobody)
    assert (workspace / "a.txt").read_bytes() == b"old"
    assert store.query("SELECT * FROM tool_call") == []


async def test_command_does_not_start_when_the_run_is_lost_while_a_snapshot_is_taken(
    store: RunStore, row: RunRow, lease: RunLease, workspace: Path
) -> None:
    async def snapshot(ref: CallRef, command: Command) -> None:
        lose(store)

    losing = effects(store, row, lease, workspace, before_command=snapshot)
    with pytest.raises(LeaseLost):
        await losing.run(REF, COMMAND, "shell", nobody)
    assert (workspace / "a.txt").read_bytes() == b"old"


async def test_write_begun_before_is_not_finished_once_the_run_is_lost(
    store: RunStore, row: RunRow, lease: RunLease, workspace: Path
) -> None:
    RunJournal(store, row.id, BlobStore(store.blobs_folder(row.id))).begin(REF, WRITE, b"old")
    lose(store)
    with pytest.raises(LeaseLost):
        await effects(store, row, lease, workspace).recover(REF, nobody)
    assert (workspace / "a.txt").read_bytes() == b"old"


async def test_effects_of_the_holder_happen(store: RunStore, row: RunRow, lease: RunLease, workspace: Path) -> None:
    await effects(store, row, lease, workspace).run(REF, WRITE, "edit", nobody)
    assert (workspace / "a.txt").read_bytes() == b"new"
    await effects(store, row, lease, workspace).run(CallRef("code#1", "c2"), COMMAND, "shell", nobody)
    assert (workspace / "a.txt").read_bytes() == b"ran\n"
