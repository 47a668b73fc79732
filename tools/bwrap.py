"""BwrapSandbox: commands in namespaces of their own, made by bubblewrap from a SandboxPolicy.

A command sees the workspace, what the machine's programs need and nothing else; whatever it starts ends with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..core.effects import Command
from ..core.errors import ToolError
from ..core.ports import CommandOutcome
from .host import scrubbed_env, working_folder
from .job_files import has_begun
from .jobs import FIRST_FEED, Confinement, JobSpec, run_job, start_job
from .sandbox_policy import Limits, SandboxPolicy
from .sandbox_view import SandboxView, require_program
from .seccomp import syscall_filter
from .shared_network import network_beside

_PROBE_TIMEOUT_S = 5.0
_SETUP_FAULT = b"bwrap: "
_BLOCK_BYTES = 512
"""The unit of `ulimit -f` and `-c` in a shell started as sh."""

# The first process inside. It bounds the others there, where processes are counted for the sandbox alone; bash calls
# that limit -u, dash -p. What is left running when the command ends may still finish its output for half a second.
_FIRST_PROCESS = """
ulimit -u "$1" 2>/dev/null || ulimit -p "$1" 2>/dev/null; ulimit -f "$2"; ulimit -c 0; [ "$3" = 0 ] || ulimit -v "$3"
shift 3; "$@"; code=$?; left=10
while set -- /proc/[0-9]*; [ "$#" -gt 1 ] && [ "$left" -gt 0 ]; do left=$((left - 1)); sleep 0.05; done
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Bwrap:
    """A bubblewrap that works here.

    Attributes:
        program: absolute path.
        namespaces: the options that make them, as far as this version and this kernel know them.
    """

    program: str
    namespaces: tuple[str, ...]

    @property
    def can_share(self) -> bool:
        """Whether another sandbox can be made in the network of one."""
        return "--disable-userns" not in self.namespaces


# Nested ones are forbidden: they are where most kernel faults are reached from. The filter of calls does that as well
# and costs less time than bubblewrap, which makes one more for it.
_NAMESPACES = (("--unshare-all", "--unshare-user"), ("--unshare-all",))
_WITHOUT_FILTER = ("--unshare-all", "--unshare-user", "--disable-userns")


