"""What bubblewrap adds to a command: the same one with and without it, in turns, so that both meet one machine.

On a busy one both wait for a processor in turn; `chrt -f 50 python -m bench sandbox` does not.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from flowloom.core.effects import Command
from flowloom.core.ports import Sandbox
from flowloom.tools.bwrap import BwrapSandbox, probe_bwrap
from flowloom.tools.host import HostSandbox
from flowloom.tools.sandbox_view import SandboxOptions, SandboxView

from .rows import Row

_ROUNDS = 60
_FILES = 1_000
_MOST_MS = 20.0
_COMMAND = Command(("bash", "-c", "true"), 20.0)


class Pair(NamedTuple):
    """Milliseconds of one command on the plain machine, and right after it in the sandbox."""

    plain_ms: float
    sandboxed_ms: float


def run() -> list[Row]:
    """Return the middle of the differences in a git repository of 1,000 files, without and with an ignore file."""
    bwrap = probe_bwrap(os.environ.get("PATH", os.defpath))
    if isinstance(bwrap, str):
        return [Row(f"sandboxed command: not measured, {bwrap}", 0, "ms")]
    sandbox = BwrapSandbox(bwrap, SandboxView(SandboxOptions(), os.environ), os.environ)
    with tempfile.TemporaryDirectory() as name:
        workspace = _made(Path(name).resolve() / "workspace")
        plain = asyncio.run(_measured(sandbox, workspace, Path(name) / "jobs"))
        (workspace / ".flowignore").write_text("*.key\nsecrets/\n/private/\n")
        denying = asyncio.run(_measured(sandbox, workspace, Path(name) / "more"))
    return [
        _row(f"sandboxed command over a plain one, middle of {_ROUNDS}", plain, _MOST_MS),
        _row(f"the same with an ignore file and {_FILES:,} files", denying, None),
    ]


def _made(workspace: Path) -> Path:
    for number in range(_FILES):
        path = workspace / f"package{number // 50:02}" / f"module{number:04}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"VALUE = {number}\n")
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
    return workspace


async def _measured(sandbox: Sandbox, workspace: Path, jobs: Path) -> list[Pair]:
    host = HostSandbox()
    pairs = [
        Pair(
            await _timed(host, workspace, jobs / f"h{number}"), await _timed(sandbox, workspace, jobs / f"s{number}")
        )
        for number in range(_ROUNDS + 5)
    ]
    return pairs[5:]  # the first ones read what lies on the disk


async def _timed(sandbox: Sandbox, workspace: Path, job: Path) -> float:
    job.mkdir(parents=True)
    began = time.perf_counter()
    outcome = await sandbox.run(_COMMAND, workspace, job)
    took = (time.perf_counter() - began) * 1000
    if outcome.exit_code:
        raise RuntimeError(f"the command failed: {outcome.output!r}")
    return took


def _row(name: str, pairs: list[Pair], limit: float | None) -> Row:
    added = statistics.median(pair.sandboxed_ms - pair.plain_ms for pair in pairs)
    plain = statistics.median(pair.plain_ms for pair in pairs)
    sandboxed = statistics.median(pair.sandboxed_ms for pair in pairs)
    least = min(pair.sandboxed_ms for pair in pairs) - min(pair.plain_ms for pair in pairs)
    return Row(name, added, "ms", limit, beside=f"{plain:.1f} plain, {sandboxed:.1f} sandboxed, least {least:.1f}")
