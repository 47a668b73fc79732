"""The network that the sandboxed commands of a run share with what runs in its background: a server is reached there.

Without it every command has a network of its own, in which nothing but itself can be reached. Linux alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .background_notes import job_folders
from .command_claim import started_at
from .command_guard import first_child
from .job_files import command_pid


@contextmanager
def network_beside(job: Path) -> Iterator[int]:
    """Give the open descriptor of the network that a command of this job is to be started in; -1 = one of its own.

    It is that of the first command in the background, of those in the folder beside the job, that has no more than
    a network of its own.
    """
    found = next(filter(lambda opened: opened >= 0, map(_network_of, job_folders(job.parent))), -1)
    try:
        yield found
    finally:
        if found >= 0:
            os.close(found)


def _network_of(job: Path) -> int:
    """Return an open descriptor of a running sandbox's own network; -1 = it has the machine's, or has ended."""
    sandbox = command_pid(job)
    start = started_at(sandbox) if sandbox else ""
    inside = first_child(sandbox) if start else 0
    if not inside:
        return -1
    opened = -1
    with suppress(OSError):
        opened = os.open(f"/proc/{inside}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        # Looked at once it is open: numbers of processes come again.
        if command_pid(job) == sandbox and started_at(sandbox) == start and not _is_own(opened):
            return opened
    if opened >= 0:
        os.close(opened)
    return -1


def _is_own(network: int) -> bool:
    return os.path.samestat(os.fstat(network), os.stat("/proc/self/ns/net"))
