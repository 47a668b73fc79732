"""LandlockSandbox: the second choice, where namespaces are forbidden. It confines files and the internet, not more.

Covered: writing outside the workspace, reading what a SandboxPolicy does not name, signals to other processes and
abstract sockets where the kernel can (5.13 for files, 6.7 for TCP, 6.12 for signals), and every internet socket where
the system call filter is known. Not covered: `.git` and the other protected files in the workspace, ignore files,
sockets that are files, what runs on after a kill of its parents. So every command that is not plainly harmless is
still to be asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ..core.effects import Command
from ..core.errors import ToolError
from ..core.ports import CommandOutcome
from .host import scrubbed_env, working_folder
from .job_files import has_begun
from .jobs import JobSpec, run_job, start_job
from .sandbox_policy import SandboxPolicy
from .sandbox_view import SandboxView, require_program
from .seccomp import syscall_filter

_LAUNCHER = Path(__file__).with_name("landlock_launch.py")
_DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
_SETUP_FAULT = b"landlock: "


def probe_landlock() -> str:
    """Return why Landlock confines nothing here; "" = it works."""
    if sys.platform != "linux":
        return "Landlock is Linux's"
    from .landlock_launch import abi

    return "" if abi() > 0 else "the kernel offers no Landlock"


def landlock_words(policy: SandboxPolicy, temporary: Path, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command line that runs a command under the policy.

    Args:
        temporary: folder for temporary files, of this command alone.
    """
    readable = [*policy.readable, Path("/proc")]
    writable = [policy.workspace, *policy.writable, temporary, *map(Path, _DEVICES)]
    limits = policy.limits
    numbers = (limits.processes, limits.file_bytes, limits.memory_bytes)
    calls = syscall_filter(sockets=policy.network).hex()
    head = (len(readable), len(writable), int(policy.network), *numbers, calls)
    return (sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, (*head, *readable, *writable)), *argv)


class LandlockSandbox:
    """Runs commands under Landlock (core.ports.Sandbox); see above for what it does not cover."""

    kind = "landlock"

    def __init__(self, view: SandboxView, environ: Mapping[str, str]) -> None:
        self._view = view
        self._environ = environ

    async def run(self, command: Command, workspace: Path, job: Path) -> CommandOutcome:
        """Return what the command came to.

        Raises:
            ToolError: the program or the working directory does not exist, or the kernel refuses to confine it.
            FlowError: the job's folder can not be written, or the workspace is no place to be kept in.
        """
        outcome = await run_job(job, self._spec(command, workspace, job))
        if outcome.exit_code == 127 and outcome.output.startswith(_SETUP_FAULT):
            reason = outcome.output.decode("utf-8", "replace").strip().removeprefix(_SETUP_FAULT.decode())
            raise ToolError(f"the command could not be confined: {reason}.")
        return outcome

    async def start(self, command: Command, workspace: Path, job: Path) -> None:
        """Begin a command in the background.

        Raises:
            ToolError, FlowError: as `run`.
        """
        await start_job(job, self._spec(command, workspace, job))

    def _spec(self, command: Command, workspace: Path, job: Path) -> JobSpec:
        cwd = workspace if has_begun(job) else working_folder(workspace, command.cwd)
        policy = self._view.policy(command, workspace, job)
        temporary = job / "tmp"
        places = {"TMPDIR": str(temporary), "XDG_CACHE_HOME": str(temporary)}
        env = {**self._view.environment(scrubbed_env(self._environ)), **command.env, **dict(policy.env), **places}
        if not has_begun(job):
            require_program(command.argv[0], cwd, env.get("PATH", os.defpath))
            temporary.mkdir(mode=0o700, exist_ok=True)
        return JobSpec(landlock_words(policy, temporary, command.argv), cwd, env, command.timeout_s)
