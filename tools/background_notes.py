"""The commands in the background of a run as any process finds them: by the note in each one's job folder.

Imports nothing heavy: commands that list runs read it too.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ..core.background import BackgroundJob, JobState
from .job_files import command_pid, exit_code_of, has_begun, job_result

NOTE = "background.json"


def job_folders(folder: Path) -> list[Path]:
    """Return the job folders of what runs in the background or did.

    Args:
        folder: of a run's jobs; it need not exist.
    """
    return sorted(note.parent for note in folder.glob(f"*/{NOTE}"))


def read_jobs(folder: Path) -> list[BackgroundJob]:
    """Return what runs in the background or did, by number; the folder is as for `job_folders`."""
    found = map(read_job, job_folders(folder))
    return sorted((job for job in found if job is not None), key=lambda job: job.number)


def read_job(job: Path) -> BackgroundJob | None:
    """Return what a job's folder says; None = its command never began, or it is no job in the background."""
    try:
        note: dict[str, Any] = json.loads((job / NOTE).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if not has_begun(job):
        return None
    # In this order: nobody watches over a job any more that has its result.
    pid = command_pid(job)
    if (result := job_result(job)) is not None:
        state, seconds, code = _ended(result)
        return BackgroundJob(**note, pid=0, state=state, seconds=seconds, exit_code=code)
    seconds = max(0.0, time.time() - note["began_at"]) if pid else 0.0
    return BackgroundJob(**note, pid=pid, state="running" if pid else "gone", seconds=seconds)


def _ended(result: dict[str, float]) -> tuple[JobState, float, int | None]:
    seconds = max(result.get("seconds", 0.0), 0.001)
    if result.get("stopped") or result.get("timed_out"):
        return "stopped", seconds, None
    return "ended", seconds, 127 if "errno" in result else exit_code_of(result)


def write_note(job: Path, note: dict[str, Any]) -> None:
    """Keep what a job is, in one piece: number, agent, call_id, command and began_at, as in BackgroundJob."""
    new = job / f"{NOTE}.new"
    new.write_text(json.dumps(note), "utf-8")
    os.replace(new, job / NOTE)
