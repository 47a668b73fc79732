"""How much memory this machine has for models: on its GPUs and beside them. Asked by `flow models recommend`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 5.0
_MIB = 1024**2

# About what macOS lets the GPU have of the unified memory when nobody changed it.
_UNIFIED_SHARE = 0.7

Run = Callable[[Sequence[str]], str]
"""Runs a program and returns its stdout; "" = there is none, or it failed."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes.

    Attributes:
        gpu: of all GPUs together, 0 = none was found. A model server spreads a model over them.
        ram: what is free for a model beside them, 0 = not known. Unified memory counts as `gpu` only.
        gpus: how each was named, with its memory.
    """

    gpu: int
    ram: int
    gpus: tuple[str, ...] = ()


def measure_memory(
    run: Run | None = None, platform: str = sys.platform, meminfo: Path = Path("/proc/meminfo")
) -> Memory:
    """Return what this machine has: NVIDIA's and AMD's own tools tell of GPUs, the system of the rest.

    Args:
        run, platform, meminfo: given by tests.
    """
    run = run or _run
    if platform == "darwin":
        return _unified(run)
    gpus = _nvidia(run) or _amd(run)
    return Memory(
        gpu=sum(size for _, size in gpus),
        ram=_available(meminfo),
        gpus=tuple(f"{name}, {size / 1e9:.1f} GB" for name, size in gpus),
    )


def _nvidia(run: Run) -> list[tuple[str, int]]:
    text = run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"])
    found = []
    for line in text.splitlines():
        name, _, size = line.rpartition(",")
        if name and size.strip().isdigit():
            found.append((name.strip(), int(size) * _MIB))
    return found


def _amd(run: Run) -> list[tuple[str, int]]:
    try:
        cards = json.loads(run(["rocm-smi", "--showmeminfo", "vram", "--json"]) or "{}")
    except ValueError:
        return []
    found = []
    for card, facts in cards.items() if isinstance(cards, dict) else ():
        total = facts.get("VRAM Total Memory (B)") if isinstance(facts, dict) else None
        if isinstance(total, str) and total.isdigit():
            found.append((f"AMD {card}", int(total)))
    return found


def _unified(run: Run) -> Memory:
    size = run(["sysctl", "-n", "hw.memsize"]).strip()
    usable = int(int(size) * _UNIFIED_SHARE) if size.isdigit() else 0
    return Memory(usable, 0, (f"unified memory, {usable / 1e9:.1f} GB of it for models",) if usable else ())


def _available(meminfo: Path) -> int:
    try:
        text = meminfo.read_text("ascii", "replace")
    except OSError:
        return 0
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _run(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL, text=True
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""
