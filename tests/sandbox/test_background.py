"""Commands in the background in a real sandbox: the network they share with others of their run, and their end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowloom.core.background import BackgroundJob
from flowloom.core.effects import Command
from flowloom.core.masking import SecretMask
from flowloom.core.ports import CallRef
from flowloom.tools.background_jobs import BackgroundJobs
from flowloom.tools.bwrap import BwrapSandbox, probe_bwrap
from flowloom.tools.job_files import job_folder
from flowloom.tools.jobs import make_job
from flowloom.tools.sandbox_view import SandboxOptions, SandboxView

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed")

SERVE = "python3 -u -m http.server 8765 --bind 127.0.0.1"
FETCH = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:{}/a.txt', timeout=5).read().decode())"


class Run:
    """The sandbox, the jobs and the workspace of one run."""

    def __init__(self, folder: Path) -> None:
        found = probe_bwrap(os.environ["PATH"])
        if isinstance(found, str):
            pytest.skip(found)
        if not found.can_share:
            pytest.skip("no sandbox can be made in the network of another one here")
        self.sandbox = BwrapSandbox(found, SandboxView(SandboxOptions(), os.environ), os.environ)
        self.workspace = folder / "作業 folder"
        self.workspace.mkdir()
        (self.workspace / "a.txt").write_text("hello")
        self.jobs = folder / "jobs"
        self.background = BackgroundJobs(self.jobs, SecretMask(), first_look_s=0.2)
        self.count = 0

    async def start(self, line: str, network: bool = False) -> BackgroundJob:
        self.count += 1
        command = Command(("bash", "-c", line), 60.0, network=network, background=True)
        job = self.background.place(CallRef("code#1", f"b{self.count}"), command)
        await self.sandbox.start(command, self.workspace, job)
        await self.background.first_look(job)
        return self.background.all()[-1]

    async def run(self, *argv: str, network: bool = False) -> tuple[int, str]:
        self.count += 1
        job = job_folder(self.jobs, CallRef("code#1", f"c{self.count}"), 1)
        make_job(job)
        outcome = await self.sandbox.run(Command(argv, 20.0, network=network), self.workspace, job)
        return outcome.exit_code, outcome.output.decode()

    async def fetch(self, port: int = 8765) -> tuple[int, str]:
        """Ask the server of a job as another command does, once it listens."""
        for _ in range(50):
            if "Serving" in "".join(self.background.output(job.number) for job in self.background.all()):
                break
            await asyncio.sleep(0.1)
        return await self.run("python3", "-c", FETCH.format(port))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path.resolve())
    yield made
    made.background.stop_all()


async def test_a_server_in_the_background_is_reached_by_the_run_s_other_commands(run: Run) -> None:
    await run.start(SERVE)
    assert await run.fetch() == (0, "hello\n")


async def test_a_server_in_the_background_is_not_reached_from_the_machine(run: Run) -> None:
    await run.start(SERVE)
    assert (await run.fetch())[0] == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 8765), 5).close()


async def test_the_shared_network_reaches_nothing_of_the_machine(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        await run.start("sleep 60")
        code, said = await run.run("python3", "-c", FETCH.format(port))
    assert code == 1
    assert "Connection refused" in said
    assert (await run.run("bash", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"))[1] == "lo\n"


async def test_jobs_share_one_network_that_stays_when_the_first_ends(run: Run) -> None:
    first = await run.start("sleep 60")
    await run.start(SERVE)
    await asyncio.to_thread(run.background.stop, first.number)
    assert await run.fetch() == (0, "hello\n")


async def test_a_command_with_the_machine_s_network_keeps_that(run: Run) -> None:
    await run.start("sleep 60")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        line = f"import socket; socket.create_connection(('127.0.0.1', {listening.getsockname()[1]}), 5)"
        assert await run.run("python3", "-c", line, network=True) == (0, "")


async def test_a_job_with_the_machine_s_network_gives_it_to_nobody(run: Run) -> None:
    await run.start("sleep 60", network=True)
    assert (await run.run("bash", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"))[1] == "lo\n"


async def test_what_shares_the_network_sees_no_process_of_the_job(run: Run) -> None:
    await run.start("sleep 333.3")
    said = (await run.run("bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; grep CapEff /proc/self/status"))[1]
    assert "333.3" not in said
    assert "CapEff:\t0000000000000000" in said


async def test_its_end_ends_what_put_itself_into_a_session_of_its_own(run: Run) -> None:
    job = await run.start("setsid bash -c 'while :; do date +%N >> ticks; sleep 0.05; done' & sleep 60")
    await asyncio.to_thread(run.background.stop, job.number)
    before = (run.workspace / "ticks").read_bytes()
    await asyncio.sleep(0.3)
    assert (run.workspace / "ticks").read_bytes() == before


async def test_nothing_of_it_is_left_when_its_runner_is_killed(run: Run) -> None:
    await run.start("setsid bash -c 'while :; do date +%N >> ticks; sleep 0.05; done' & sleep 60")
    (note,) = run.jobs.glob("*/background.json")
    os.kill(int((note.parent / "claim").read_text().split()[0]), signal.SIGKILL)
    await asyncio.sleep(0.3)
    before = (run.workspace / "ticks").read_bytes()
    await asyncio.sleep(0.3)
    assert (run.workspace / "ticks").read_bytes() == before


async def test_what_no_command_may_make_ends_it_and_is_kept_aside(run: Run) -> None:
    await run.start("sleep 0.5; echo evil > AGENTS.md; sleep 60")
    for _ in range(200):
        if not run.background.all()[0].is_running:
            break
        await asyncio.sleep(0.05)
    assert run.background.all()[0].state == "ended"
    assert not (run.workspace / "AGENTS.md").exists()
    ((job, folder),) = run.background.moved_aside()
    assert (job.number, [path.read_text() for path in folder.iterdir()]) == (1, ["evil\n"])
