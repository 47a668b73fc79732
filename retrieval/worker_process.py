"""A process of our own that answers one request after the other, and is killed when it takes too long.

For code that can hang or crash and that Python can not interrupt: grammars, readers of damaged files.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LENGTH_BYTES = 8
"""Before each request and each answer stands its length, the highest byte first."""

_START = "import sys; from importlib import import_module as i; sys.path += sys.argv[2:]; i(sys.argv[1]).main()"
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME")
_PIECE_BYTES = 1 << 20


class WorkerEnded(Exception):
    """The process gave no answer; the text says why in a few words."""


class WorkerProcess:
    """Starts the process with the first request and again after each failure.

    Args:
        module: full name of the module whose `main()` answers on stdin and stdout.
        timeout_s: of clock time, for one answer. A limit of CPU time belongs into the process itself: this one may
            be stopped or starved.
    """

    def __init__(self, module: str, timeout_s: float) -> None:
        self._module = module
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., WorkerProcess] | None = None

    def ask(self, request: bytes) -> bytes:
        """Return the answer.

        Raises:
            WorkerEnded: it crashed, was ended by a limit, or took too long; the next request has a new process.
        """
        process = self._process or self._start()
        try:
            return self._ask(process, request)
        except BaseException:
            self.close()  # what it would still answer is not for the next request
            raise

    def close(self) -> None:
        """End the process, if there is one; that happens as well when nobody holds this object any more."""
        self._process = None
        if self._end is not None:
            self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, self._module, *_library_paths()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            cwd="/",
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for us: we close it
        )
        self._end = weakref.finalize(self, _end, self._process)
        return self._process

    def _ask(self, process: subprocess.Popen[bytes], request: bytes) -> bytes:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker was started without pipes")
        deadline = time.monotonic() + self._timeout_s
        try:
            view = memoryview(len(request).to_bytes(LENGTH_BYTES, "big") + request)
            while view:
                view = view[process.stdin.write(view) or 0 :]
            size = int.from_bytes(self._take(process.stdout.fileno(), LENGTH_BYTES, deadline), "big")
            return self._take(process.stdout.fileno(), size, deadline)
        except (BrokenPipeError, EOFError) as err:
            raise WorkerEnded(_ending(process)) from err

    def _take(self, descriptor: int, size: int, deadline: float) -> bytes:
        """Return so many bytes of the answer. Raises: EOFError: the process is gone."""
        pieces = bytearray()
        while len(pieces) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise WorkerEnded(f"took more than {self._timeout_s:.0f} s")
            piece = os.read(descriptor, min(size - len(pieces), _PIECE_BYTES))
            if not piece:
                raise EOFError
            pieces += piece
        return bytes(pieces)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _library_paths() -> Sequence[str]:
    """Return where this process finds its modules, but for the current folder, which may be anybody's."""
    return [path for path in sys.path if os.path.isabs(path) and Path(path) != Path.cwd()]


def _ending(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        return "its output ended"
    if code == -signal.SIGXCPU:
        return "took too much CPU time"
    return f"crashed ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})"
