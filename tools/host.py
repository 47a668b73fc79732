"""HostSandbox: commands on the machine itself, without confinement, but bounded in time, output and environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..core.effects import Command
from ..core.errors import ToolError
from ..core.ports import CommandOutcome
from .job_files import has_begun
from .jobs import JobSpec, run_job, start_job
from .paths import resolve_inside

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

    async def run(self, command: Command, workspace: Path, job: Path) -> CommandOutcome:
        """Return what the command came to; it is begun once for a job, by whichever process, and outlives this one.

        A timeout or a cancellation ends its whole process group.

        Raises:
            ToolError: the program or the working directory does not exist.
            FlowError: the job's folder can not be written.
        """
        return await run_job(job, self._spec(command, workspace, job))

    async def start(self, command: Command, workspace: Path, job: Path) -> None:
        """Begin a command in the background; its end ends, on Linux, also what put itself into a session of its own.

        Raises:
            ToolError, FlowError: as `run`.
        """
        await start_job(job, self._spec(command, workspace, job))

    def _spec(self, command: Command, workspace: Path, job: Path) -> JobSpec:
        # A command that was begun may have removed its own folder meanwhile.
        cwd = workspace if has_begun(job) else working_folder(workspace, command.cwd)
        environ = os.environ if self._environ is None else self._environ
        return JobSpec(command.argv, cwd, {**scrubbed_env(environ), **command.env}, command.timeout_s)


def working_folder(workspace: Path, cwd: str) -> Path:
    """Return the absolute folder that a command is to run in.

    Raises:
        ToolError: it is outside the workspace, or not a folder.
    """
    folder = resolve_inside(workspace, cwd)
    if not folder.is_dir():
        raise ToolError(f"there is no folder {cwd!r} to run the command in.")
    return folder
