"""Jobs: commands that run under a process of their own (command_runner.py) and are never begun twice.

Used by the sandboxes to run a command, and by the effect runner to make a call's job folder and to remove it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..configs.dirs import make_private
from ..core.errors import ConfigError, FlowError, ToolError
from ..core.ports import CommandOutcome
from .command_claim import processes, send_signal, started_at
from .job_files import HALF_OUTPUT, command_pid, exit_code_of, has_begun, job_result, read_output

GRACE_S = 3.0
"""Between the request to end and the kill."""
DRAIN_S = 0.5
"""How long output is still read once the program has ended: a child in the background may hold the pipe for good."""
ORPHAN_S = 300.0
"""How long a command in the background waits for somebody to take its run up again, once flow itself was killed."""
FIRST_FEED = 100
"""Descriptor of the first of a program's feeds; the runner's own are below."""

_RUNNER = Path(__file__).with_name("command_runner.py")
_STOP_LIMIT_S = GRACE_S + 5.0
_SANDBOX_STOP_LIMIT_S = GRACE_S + 15.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the runner does for a program that is a sandbox: one with a process namespace, whose end ends all in it.

    Attributes:
        feeds: bytes that the program finds in files at the descriptors from FIRST_FEED on.
        guarded: paths, each with the target of the link that has to stand there; "" = nothing may stand there. A
            command that changes that is ended, and what it made is moved aside.
        max_processes: processes and threads in it before it is ended, above 0.
    """

    feeds: tuple[bytes, ...]
    guarded: tuple[tuple[Path, str], ...]
    max_processes: int


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A command as it is given to the system.

    Attributes:
        cwd: absolute.
        env: complete.
        confinement: None = no sandbox.
        network: open descriptor of the network namespace that it is started in; -1 = of this process's own.
        orphan_s: seconds that it runs on with its run killed; 0 = it is waited for, and needs no run.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    timeout_s: float
    confinement: Confinement | None = None
    network: int = -1
    orphan_s: float = 0.0


def make_job(job: Path) -> None:
    """Make the job's folder, for the owner only; one that is there stays.

    Raises:
        FlowError: it cannot be made.
    """
    try:
        make_private(job)
    except ConfigError as err:
        raise FlowError(
            f"No command can be run: {err.message}", hint="Free space or mend its permissions, then resume the run."
        ) from err


def remove_job(job: Path) -> None:
    """Remove what a job that is done left behind."""
    # What cannot be removed is not needed by anybody, and goes with the run.
    shutil.rmtree(job, ignore_errors=True)


async def start_job(job: Path, spec: JobSpec) -> None:
    """Begin the job's command in the background unless it was begun before, and return once it has begun.

    It outlives this process. It ends by itself, by `stop_jobs`, at its time limit, or ORPHAN_S after the process that
    `note_owner` named beside it is gone. The folder must exist.

    Raises:
        ToolError: the command can not be given to a program; one that can not be started shows by its result.
        FlowError: nothing was run, since the folder can not be written.
    """
    if not has_begun(job):
        await _run_runner(job, spec if spec.orphan_s else replace(spec, orphan_s=ORPHAN_S))


def stop_jobs(jobs: Iterable[Path]) -> None:
    """End the commands of these jobs with all that they started, whoever began them; return once that is done.

    They are asked first, and have GRACE_S to end by themselves. What the runner of one that was killed has left is
    ended and put right as well.
    """
    begun = [job for job in jobs if has_begun(job)]
    left = begun
    for look in range(int(_SANDBOX_STOP_LIMIT_S / _LOOK_S)):
        left = [job for job in left if command_pid(job)]
        if not left:
            break
        if look % 50 == 0:
            for job in left:
                _signal_runner(job, signal.SIGTERM)
        time.sleep(_LOOK_S)
    for job in left:  # stuck: without its runner the next one ends what it left
        _signal_runner(job, signal.SIGKILL)
    for job in begun:
        if job_result(job) is None:
            _end_left_over(job)


