"""The background of a run that this process drives: its jobs are taken over at the start and ended with the run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..core.background import BackgroundJob
from ..core.errors import FlowError
from ..core.events import Noticed
from ..core.ports import EventSink
from ..runs.fence import LeaseLost
from ..runs.lease import RunLease
from ..tools.background_jobs import BackgroundJobs

_SHOWN_CHARS = 100


class RunBackground:
    """Sees to it that nothing runs on once the run has stopped, for whatever reason.

    Args:
        lease: of the run: what another process has taken over is that one's to end.
    """

    def __init__(self, jobs: BackgroundJobs, lease: RunLease, sink: EventSink) -> None:
        self.jobs = jobs
        self._lease = lease
        self._sink = sink

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Take over what a killed process of the run left running; at the end of the block nothing is left."""
        self._tell(self.jobs.take_over(), "goes on in the background")
        try:
            yield
        finally:
            if self._is_ours():
                self.jobs.stop_all()

    async def end(self) -> None:
        """End all jobs and tell of them; to be called before the run counts as ended."""
        if self._is_ours():
            self._tell(await asyncio.to_thread(self.jobs.stop_all), "was ended with the run")
            for job, folder in self.jobs.moved_aside():
                names = ", ".join(sorted(path.name.partition("-")[2] for path in folder.iterdir()))
                told = f"{names} was made while job {job.number} ran, and no command may make it: kept in {folder}"
                self._sink.emit(job.agent, Noticed(told))

    def _tell(self, jobs: Sequence[BackgroundJob], what: str) -> None:
        for job in jobs:
            text = f"Job {job.number} {what}: {job.command[:_SHOWN_CHARS]} (pid {job.pid})"
            self._sink.emit(job.agent, Noticed(text))

    def _is_ours(self) -> bool:
        try:
            self._lease.check()
        except LeaseLost:
            return False
        except FlowError:  # the database can not be read: nobody else can have taken the run
            return True
        return True
