"""The commands in the background of a run, as `flow runs show` and `tail` list them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .printing import node_name

if TYPE_CHECKING:
    from ..core.background import BackgroundJob
    from ..runs.store import RunStore


def running_jobs(store: RunStore, run_id: str) -> list[BackgroundJob]:
    """Return those that run now, whichever process looks."""
    from ..tools.background_notes import read_jobs

    return [job for job in read_jobs(store.jobs_folder(run_id)) if job.is_running]


def job_lines(jobs: Sequence[BackgroundJob]) -> list[str]:
    """Return one line for each job below a headline; [] = there are none."""
    from .amounts import duration
    from .runs import columns

    if not jobs:
        return []
    rows = [("JOB", "PID", "AGE", "NODE", "COMMAND")]
    rows += [
        (str(job.number), str(job.pid), duration(job.seconds), node_name(job.agent), job.command) for job in jobs
    ]
    return ["Running in the background:", *(f"  {line}" for line in columns(rows))]