def _end_left_over(job: Path) -> None:
    """Have a new runner end and put right what one that was killed has left; nothing is begun."""
    spec = JobSpec(("true",), Path("/"), {}, 1.0)
    with _started(job, spec) as process:
        try:
            process.communicate(_wire(spec), timeout=_SANDBOX_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _signal_runner(job: Path, number: int) -> None:
    with open(job / "claim", "rb") as file:
        for pid, start in processes(file.fileno())[:1]:
            if started_at(pid) == start:
                send_signal(os.kill, pid, number)


async def run_job(job: Path, spec: JobSpec) -> CommandOutcome:
    """Return what the job's command came to, running it now if it never began.

    However many processes call this, and whichever of them are killed, the command is begun once: the others wait for
    it and return the same. A cancellation ends it. The folder must exist; when it is gone, nothing is run, since
    a job is removed once its result is known elsewhere.

    Raises:
        ToolError: the program can not be started.
        FlowError: nothing was run, or its result is lost, since the folder can not be written.
    """
    result = job_result(job)
    if result is None:
        await _run_runner(job, spec)
        result = job_result(job)
    if result is None and spec.confinement is not None:
        await _run_runner(job, spec)  # that one was killed: another one puts right what it watched over
    return _outcome(job, spec, result)


def _outcome(job: Path, spec: JobSpec, result: dict[str, float] | None) -> CommandOutcome:
    if result is None:
        return CommandOutcome(-1, read_output(job), False, 0.0, ended=False)
    if number := int(result.get("errno", 0)):
        raise ToolError(start_fault(spec.argv[0], number))
    output = read_output(job)
    if number := int(result["output_errno"]):
        output += f"\n[... the output from here on could not be kept: {os.strerror(number)} ...]\n".encode()
    timed_out = bool(result["timed_out"])
    return CommandOutcome(exit_code_of(result), output, timed_out, result["seconds"], ended=not result["stopped"])


def start_fault(program: str, number: int) -> str:
    """Return why a program could not be started, from the number of the system's error."""
    reason = os.strerror(number)
    if isinstance(OSError(number, reason), (FileNotFoundError, PermissionError, NotADirectoryError)):
        return f"{program!r} can not be run: {reason}."
    return f"the command can not be started: {reason}. Is it too long?"


class _Said(asyncio.Protocol):
    """What the runner says in its trouble. The pipe closes when the runner ends: waiting for that costs nothing."""

    def __init__(self) -> None:
        self.text = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.text = (self.text + data)[-2000:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def _run_runner(job: Path, spec: JobSpec) -> None:
    """Start a runner and wait for its end; a cancellation is passed on to it.

    Raises:
        ToolError: the command can not be given to it.
        FlowError: it could not begin the command, or not store what it came to.
    """
    wire = _wire(spec)
    process = _started(job, spec)
    said = _Said()
    try:
        await _follow(process, wire, said)
    except BaseException:
        await _end(process)
        raise
    code = process.wait()
    if code > 0 or (job.is_dir() and not has_begun(job)):
        reason = said.text.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise FlowError(
            f"The command's job in {str(job)!r} failed: {reason or f'its process ended with {code}'}.",
            hint="Free space or mend its permissions, then resume the run.",
        )


def _started(job: Path, spec: JobSpec) -> subprocess.Popen[bytes]:
    # Not asyncio's subprocess: when its transport is closed it kills the child, and this one is to outlive us.
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_RUNNER), str(job.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=spec.env,  # the command's: what it reads of its parent shall be no more than it was given
            pass_fds=(spec.network,) if spec.network >= 0 else (),
            start_new_session=True,
        )
    except OSError as err:
        raise ToolError(f"the command can not be started: {err.strerror}. Is its environment too long?") from err


async def _follow(process: subprocess.Popen[bytes], wire: bytes, said: _Said) -> None:
    """Tell the runner what to run, through a pipe so that no environment is ever on the disk; wait for its end."""
    loop = asyncio.get_running_loop()
    feed, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
    feed.write(wire)
    feed.close()
    listener, _ = await loop.connect_read_pipe(lambda: said, process.stderr)
    try:
        await said.ended.wait()
    finally:
        listener.close()


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Have the runner end its command, and wait until it has; once more cancelled, it is left to do so alone."""
    if process.stderr is not None:
        process.stderr.close()
    for look in range(int(_STOP_LIMIT_S / _LOOK_S)):
        if process.poll() is not None:
            return
        if look % 50 == 0:  # again, since another runner that waits may have had nobody yet to pass it on to
            process.terminate()
        await asyncio.sleep(_LOOK_S)


def _wire(spec: JobSpec) -> bytes:
    """Return the fields that command_runner.Spec reads.

    Raises:
        ToolError: the command can not be passed to a program.
    """
    confinement = spec.confinement or Confinement((), (), 0)
    times = (spec.timeout_s, GRACE_S, DRAIN_S, spec.orphan_s)
    numbers = (HALF_OUTPUT, confinement.max_processes, FIRST_FEED, spec.network)
    counts = (len(spec.argv), len(confinement.feeds), len(confinement.guarded))
    feeds = [feed.hex() for feed in confinement.feeds]
    guarded = [word for path, target in confinement.guarded for word in (str(path), target)]
    env = [f"{name}={value}" for name, value in spec.env.items()]
    words = (str(spec.cwd), *map(str, (*times, *numbers, *counts)), *spec.argv, *feeds, *guarded, *env)
    try:
        fields = [os.fsencode(word) for word in words]
    except UnicodeEncodeError as err:
        raise ToolError("the command holds characters that can not be passed to a program.") from err
    if any(b"\0" in field for field in fields):
        raise ToolError("the command holds a NUL character, which can not be passed to a program.")
    return b"".join(field + b"\0" for field in fields)
