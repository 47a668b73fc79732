from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.core.effects import Command, FileWrite, ToolResult
from flowloom.core.errors import FlowError
from flowloom.core.ports import CallRef
from flowloom.runs.blobs import BlobStore
from flowloom.runs.command_snapshots import CommandSnapshots
from flowloom.runs.journal import RunJournal
from flowloom.runs.snapshots import SnapshotLimits, Snapshots
from flowloom.runs.store import RunRow, RunStore

REF = CallRef("implement[a]/code#1", "call-1")
LATER = CallRef("implement[a]/code#1", "call-2")
MAKE = Command(("bash", "-c", "make"), 60.0)


class Rig:
    """One run in a workspace of one file; `told` is what a person was told."""

    def __init__(self, work: Path, journal: RunJournal, limits: SnapshotLimits, required: bool) -> None:
        self.work = work
        self.journal = journal
        self.told: list[str] = []
        self.snapshots = Snapshots(work, work.parent / "store", limits)
        self.hooks = CommandSnapshots(self.snapshots, journal, self.told.append, keep=2, required=required)

    async def command(self, ref: CallRef, writes: str) -> None:
        """Run a command as the effect runner does, up to where a machine would crash."""
        self.journal.begin(ref, MAKE, None)
        await self.hooks.before(ref, MAKE)
        (self.work / "a.txt").write_text(writes)


@pytest.fixture
def journal(store: RunStore, row: RunRow, blobs: BlobStore) -> RunJournal:
    return RunJournal(store, row.id, blobs)


@pytest.fixture
def rig(work: Path, journal: RunJournal) -> Rig:
    (work / "a.txt").write_text("before")
    return Rig(work, journal, SnapshotLimits(max_file_bytes=1000), required=False)


def refusing(rig: Rig, *, required: bool) -> Rig:
    (rig.work / "b.txt").write_text("one too many")
    return Rig(rig.work, rig.journal, SnapshotLimits(max_files=1), required)


async def test_snapshot_is_noted_with_the_call(rig: Rig) -> None:
    await rig.command(REF, "after")
    assert [kept.tree for kept in rig.snapshots.kept()] == [rig.journal.tree_before(REF)]
    assert rig.snapshots.kept()[0].label == "before: make"


async def test_restore_puts_back_what_the_command_did_and_tells(rig: Rig) -> None:
    await rig.command(REF, "half done")
    assert await rig.hooks.restore(REF)
    assert (rig.work / "a.txt").read_text() == "before"
    assert rig.told[-1].startswith("Put back to what they were before the command: a.txt.")


async def test_nothing_is_restored_when_another_call_began_since(rig: Rig) -> None:
    await rig.command(REF, "half done")
    rig.journal.begin(LATER, FileWrite("b.txt", None, b"new", ""), None)
    assert not await rig.hooks.restore(REF)
    assert (rig.work / "a.txt").read_text() == "half done"


async def test_nothing_is_restored_when_another_call_ended_since(rig: Rig) -> None:
    rig.journal.begin(LATER, FileWrite("b.txt", None, b"new", ""), None)
    await rig.command(REF, "half done")
    rig.journal.finish(LATER, ToolResult("written"))
    assert not await rig.hooks.restore(REF)


async def test_calls_that_ended_before_do_not_keep_from_restoring(rig: Rig) -> None:
    rig.journal.begin(LATER, FileWrite("b.txt", None, b"new", ""), None)
    rig.journal.finish(LATER, ToolResult("written"))
    await rig.command(REF, "half done")
    assert await rig.hooks.restore(REF)


async def test_call_without_a_snapshot_is_not_restored(rig: Rig) -> None:
    rig.journal.begin(REF, MAKE, None)
    assert not await rig.hooks.restore(REF)


async def test_snapshot_that_is_gone_is_told_and_not_restored(rig: Rig) -> None:
    await rig.command(REF, "half done")
    rig.journal.note_tree(REF, "f" * 40)
    assert not await rig.hooks.restore(REF)
    assert "not kept any more" in rig.told[-1]


async def test_refused_snapshot_is_told_once_and_commands_go_on(rig: Rig) -> None:
    refused = refusing(rig, required=False)
    await refused.command(REF, "one")
    await refused.command(LATER, "two")
    assert len(refused.told) == 1
    assert "This command runs without a snapshot of the files." in refused.told[0]
    assert "snapshots.max_files (1)" in refused.told[0]
    assert refused.journal.tree_before(LATER) is None


async def test_command_does_not_run_without_a_snapshot_that_is_required(rig: Rig) -> None:
    with pytest.raises(FlowError, match=r"snapshots\.max_files"):
        await refusing(rig, required=True).command(REF, "one")
    assert (rig.work / "a.txt").read_text() == "before"


async def test_files_left_out_are_told_once(rig: Rig) -> None:
    (rig.work / "big.bin").write_bytes(b"x" * 1001)
    await rig.command(REF, "one")
    await rig.command(LATER, "two")
    assert rig.told == ["Snapshots leave these files out: big.bin (larger than 1,000 bytes)."]


async def test_reading_ahead_makes_the_snapshots_few_and_warm(rig: Rig) -> None:
    for number in range(6):
        (rig.work / "a.txt").write_text(f"{number}")
        rig.snapshots.take(f"{number}")
    rig.hooks._read_ahead()
    assert len(rig.snapshots.kept()) == 2