def probe_bwrap(path: str) -> Bwrap | str:
    """Return the bubblewrap on this PATH that starts a sandbox here; else why there is none, in a few words."""
    program = shutil.which("bwrap", path=path)
    if program is None or not os.path.isabs(program):
        return "bubblewrap (bwrap) is not installed"
    reason = ""
    for namespaces in _NAMESPACES if syscall_filter() else (_WITHOUT_FILTER, *_NAMESPACES):
        found = Bwrap(program, namespaces)
        words = [*_frame(found, network=False), "--ro-bind", "/", "/", "--size", "1048576", "--tmpfs", "/tmp"]
        try:
            done = subprocess.run(
                [program, *words, "/bin/sh", "-c", ":"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as err:
            return f"bubblewrap can not be started: {err}"
        if done.returncode == 0:
            return found
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2].removeprefix("bwrap: ")
        reason = reason or said or f"it ends with {done.returncode}"
    return f"bubblewrap is installed but starts no sandbox here: {reason}"


def _frame(bwrap: Bwrap, network: bool) -> tuple[str, ...]:
    """Return the options that do not depend on a workspace."""
    return (
        *bwrap.namespaces,
        *(("--share-net",) if network else ()),
        *(
            "--cap-drop",
            "ALL",
            "--new-session",
            "--die-with-parent",
            "--as-pid-1",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
        ),
    )


def bwrap_words(bwrap: Bwrap, policy: SandboxPolicy, cwd: Path, *, joins_network: bool = False) -> list[str]:
    """Return bubblewrap's options for the policy, without its program and the command.

    Args:
        joins_network: it is started in the network namespace of another command, and makes none.
    """
    size = str(policy.limits.scratch_bytes)
    mounts: dict[Path, tuple[str, ...]] = {}
    # Of two entries for one path the later one counts; of two paths the deeper one, since it is mounted later.
    modes = {path: "1777" if path.name in ("tmp", "shm") else "0700" for path in policy.scratch}
    mounts |= {path: ("--perms", mode, "--size", size, "--tmpfs", str(path)) for path, mode in modes.items()}
    mounts |= {path: ("--symlink", target, str(path)) for path, target in policy.links}
    mounts |= _bound("--ro-bind", policy.readable)
    mounts |= _bound("--bind", (*policy.writable, policy.workspace, *policy.pinned))
    mounts |= _bound("--ro-bind", policy.read_only)
    # A device, since opening one is refused below every mount that is not made for devices.
    mounts |= {path: ("--ro-bind", "/dev/null", str(path)) for path in policy.hidden_files}
    mounts |= {path: ("--perms", "0000", "--tmpfs", str(path)) for path in policy.hidden_folders}
    in_order = sorted(mounts.items(), key=lambda each: (len(each[0].parts), each[0]))
    return [
        *_frame(bwrap, policy.network or joins_network),
        *(word for _, words in in_order for word in words),
        *(word for path in (*policy.hidden_folders, "/dev", "/proc", "/") for word in ("--remount-ro", str(path))),
        *("--chdir", str(cwd)),
    ]


def _bound(option: str, paths: tuple[Path, ...]) -> dict[Path, tuple[str, ...]]:
    return {path: (option, str(path), str(path)) for path in paths}


def first_process(limits: Limits, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words that run a command inside, under the limits that count there."""
    numbers = (limits.processes, limits.file_bytes // _BLOCK_BYTES, limits.memory_bytes // 1024)
    return ("/bin/sh", "-c", _FIRST_PROCESS, "sh", *map(str, numbers), *argv)


class BwrapSandbox:
    """Runs commands in bubblewrap (core.ports.Sandbox)."""

    kind = "bubblewrap"

    def __init__(self, bwrap: Bwrap, view: SandboxView, environ: Mapping[str, str]) -> None:
        self._bwrap = bwrap
        self._view = view
        self._environ = environ

    async def run(self, command: Command, workspace: Path, job: Path) -> CommandOutcome:
        """Return what the command came to; nothing of it is left running.

        A timeout or a cancellation ends all of it, also what put itself into a session of its own.

        Raises:
            ToolError: the program or the working directory does not exist, or no sandbox can be made for them.
            FlowError: the job's folder can not be written, or the workspace is no place to be kept in.
        """
        with self._spec(command, workspace, job) as spec:
            outcome = await run_job(job, spec)
        if outcome.exit_code == 1 and outcome.output.startswith(_SETUP_FAULT):
            reason = outcome.output.decode("utf-8", "replace").strip().removeprefix(_SETUP_FAULT.decode())
            raise ToolError(f"the sandbox could not be made: {reason}.")
        return outcome

    async def start(self, command: Command, workspace: Path, job: Path) -> None:
        """Begin a command in the background.

        Raises:
            ToolError, FlowError: as `run`; a sandbox that could not be made shows in what it printed.
        """
        with self._spec(command, workspace, job) as spec:
            await start_job(job, spec)

    @contextmanager
    def _spec(self, command: Command, workspace: Path, job: Path) -> Iterator[JobSpec]:
        """Give the command as it is run; what it needs is held open meanwhile."""
        cwd = workspace if has_begun(job) else working_folder(workspace, command.cwd)
        policy = self._view.policy(command, workspace, job)
        env = {**self._view.environment(scrubbed_env(self._environ)), **command.env, **dict(policy.env)}
        if not has_begun(job):
            require_program(command.argv[0], cwd, env.get("PATH", os.defpath))
        if policy.network or not self._bwrap.can_share:
            yield self._spec_in(-1, command, policy, cwd, env)
            return
        with network_beside(job) as network:
            yield self._spec_in(network, command, policy, cwd, env)

    def _spec_in(
        self, network: int, command: Command, policy: SandboxPolicy, cwd: Path, env: Mapping[str, str]
    ) -> JobSpec:
        words = bwrap_words(self._bwrap, policy, cwd, joins_network=network >= 0)
        feeds = [b""]
        if calls := syscall_filter():
            words += ["--seccomp", str(FIRST_FEED + 1)]
            feeds.append(calls)
        feeds[0] = b"".join(os.fsencode(word) + b"\0" for word in words)
        argv = (self._bwrap.program, "--args", str(FIRST_FEED), "--", *first_process(policy.limits, command.argv))
        guarded = tuple((each.path, each.target) for each in policy.guarded)
        confinement = Confinement(tuple(feeds), guarded, policy.limits.processes)
        return JobSpec(argv, Path("/"), env, command.timeout_s, confinement, network)
