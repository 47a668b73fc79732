"""What a snapshot before a command costs at 10,000 and 50,000 files, and putting three files back."""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from flowloom.runs.snapshots import Snapshots

from .rows import Row

_SIZES = ((10_000, 150.0), (50_000, 400.0))
"""Files, and the milliseconds that the middle one of the snapshots may take."""
_FILE_BYTES = 4_000
_CHANGED = 3
_ROUNDS = 15


class Cost(NamedTuple):
    """`cpu_ms`: of this process and of the git processes it waited for."""

    wall_ms: float
    cpu_ms: float


def run() -> list[Row]:
    """Return the first snapshot, warm ones with three changed files, and a restore, for each size."""
    return [row for files, limit in _SIZES for row in _measure(files, limit)]


def _measure(files: int, limit: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name, "workspace")
        paths = _make(workspace, files)
        snapshots = Snapshots(workspace, Path(name, "store"))
        first = _cost(lambda: snapshots.take("first"))
        # Files that were written this very moment are read once more.
        time.sleep(2.5)
        snapshots.take("settled")
        tree = snapshots.take("before").tree
        warm = []
        for number in range(_ROUNDS):
            changed = _change(paths, number)
            warm.append(_cost(lambda: snapshots.take("again")))
        names = [str(path.relative_to(workspace)) for path in changed]
        restored = _cost(lambda: snapshots.restore(tree, names))
    middle = statistics.median(cost.wall_ms for cost in warm)
    least = min(cost.wall_ms for cost in warm)
    cpu = statistics.median(cost.cpu_ms for cost in warm)
    size = f"{files:,} files"
    return [
        Row(
            f"snapshot, {size}, middle of {_ROUNDS}", middle, "ms", limit, beside=f"{cpu:.0f} CPU, least {least:.0f}"
        ),
        Row(f"first snapshot, {size}", first.wall_ms / 1000, "s", beside=f"{first.cpu_ms / 1000:.1f} CPU s"),
        Row(f"restore of 3 files, {size}", restored.wall_ms, "ms", beside=f"{restored.cpu_ms:.0f} CPU"),
    ]


def _make(workspace: Path, files: int) -> list[Path]:
    paths = [workspace / f"package{number // 100:03}" / f"module{number:05}.py" for number in range(files)]
    for number, path in enumerate(paths):
        if number % 100 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(_content(number))
    return paths


def _content(number: int) -> bytes:
    # Source code shrinks to a third or so; random hex to half.
    return f"# {number}\n".encode() + os.urandom(_FILE_BYTES // 2).hex().encode()


def _change(paths: list[Path], number: int) -> list[Path]:
    changed = [paths[(number * 997 + each * 4001) % len(paths)] for each in range(_CHANGED)]
    for path in changed:
        path.write_bytes(_content(number))
    return changed


def _cost(work: Callable[[], Any]) -> Cost:
    wall, cpu = time.perf_counter(), _cpu_s()
    work()
    return Cost((time.perf_counter() - wall) * 1000, (_cpu_s() - cpu) * 1000)


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
