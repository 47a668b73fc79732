"""What a start costs: the quick commands, and a run until its first model request, with a warm index."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from .machine import python_ms
from .process import FLOW, flow_env, run_process
from .reading_run import reading_runs
from .rows import Row

_QUICK_TIMES = 7
_RUN_TIMES = 7


def run() -> list[Row]:
    """Return CPU of `--help` and `runs list`; time, CPU and memory of a reading run; each the best of seven."""
    return [*_quick_commands(), *_first_request()]


def _quick_commands() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        beside = f"python -c pass: {python_ms():.0f} ms"
        help_ms = _least_cpu_ms([*FLOW, "--help"], home)
        list_ms = _least_cpu_ms([*FLOW, "runs", "list"], home)
    return [
        Row("flow --help, CPU", help_ms, "ms", limit=150, beside=beside),
        Row("flow runs list, CPU", list_ms, "ms", limit=250, beside=beside),
    ]


def _least_cpu_ms(words: list[str], home: Path) -> float:
    env = flow_env(home)
    return min(run_process(words, cwd=home, env=env).cpu_s for _ in range(_QUICK_TIMES)) * 1000


def _first_request() -> list[Row]:
    with reading_runs() as runs:
        readings = [runs.run(repository_context=True) for _ in range(_RUN_TIMES)]
    first = [reading.first_request_s for reading in readings]
    beside = f"median {statistics.median(first):.2f} s"
    return [
        Row("flow run, start to first model request", min(first), "s", limit=0.8, beside=beside),
        Row("12-request run, CPU", min(reading.ran.cpu_s for reading in readings), "s", limit=1.5),
        Row("12-request run, peak memory", min(reading.ran.peak_mb for reading in readings), "MB", limit=130),
    ]
