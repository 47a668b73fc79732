"""HostSandbox: commands on the machine itself, without confinement, but bounded in time, output and environment."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..core.effects import Command
from ..core.errors import ToolError
from ..core.ports import CommandOutcome
from .paths import resolve_inside

MAX_OUTPUT_BYTES = 262_144
"""Kept of a command's output: half from its head, half from its tail."""
GRACE_S = 3.0
"""Between the request to end and the kill."""
DRAIN_S = 0.5
"""How long output is still read once the program has ended: a child in the background may hold the pipe for good."""
TIMEOUT_EXIT = 124

_SECRETS = re.compile(
    r"(.*_)?(KEY|TOKEN|SECRET|CREDENTIALS?|PASSPHRASE)|.*(PASSWORD|PASSWD).*|AWS_.*|SSH_AUTH_SOCK|SSH_AGENT_PID"
    r"|(GIT|SSH|SUDO)_ASKPASS",
    re.IGNORECASE,
)
# Set while git runs a hook: they would turn a command's git to another repository.
_REDIRECTIONS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"})
_QUIET = {"PAGER": "cat", "GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0", "CI": "1", "TERM": "dumb"}


def scrubbed_env(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for commands: no secrets by name, no pager, no prompt, no colours."""
    kept = {name: value for name, value in environ.items() if not (_SECRETS.fullmatch(name) or name in _REDIRECTIONS)}
    return {**kept, **_QUIET}


class HostSandbox:
    """Runs commands as this user, with everything this user may do (core.ports.Sandbox).

    A child that puts itself into a session of its own outlives the command; only a real sandbox ends it.

    Args:
        environ: what the commands' environment is taken from; None = this process's own.
    """

    kind = "none"

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ

    async def run(self, command: Command, workspace: Path) -> CommandOutcome:
        """Run a command to its end; a timeout or a cancellation ends its whole process group.

        Raises:
            ToolError: the program or the working directory does not exist.
        """
        cwd = resolve_inside(workspace, command.cwd)
        if not cwd.is_dir():
            raise ToolError(f"there is no folder {command.cwd!r} to run the command in.")
        started = time.monotonic()
        output = _Output()
        read_end, write_end = os.pipe()
        transport = await _read_from(read_end, output, write_end)
        try:
            process = await self._start(command, cwd, write_end)
            timed_out = await _wait(process, command.timeout_s, output)
        finally:
            transport.close()
        exit_code = TIMEOUT_EXIT if timed_out else _exit_code(process.returncode or 0)
        return CommandOutcome(exit_code, output.joined(), timed_out, time.monotonic() - started)

    async def _start(self, command: Command, cwd: Path, write_end: int) -> asyncio.subprocess.Process:
        environ = os.environ if self._environ is None else self._environ
        try:
            return await asyncio.create_subprocess_exec(
                *command.argv,
                cwd=cwd,
                env={**scrubbed_env(environ), **command.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as err:
            raise ToolError(f"{command.argv[0]!r} can not be run: {err.strerror}.") from err
        except OSError as err:
            raise ToolError(f"the command can not be started: {err.strerror}. Is it too long?") from err
        finally:
            os.close(write_end)


class _Output(asyncio.Protocol):
    """Collects what comes through the pipe: head and tail, and how much came in between."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0
        self._closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        half = MAX_OUTPUT_BYTES // 2
        room = half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if (surplus := len(self._tail) - half) > half:  # trimmed in large pieces, not at every read
            del self._tail[:surplus]
            self._left_out += surplus

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    async def drained(self, timeout_s: float) -> None:
        """Return when the pipe is closed at the other end, or after the time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), timeout_s)

    def joined(self) -> bytes:
        """Return the output; a line says how much of its middle was not kept."""
        surplus = max(len(self._tail) - MAX_OUTPUT_BYTES // 2, 0)
        left_out = self._left_out + surplus
        if not left_out:
            return bytes(self._head + self._tail)
        note = f"\n[... {left_out:,} bytes of output were not kept ...]\n".encode()
        return bytes(self._head) + note + bytes(self._tail[surplus:])


async def _read_from(read_end: int, output: _Output, write_end: int) -> asyncio.ReadTransport:
    """Connect our own pipe: asyncio's own would make the wait for the program wait for the pipe as well."""
    try:
        pipe = os.fdopen(read_end, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, pipe)
    except BaseException:
        os.close(write_end)
        raise
    return transport


async def _wait(process: asyncio.subprocess.Process, timeout_s: float, output: _Output) -> bool:
    """Wait for the program and return whether the time ran out; nothing of its group is left running."""
    try:
        await asyncio.wait_for(process.wait(), timeout_s)
        await output.drained(DRAIN_S)
    except TimeoutError:
        return True
    finally:
        await _end_group(process)
        await output.drained(DRAIN_S)
    return False


async def _end_group(process: asyncio.subprocess.Process) -> None:
    try:
        if process.returncode is None and _signal_group(process, signal.SIGTERM):
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_S)
    finally:  # also when a second cancellation comes during the grace
        _signal_group(process, signal.SIGKILL)
    await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> bool:
    """Signal the program's group, which may outlive the program itself; False = nobody is left in it."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _exit_code(returncode: int) -> int:
    return 128 - returncode if returncode < 0 else returncode
