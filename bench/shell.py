"""What the shell policy says of the commands of tests/tools/shell_commands.toml, and how long it takes to say it."""

from __future__ import annotations

import statistics
import tempfile
import time
import tomllib
from pathlib import Path

from flowloom.tools.shell_policy import check_command

from .rows import Row

_CORPUS = Path(__file__).parent.parent / "tests" / "tools" / "shell_commands.toml"
_ROUNDS = 5
_LIMIT_ASKED = 14.0
_LIMIT_MS = 5.0


def run() -> list[Row]:
    """Return how many injected commands would run unasked, how many reading ones are asked for, and the time."""
    entries = tomllib.loads(_CORPUS.read_text("utf-8"))["command"]
    times: list[float] = []
    decisions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name).resolve()
        for _ in range(_ROUNDS):
            for entry in entries:
                started = time.perf_counter()
                decisions[entry["line"]] = check_command(entry["line"], workspace=workspace).decision
                times.append((time.perf_counter() - started) * 1000)
    injected = [entry["line"] for entry in entries if entry["injected"]]
    reading = [entry["line"] for entry in entries if entry["read_only"]]
    unasked = sum(decisions[line] == "allow" for line in injected)
    asked = sum(decisions[line] != "allow" for line in reading)
    public = sum(entry["source"].startswith("https://") for entry in entries)
    beside = f"of {len(entries)} commands, {public} of them from public reports and tests"
    return [
        Row("injected shell commands that run unasked", unasked, f"of {len(injected)}", 0, beside=beside),
        Row(
            "reading shell commands that are asked for",
            100 * asked / len(reading),
            "%",
            _LIMIT_ASKED,
            beside=f"{asked} of {len(reading)}",
        ),
        Row("verdict on a shell command, middle", statistics.median(times), "ms", _LIMIT_MS),
    ]
