"""Brings the code index up to date beside other work, so that nobody waits for a large repository."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .code_index import CodeIndex, RefreshReport
from .code_update import OnIndexed

_STOP_WAIT_S = 5.0


class BackgroundRefresh:
    """Refreshes one index in a thread, one refresh at a time.

    Args:
        on_indexed: told how far it is, from that thread.
    """

    def __init__(self, index: CodeIndex, on_indexed: OnIndexed | None = None) -> None:
        self._index = index
        self._on_indexed = on_indexed
        self._mutex = threading.Lock()
        self._work: _Work | None = None

    def wait(self, seconds: float) -> RefreshReport | None:
        """Return what a refresh found that began now, or None when it takes longer than so many seconds.

        A refresh that goes on since an earlier call is waited for until those seconds are over since it began.

        Raises:
            FlowError: the index cannot be written.
        """
        with self._mutex:
            if self._work is None:
                self._work = _Work(self._refresh)
            work = self._work
        if not work.wait(seconds):
            return None
        with self._mutex:
            if self._work is work:
                self._work = None
        return work.result()

    def stop(self) -> None:
        """End a refresh after the texts in hand. The next call to `wait` takes it up again.

        One that waits for another process to finish is left alone after some seconds; it does no harm.
        """
        with self._mutex:
            work, self._work = self._work, None
        if work is not None:
            work.stop()

    def _refresh(self, stop: threading.Event) -> RefreshReport:
        return self._index.refresh(self._on_indexed, stop)


class _Work:
    def __init__(self, action: Callable[[threading.Event], RefreshReport]) -> None:
        self._action = action
        self._stop = threading.Event()
        self._found: RefreshReport | BaseException | None = None
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="flow-index", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self._action(self._stop)
        except BaseException as err:  # noqa: BLE001 - it is raised again by the thread that waits
            self._found = err

    def wait(self, seconds: float) -> bool:
        self._thread.join(max(self._began + seconds - time.monotonic(), 0.0))
        return not self._thread.is_alive()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(_STOP_WAIT_S)

    def result(self) -> RefreshReport:
        if isinstance(self._found, BaseException):
            raise self._found
        if self._found is None:
            raise RuntimeError("the refresh has not ended")
        return self._found
