"""The commands in the background of one run: begun by a call, listed, read, ended, and taken over after a kill.

Each has a job folder (jobs.py) with a file `background.json` that tells what it is; so any process can find them.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from ..core.background import BackgroundJob
from ..core.effects import Command, ToolResult
from ..core.errors import ToolError
from ..core.masking import SecretMask
from ..core.ports import CallRef
from .background_notes import NOTE, read_job, read_jobs, write_note
from .command_background import note_owner
from .command_guard import aside_of
from .job_files import command_pid, has_begun, job_folder, job_result, read_output
from .jobs import make_job, remove_job, start_fault, stop_jobs
from .output import cut_front, printed_text
from .sandbox_policy import PROTECTED_NAMES
from .showing import command_line

MAX_JOBS = 4
"""Running at the same time in one run, unless the settings say otherwise."""
TIMEOUT_S = 86_400.0
"""No command in the background runs for longer than a day."""
FIRST_LOOK_S = 1.5
"""How long a call that begins one waits for its first output, or for an early end."""
SHOWN_BYTES = 4_096
"""Of a job's output in one answer: its end."""

_LOOK_S = 0.05


def stop_all(folder: Path) -> list[BackgroundJob]:
    """End all of them with all that they started; return those that were running, as they were."""
    running = {
        job_folder(folder, CallRef(job.agent, job.call_id), 1): job for job in read_jobs(folder) if job.is_running
    }
    stop_jobs(running)
    return list(running.values())


class BackgroundJobs:
    """The background of a run that this process works on (core.ports.Jobs).

    Args:
        folder: of the run's jobs, the same one after a resume.
        secrets: masks command lines and output.
        max_jobs: that may run at the same time; 0 = none.
        shown_bytes: of a job's output in one answer.
        first_look_s: as FIRST_LOOK_S.
    """

    def __init__(
        self,
        folder: Path,
        secrets: SecretMask,
        *,
        max_jobs: int = MAX_JOBS,
        shown_bytes: int = SHOWN_BYTES,
        first_look_s: float = FIRST_LOOK_S,
    ) -> None:
        self._folder = folder
        self._secrets = secrets
        self._max_jobs = max_jobs
        self._shown_bytes = shown_bytes
        self._first_look_s = first_look_s

    def all(self) -> list[BackgroundJob]:
        """Return all jobs of the run, by number."""
        return read_jobs(self._folder)

    def output(self, number: int) -> str:
        """Return the end of what a job has printed so far, for the model; "" = nothing.

        Raises:
            ToolError: there is no such job.
        """
        job = self._find(number)
        whole = self._secrets.mask(printed_text(read_output(self._place(job))))
        return cut_front(whole.rstrip("\n"), self._shown_bytes)

    def stop(self, number: int) -> ToolResult:
        """End a job with all that it started; return what it came to. One that has ended stays as it is.

        Raises:
            ToolError: there is no such job.
        """
        if (job := self._find(number)).is_running:
            stop_jobs([self._place(job)])
        return ToolResult(self.told(number))

    def stop_all(self) -> list[BackgroundJob]:
        """End all jobs; return those that were running."""
        return stop_all(self._folder)

    def take_over(self) -> list[BackgroundJob]:
        """Make the jobs that a killed process of the run has left this process's; return those that it left running.

        What a job whose own runner was killed has left is ended: its state is "gone".
        """
        jobs = self.all()
        if not jobs:
            return []
        note_owner(str(self._folder))
        stop_jobs([self._place(job) for job in jobs if job.state == "gone"])
        return [job for job in jobs if job.is_running]

    def ran_beside(self, job: Path) -> bool:
        """Tell whether any of them may have changed files since the command of another job was begun."""
        try:
            began = (job / "claim").stat().st_mtime
        except FileNotFoundError:
            began = 0.0
        return any(not each.seconds or each.began_at + each.seconds > began for each in self.all())

    def moved_aside(self) -> list[tuple[BackgroundJob, Path]]:
        """Return the jobs during which something was made that no command may make, and where it is kept now."""
        found = ((job, Path(aside_of(str(self._place(job))))) for job in self.all())
        return [(job, folder) for job, folder in found if folder.is_dir()]

    def refuse_guarded(self, workspace: Path, path: str) -> None:
        """Return when a new file may be made beside the jobs: what no command may make ends them, and is moved away.

        Raises:
            ToolError: it is such a name, in the workspace's root.
        """
        name = path.partition("/")[0]
        if name not in PROTECTED_NAMES or os.path.lexists(workspace / name):
            return
        if running := [str(job.number) for job in self.all() if job.is_running]:
            raise ToolError(
                f"{name} can not be made while jobs run in the background. Stop job {', '.join(running)} first."
            )

    def place(self, ref: CallRef, command: Command) -> Path:
        """Return the job folder of a call that begins one, made with its number; a second time it is the same.

        Raises:
            ToolError: as many run as may.
            FlowError: it can not be made.
        """
        job = job_folder(self._folder, ref, 1)
        if (job / NOTE).exists():
            return job
        jobs = self.all()
        running = [f"{each.number} ({each.command[:60]})" for each in jobs if each.is_running]
        if len(running) >= self._max_jobs:
            stop = f" Stop one first: {', '.join(running)}." if running else ""
            raise ToolError(f"no more than {self._max_jobs} jobs may run in the background of a run.{stop}")
        make_job(job)
        note_owner(str(self._folder))
        note = {
            "number": max((each.number for each in jobs), default=0) + 1,
            "agent": ref.agent,
            "call_id": ref.call_id,
            "command": self._secrets.mask(command_line(command)),
            "began_at": time.time(),
        }
        write_note(job, note)
        return job

    async def first_look(self, job: Path) -> ToolResult:
        """Return what the model is told of a job that was just begun, once it has ended or had its time to print."""
        until = time.monotonic() + self._first_look_s
        while command_pid(job) and job_result(job) is None and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
        if not has_begun(job):
            remove_job(job)
            raise ToolError("it was not begun.")
        result = job_result(job) or {}
        if number := int(result.get("errno", 0)):
            remove_job(job)
            raise ToolError(start_fault("the command", number))
        found = read_job(job)
        if found is None:
            raise ToolError("the job's folder is gone.")
        return ToolResult(self.told(found.number), failed=not found.is_running and found.exit_code != 0)

    def told(self, number: int) -> str:
        """Return a job's state and the end of its output, for the model.

        Raises:
            ToolError: there is no such job.
        """
        return f"job {number}: {self._find(number).status()}\n{self.output(number) or '(no output)'}"

    def _place(self, job: BackgroundJob) -> Path:
        return job_folder(self._folder, CallRef(job.agent, job.call_id), 1)

    def _find(self, number: int) -> BackgroundJob:
        jobs = self.all()
        for job in jobs:
            if job.number == number:
                return job
        known = ", ".join(str(job.number) for job in jobs) or "none"
        raise ToolError(f"there is no job {number}. Jobs of this run: {known}.")
