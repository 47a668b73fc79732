"""Shows on stderr how far embedding or indexing is: a bar with rate and time left at a terminal, else a line now and
then. For `flow docs sync`, `flow index build` and searches of a repository that is new."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from .context import CliOptions

_BAR = 24
_LINE_EVERY_S = 30.0


class EmbedProgress:
    """Is called with texts done and in all; `end` leaves the line.

    Args:
        what: the passages in a word.
        doing: what is done with them.
        clock: seconds from whenever.
    """

    def __init__(
        self,
        options: CliOptions,
        what: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        doing: str = "embedding",
    ) -> None:
        self._stream = stream or sys.stderr
        self._quiet = options.quiet
        self._live = self._stream.isatty() and options.env.get("TERM") != "dumb"
        self._what = f"{doing} {what}"
        self._clock = clock
        self._began = 0.0
        self._shown_at = 0.0
        self._on_line = False

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if not done:
            self._began = self._shown_at = now
        if self._quiet or not total:
            return
        text = self._text(done, total, now - self._began)
        if self._live:
            filled = _BAR * done // total
            print(f"\r\x1b[K[{'#' * filled}{'.' * (_BAR - filled)}] {text}", end="", file=self._stream, flush=True)
            self._on_line = True
        elif not done or done == total or now - self._shown_at >= _LINE_EVERY_S:
            self._shown_at = now
            print(text, file=self._stream, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._on_line:
            print(file=self._stream)
            self._on_line = False

    def _text(self, done: int, total: int, seconds: float) -> str:
        text = f"{self._what}: {done:,} of {total:,}"
        if not done or seconds <= 0:
            return text
        rate = done / seconds
        left = "" if done == total else f", {_duration((total - done) / rate)} left"
        return f"{text}, {rate:.1f}/s{left}"


def _duration(seconds: float) -> str:
    whole = max(round(seconds), 1)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
