"""Jobs: commands that run under a process of their own (command_runner.py) and are never begun twice.

Used by the sandboxes to run a command, and by the effect runner to make a call's job folder and to remove it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..configs.dirs import make_private
from ..core.errors import ConfigError, FlowError, ToolError
from ..core.ports import CallRef, CommandOutcome

MAX_OUTPUT_BYTES = 262_144
"""Kept of a command's output: half from its head, half from its tail."""
GRACE_S = 3.0
"""Between the request to end and the kill."""
DRAIN_S = 0.5
"""How long output is still read once the program has ended: a child in the background may hold the pipe for good."""
TIMEOUT_EXIT = 124
FIRST_FEED = 100
"""Descriptor of the first of a program's feeds; the runner's own are below."""

_HALF = MAX_OUTPUT_BYTES // 2
_RUNNER = Path(__file__).with_name("command_runner.py")
_STOP_LIMIT_S = GRACE_S + 5.0
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
    """A command as it is given to the system: `cwd` absolute, `env` complete. `confinement`: None = no sandbox."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    timeout_s: float
    confinement: Confinement | None = None


def job_folder(jobs: Path, ref: CallRef, attempt: int) -> Path:
    """Return where the job of a call's attempt lies, made or not; attempts count from 1."""
    name = hashlib.sha256(f"{ref.agent}\0{ref.call_id}".encode(errors="surrogatepass")).hexdigest()[:32]
    return jobs / (name if attempt == 1 else f"{name}.{attempt}")


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


def has_begun(job: Path) -> bool:
    """Tell whether the job's command was begun, by whichever process."""
    try:
        return (job / "claim").stat().st_size > 0
    except FileNotFoundError:
        return False


async def run_job(job: Path, spec: JobSpec) -> CommandOutcome:
    """Return what the job's command came to, running it now if it never began.

    However many processes call this, and whichever of them are killed, the command is begun once: the others wait for
    it and return the same. A cancellation ends it. The folder must exist; when it is gone, nothing is run, since
    a job is removed once its result is known elsewhere.

    Raises:
        ToolError: the program can not be started.
        FlowError: nothing was run, or its result is lost, since the folder can not be written.
    """
    result = _result(job)
    if result is None:
        await _run_runner(job, spec)
        result = _result(job)
    if result is None and spec.confinement is not None:
        await _run_runner(job, spec)  # that one was killed: another one puts right what it watched over
    return _outcome(job, spec, result)


def read_output(job: Path) -> bytes:
    """Return what the command has printed, also while it runs; a line says how much of its middle was not kept."""
    files = {int(path.suffix[1:]): _bytes(path) for path in job.glob("output.[0-9]*")}
    last = max(files, default=0)
    head = files.get(0, b"")
    tail = b"".join(files.get(number, b"") for number in (last - 1, last) if number > 0)[-_HALF:]
    left_out = last * _HALF + len(files.get(last, b"")) - len(head) - len(tail)
    if not last or left_out <= 0:
        return head + tail
    return head + f"\n[... {left_out:,} bytes of output were not kept ...]\n".encode() + tail


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a running command has printed on meanwhile
        return b""


def _result(job: Path) -> dict[str, float] | None:
    """Return what the runner wrote at its end; None = it did not come to its end."""
    try:
        result: dict[str, float] = json.loads((job / "result").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return result


def _outcome(job: Path, spec: JobSpec, result: dict[str, float] | None) -> CommandOutcome:
    if result is None:
        return CommandOutcome(-1, read_output(job), False, 0.0, ended=False)
    if number := int(result.get("errno", 0)):
        raise ToolError(_start_fault(spec.argv[0], number))
    output = read_output(job)
    if number := int(result["output_errno"]):
        output += f"\n[... the output from here on could not be kept: {os.strerror(number)} ...]\n".encode()
    code, timed_out = int(result["exit_code"]), bool(result["timed_out"])
    exit_code = TIMEOUT_EXIT if timed_out else 128 - code if code < 0 else code
    return CommandOutcome(exit_code, output, timed_out, result["seconds"], ended=not result["stopped"])


def _start_fault(program: str, number: int) -> str:
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
    numbers = (spec.timeout_s, GRACE_S, DRAIN_S, _HALF, confinement.max_processes, FIRST_FEED)
    counts = (len(spec.argv), len(confinement.feeds), len(confinement.guarded))
    feeds = [feed.hex() for feed in confinement.feeds]
    guarded = [word for path, target in confinement.guarded for word in (str(path), target)]
    env = [f"{name}={value}" for name, value in spec.env.items()]
    words = (str(spec.cwd), *map(str, (*numbers, *counts)), *spec.argv, *feeds, *guarded, *env)
    try:
        fields = [os.fsencode(word) for word in words]
    except UnicodeEncodeError as err:
        raise ToolError("the command holds characters that can not be passed to a program.") from err
    if any(b"\0" in field for field in fields):
        raise ToolError("the command holds a NUL character, which can not be passed to a program.")
    return b"".join(field + b"\0" for field in fields)
