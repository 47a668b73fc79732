"""Runs `flow` and other programs as processes of their own and says what they cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .sample import GIT_ENV

FLOW = (sys.executable, "-m", "flowloom")

# ru_maxrss counts kilobytes, on macOS bytes.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Ran:
    """One process that ended.

    Attributes:
        started: `time.monotonic()` just before it was started; the clock is the machine's, so other processes'
            times compare with it.
        cpu_s: seconds of CPU of it and of the processes it waited for.
        peak_mb: largest resident set of any one of them, in 10^6 bytes.
    """

    started: float
    wall_s: float
    cpu_s: float
    peak_mb: float


def run_process(words: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Ran:
    """Return what the process cost.

    Raises:
        RuntimeError: it did not end with 0; the message holds what it said.
    """
    with tempfile.TemporaryFile() as said:
        started = time.monotonic()
        process = subprocess.Popen(words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
        # Popen would wait for it once more.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            text = said.read().decode("utf-8", "replace")
            raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}:\n{text}")
    return Ran(started, wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT / 1e6)


def flow_env(home: Path, url: str = "") -> dict[str, str]:
    """Return an environment with directories of its own and none of the user's settings.

    Bytecode is kept, as it is where flow is installed: without it every start would compile all of flow once more.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(("FLOW_", "OLLAMA_"))}
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    server = {"OLLAMA_HOST": url} if url else {}
    return {**own, **GIT_ENV, **server, "HOME": str(home), "FLOW_HOME": str(home / "flow")}
