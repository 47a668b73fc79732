"""SeatbeltSandbox: macOS's sandbox-exec, with a profile made from the same policy as the other sandboxes.

UNTESTED: no part of it has run on a Mac. The profile's text is held by a test, its effect by none; so it is used only
where `sandbox.backend` names it. It makes no namespaces: processes are seen, and may outlive the command.

Source: the profile language as Apple's own profiles in /System/Library/Sandbox/Profiles use it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core.effects import Command
from ..core.ports import CommandOutcome
from .host import scrubbed_env, working_folder
from .job_files import has_begun
from .jobs import JobSpec, run_job, start_job
from .sandbox_policy import SandboxPolicy
from .sandbox_view import SandboxView, require_program

_PROGRAM = "/usr/bin/sandbox-exec"
_MAC_FOLDERS = tuple(map(Path, ("/System", "/Library", "/private/etc", "/private/var/db", "/Applications", "/dev")))


def probe_seatbelt() -> str:
    """Return why there is no sandbox-exec here; "" = there is."""
    return "" if sys.platform == "darwin" and shutil.which(_PROGRAM) else "sandbox-exec is macOS's"


def seatbelt_profile(policy: SandboxPolicy, temporary: Path) -> str:
    """Return the profile that sandbox-exec takes by -p. Of several rules for one path the last one counts.

    Args:
        temporary: folder for temporary files, of this command alone.
    """
    writable = (policy.workspace, *policy.writable, temporary)
    lines = [
        "(version 1)",
        "(deny default)",
        "(allow process-exec process-fork)",
        "(allow signal (target same-sandbox))",
        "(allow sysctl-read file-read-metadata mach-lookup)",
        '(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty"))',
        _rule("allow file-read*", (*_MAC_FOLDERS, *policy.readable, *writable)),
        _rule("allow file-write*", writable),
        _rule("deny file-write*", policy.pinned, "literal"),
        _rule("deny file-write*", (*policy.read_only, *(each.path for each in policy.guarded))),
        _rule("deny file-read* file-write*", (*policy.hidden_files, *policy.hidden_folders)),
        "(allow network*)" if policy.network else "(deny network*)",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _rule(what: str, paths: Iterable[Path], how: str = "subpath") -> str:
    """Return a rule for these paths; "" = there are none, since a rule without any would be one for all."""
    named = [f"    ({how} {_quoted(str(path))})" for path in paths]
    return "\n".join([f"({what}", *named]) + ")" if named else ""


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


class SeatbeltSandbox:
    """Runs commands under sandbox-exec (core.ports.Sandbox). Untested."""

    kind = "seatbelt"

    def __init__(self, view: SandboxView, environ: Mapping[str, str]) -> None:
        self._view = view
        self._environ = environ

    async def run(self, command: Command, workspace: Path, job: Path) -> CommandOutcome:
        """Return what the command came to.

        Raises:
            ToolError: the program or the working directory does not exist.
            FlowError: the job's folder can not be written, or the workspace is no place to be kept in.
        """
        return await run_job(job, self._spec(command, workspace, job))

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
        env = {**self._view.environment(scrubbed_env(self._environ)), **command.env, **dict(policy.env)}
        if not has_begun(job):
            require_program(command.argv[0], cwd, env.get("PATH", os.defpath))
            temporary.mkdir(mode=0o700, exist_ok=True)
        argv = (_PROGRAM, "-p", seatbelt_profile(policy, temporary), *command.argv)
        return JobSpec(argv, cwd, {**env, "TMPDIR": str(temporary)}, command.timeout_s)
