"""Commands in a real sandbox whose runner or run is killed: taken over, or undone and run again, never done twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowloom.core.effects import Command
from flowloom.core.ports import CallRef
from flowloom.core.questions import Answer, Question
from flowloom.runs.blobs import BlobStore
from flowloom.runs.command_snapshots import CommandSnapshots
from flowloom.runs.journal import RunJournal
from flowloom.runs.lease import take_lease
from flowloom.runs.snapshots import SnapshotLimits, Snapshots
from flowloom.runs.store import RunRow, RunStore
from flowloom.tools.bwrap import BwrapSandbox, probe_bwrap
from flowloom.tools.effects import Effects
from flowloom.tools.job_files import job_folder
from flowloom.tools.sandbox_view import SandboxOptions, SandboxView

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed")

REF = CallRef("code#1", "c1")

# A process that runs a sandboxed command as `flow` does: job folder, workspace, shell line.
STARTER = """
import asyncio, os, sys
from pathlib import Path
from flowloom.core.effects import Command
from flowloom.tools.bwrap import BwrapSandbox, probe_bwrap
from flowloom.tools.sandbox_view import SandboxOptions, SandboxView

job, workspace, line = sys.argv[1:]
sandbox = BwrapSandbox(probe_bwrap(os.environ["PATH"]), SandboxView(SandboxOptions(), os.environ), os.environ)
asyncio.run(sandbox.run(Command(("bash", "-c", line), 60.0), Path(workspace), Path(job)))
"""


def sandbox() -> BwrapSandbox:
    found = probe_bwrap(os.environ["PATH"])
    if isinstance(found, str):
        pytest.skip(found)
    return BwrapSandbox(found, SandboxView(SandboxOptions(), os.environ), os.environ)


def nobody(question: Question) -> Answer:
    raise AssertionError(f"asked: {question.text}")


class Rig:
    """One run with real journal, snapshots and sandbox; `told` is what a person was told."""

    def __init__(self, workspace: Path, store: RunStore, row: RunRow) -> None:
        self.workspace = workspace
        self.told: list[str] = []
        self.jobs = store.blobs_folder(row.id) / "jobs"
        blobs = BlobStore(store.blobs_folder(row.id))
        self.journal = RunJournal(store, row.id, blobs)
        snapshots = Snapshots(workspace, workspace.parent / "snapshots", SnapshotLimits())
        hooks = CommandSnapshots(snapshots, self.journal, self.told.append, keep=9)
        self.effects = Effects(
            workspace=workspace,
            sandbox=sandbox(),
            journal=self.journal,
            blobs=blobs,
            jobs=self.jobs,
            mode="auto",
            grants=set(),
            output_bytes=10_000,
            spawner=None,  # type: ignore[arg-type]  # no sub-agents here
            before_command=hooks.before,
            restore=hooks.restore,
        )


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    workspace = tmp_path.resolve() / "作業 folder"
    workspace.mkdir()
    (workspace / "a.txt").write_text("before\n")
    (workspace / "gone.txt").write_text("still here\n")
    with RunStore(tmp_path / "data" / "runs.db") as store:
        row = store.create_run(
            graph="g",
            graph_source="builtin:g",
            graph_text="flow: 1\n",
            fingerprint="f1",
            input={},
            options={"mode": "auto"},
            workspace=workspace,
            title="t",
        )
        take_lease(store, row)
        yield Rig(workspace, store, row)


async def until(path: Path, text: str) -> str:
    for _ in range(1000):
        if path.exists() and text in (found := path.read_text()):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} did not come")


def runner(job: Path) -> int:
    return int((job / "claim").read_text().split()[0])


async def test_a_command_that_died_with_its_runner_is_undone_and_run_again_unasked(rig: Rig) -> None:
    line = "echo run >> a.txt; rm gone.txt; echo x > made; sleep 1.5; test $(wc -l < a.txt) = 2 && echo whole"
    running = asyncio.create_task(rig.effects.run(REF, Command(("bash", "-c", line), 60.0), "shell", nobody))
    await until(rig.workspace / "made", "x")
    os.kill(runner(job_folder(rig.jobs, REF, 1)), signal.SIGKILL)
    result = await running
    assert (result.text, result.failed) == ("whole", False)
    assert (rig.workspace / "a.txt").read_text() == "before\nrun\n"
    assert (rig.workspace / "made").read_text() == "x\n"
    assert any(text.startswith("Put back to what they were before the command") for text in rig.told)


async def test_nothing_of_a_command_is_left_when_its_runner_is_killed(rig: Rig) -> None:
    line = "setsid bash -c 'while :; do date +%N >> ticks; sleep 0.05; done' & echo $$ > pid; sleep 60"
    task = asyncio.create_task(rig.effects.run(REF, Command(("bash", "-c", line), 1.0), "read", nobody))
    await until(rig.workspace / "ticks", "\n")
    os.kill(runner(job_folder(rig.jobs, REF, 1)), signal.SIGKILL)
    await until(job_folder(rig.jobs, REF, 2) / "claim", " ")
    await asyncio.wait_for(task, 30)
    before = (rig.workspace / "ticks").read_bytes()
    await asyncio.sleep(0.3)
    assert (rig.workspace / "ticks").read_bytes() == before


async def test_a_command_outlives_the_killed_run_and_its_result_is_taken(tmp_path: Path) -> None:
    workspace, job = tmp_path.resolve() / "ws", tmp_path.resolve() / "jobs" / "j"
    workspace.mkdir()
    job.mkdir(parents=True)
    line = "echo begun >> log; sleep 1; echo ended >> log; echo ran; exit 3"
    with subprocess.Popen([sys.executable, "-c", STARTER, str(job), str(workspace), line]) as process:
        await until(workspace / "log", "begun")
        process.kill()
    outcome = await sandbox().run(Command(("bash", "-c", line), 60.0), workspace, job)
    assert (outcome.exit_code, outcome.output, outcome.ended) == (3, b"ran\n", True)
    assert (workspace / "log").read_text() == "begun\nended\n"


async def test_what_a_command_may_not_make_is_put_right_after_its_runner_died(tmp_path: Path) -> None:
    workspace, job = tmp_path.resolve() / "ws", tmp_path.resolve() / "jobs" / "j"
    workspace.mkdir()
    job.mkdir(parents=True)
    command = Command(("bash", "-c", "echo begun > log; sleep 60"), 60.0)
    task = asyncio.create_task(sandbox().run(command, workspace, job))
    await until(workspace / "log", "begun")
    dead = runner(job)
    os.kill(dead, signal.SIGSTOP)
    (workspace / "AGENTS.md").write_text("evil\n")
    os.kill(dead, signal.SIGKILL)
    assert not (await task).ended
    assert not (workspace / "AGENTS.md").exists()
    (kept,) = (job.parent / "j.aside").iterdir()
    assert kept.read_text() == "evil\n"


async def test_a_cancellation_ends_everything(tmp_path: Path) -> None:
    workspace, job = tmp_path.resolve() / "ws", tmp_path.resolve() / "jobs" / "j"
    workspace.mkdir()
    job.mkdir(parents=True)
    line = "setsid bash -c 'while :; do date +%N >> ticks; sleep 0.05; done' & sleep 60"
    task = asyncio.create_task(sandbox().run(Command(("bash", "-c", line), 60.0), workspace, job))
    await until(workspace / "ticks", "\n")
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 6
    before = (workspace / "ticks").read_bytes()
    await asyncio.sleep(0.3)
    assert (workspace / "ticks").read_bytes() == before
