"""Prints of the user's own code: aside, since stdout is for the result of a run and for events."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_lock = threading.Lock()
_open: list[TextIO] = []
"""The real stdout, once for each block that is open."""


@contextmanager
def prints_aside() -> Iterator[None]:
    """Let `print` write to stderr, for all threads, until the last such block ends."""
    with _lock:
        _open.append(_open[0] if _open else sys.stdout)
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        with _lock:
            real = _open.pop()
            if not _open:
                sys.stdout = real
