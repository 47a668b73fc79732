from __future__ import annotations

import io
from pathlib import Path

import pytest

from flowloom.cli.context import CliOptions
from flowloom.cli.embed_progress import EmbedProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(stream: io.StringIO, *steps: tuple[float, int], quiet: bool = False, total: int = 4000) -> str:
    now = [0.0]
    options = CliOptions(Path("/"), {}, quiet=quiet)
    progress = EmbedProgress(options, "documents", stream, lambda: now[0])
    for at, done in steps:
        now[0] = at
        progress(done, total)
    progress.end()
    return stream.getvalue()


def test_a_terminal_gets_a_bar_with_rate_and_time_left() -> None:
    shown = show(Terminal(), (0, 0), (50, 1000))
    assert shown.endswith("[######..................] embedding documents: 1,000 of 4,000, 20.0/s, 2 min 30 s left\n")
    assert shown.count("\n") == 1


def test_elsewhere_a_line_comes_now_and_then() -> None:
    lines = show(io.StringIO(), (0, 0), (1, 10), (31, 310), (32, 320), (400, 4000)).splitlines()
    assert lines == [
        "embedding documents: 0 of 4,000",
        "embedding documents: 310 of 4,000, 10.0/s, 6 min 09 s left",
        "embedding documents: 4,000 of 4,000, 10.0/s",
    ]


@pytest.mark.parametrize(("done", "left"), [(3999, "1 s"), (100, "6 h 30 min")])
def test_the_time_left_is_told_in_two_units_at_most(done: int, left: str) -> None:
    assert f", {left} left" in show(io.StringIO(), (0, 0), (600, done))


def test_quiet_shows_nothing() -> None:
    assert show(Terminal(), (0, 0), (5, 10), quiet=True) == ""
