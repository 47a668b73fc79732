"""What lies in the folder of a job (jobs.py): whether it was begun, whether it runs, what it printed and came to.

Imports nothing heavy: commands that list runs read it too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .command_claim import processes, try_lock

if TYPE_CHECKING:
    from ..core.ports import CallRef

MAX_OUTPUT_BYTES = 262_144
"""Kept of a command's output: half from its head, half from its tail."""
HALF_OUTPUT = MAX_OUTPUT_BYTES // 2
TIMEOUT_EXIT = 124


def job_folder(jobs: Path, ref: CallRef, attempt: int) -> Path:
    """Return where the job of a call's attempt lies, made or not; attempts count from 1."""
    name = hashlib.sha256(f"{ref.agent}\0{ref.call_id}".encode(errors="surrogatepass")).hexdigest()[:32]
    return jobs / (name if attempt == 1 else f"{name}.{attempt}")


def has_begun(job: Path) -> bool:
    """Tell whether the job's command was begun, by whichever process."""
    try:
        return (job / "claim").stat().st_size > 0
    except FileNotFoundError:
        return False


def command_pid(job: Path) -> int:
    """Return the process of the job's command while a runner watches over it; 0 = none does.

    Of a sandboxed command it is the sandbox's own.
    """
    try:
        with open(job / "claim", "rb") as file:
            if try_lock(file.fileno(), fcntl.LOCK_SH):
                return 0
            found = processes(file.fileno())
    except FileNotFoundError:
        return 0
    return found[-1][0] if found else 0


def job_result(job: Path) -> dict[str, float] | None:
    """Return what the runner wrote at its end; None = it did not come to its end, or not yet."""
    try:
        result: dict[str, float] = json.loads((job / "result").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return result


def exit_code_of(result: Mapping[str, float]) -> int:
    """Return the exit code of a command that was started, as a shell would tell it."""
    code = int(result["exit_code"])
    return TIMEOUT_EXIT if result["timed_out"] else 128 - code if code < 0 else code


def read_output(job: Path) -> bytes:
    """Return what the command has printed, also while it runs; a line says how much of its middle was not kept."""
    files = {int(path.suffix[1:]): _bytes(path) for path in job.glob("output.[0-9]*")}
    last = max(files, default=0)
    head = files.get(0, b"")
    tail = b"".join(files.get(number, b"") for number in (last - 1, last) if number > 0)[-HALF_OUTPUT:]
    left_out = last * HALF_OUTPUT + len(files.get(last, b"")) - len(head) - len(tail)
    if not last or left_out <= 0:
        return head + tail
    return head + f"\n[... {left_out:,} bytes of output were not kept ...]\n".encode() + tail


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a running command has printed on meanwhile
        return b""
