"""Numbers and times as people write them on a command line (600k, 2M, 30m, 4h), and as they are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..core.errors import UsageError

_FACTORS = {"": 1, "k": 1_000, "M": 1_000_000}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def read_amount(option: str, text: str) -> int:
    """Return a whole number above 0; k and M are 1,000 and 1,000,000. Raises: UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", text.strip())
    amount = int(float(match[1]) * _FACTORS[match[2]]) if match else 0
    if amount <= 0:
        raise UsageError(f"{option} {text!r} is no number above 0.", hint="Write it like 500000, 600k or 2M.")
    return amount


def read_cost(option: str, text: str) -> float:
    """Return an amount of money above 0, in whatever currency. Raises: UsageError."""
    match = re.fullmatch(r"\d+(?:\.\d+)?|\.\d+", text.strip())
    cost = float(match[0]) if match else 0.0
    if cost <= 0:
        raise UsageError(f"{option} {text!r} is no amount above 0.", hint="Write it like 2 or 0.5.")
    return cost


def read_duration(option: str, text: str) -> float:
    """Return seconds above 0 from a text like "90s", "30m" or "4h". Raises: UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text.strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"{option} {text!r} is no time above 0.", hint="Write it like 90s, 30m or 4h.")
    return seconds


_LIMITS: Mapping[str, tuple[str, Callable[[str, str], float]]] = {
    "--max-tokens": ("max_tokens", read_amount),
    "--max-time": ("max_time_s", read_duration),
    "--max-cost": ("max_cost", read_cost),
    "--max-model-calls": ("max_model_calls", read_amount),
    "--max-node-runs": ("max_node_runs", read_amount),
}


def read_limits(given: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the limits of a run as a RunRequest and a ResumeRequest name them; None = not given.

    Args:
        given: the texts by option, "--max-tokens" and so on.

    Raises:
        UsageError: one cannot be read.
    """
    return {
        _LIMITS[option][0]: None if text is None else _LIMITS[option][1](option, text)
        for option, text in given.items()
    }


def counted(count: int, word: str) -> str:
    """Return a number with its word in the singular or plural."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def short_number(number: int) -> str:
    """Return a count in at most five characters or so: 950, 12.3k, 4.5M."""
    if number < 1_000:
        return str(number)
    return f"{number / 1_000:.1f}k" if number < 999_950 else f"{number / 1_000_000:.1f}M"


def duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours, rounded to the second."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
