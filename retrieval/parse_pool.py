"""Processes that parse code, so that a grammar that hangs, crashes or swells costs one file its definitions.

Called by the code index.
"""

from __future__ import annotations

import os
import pickle
import queue
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from .code_file import CodeFile
from .worker_process import WorkerEnded, WorkerProcess

TIMEOUT_S = 60.0
"""Of clock time for one text; the worker's own limit of CPU time comes first where the machine is not overloaded."""
_MOST_WORKERS = 4
_AHEAD = 4
_ALONE = 12
_END = None


@dataclass(frozen=True, slots=True)
class ParseTask:
    """A text to analyse. `key`: whatever tells the caller which one it was."""

    key: int
    language: str
    text: str
    problem: str = ""


_Queue = queue.Queue[tuple[ParseTask, CodeFile] | BaseException | None]


@cache
def shared_pool() -> ParsePool:
    """Return the pool of this process, so that its worker serves one index after the other."""
    return ParsePool()


class ParsePool:
    """Worker processes, started when they are needed. One is kept for the next call, until `close`.

    Threads may share it; one of them is served at a time.

    Args:
        workers: processes at most; 0 = one for each core, up to four: more would wait for who stores what they find.
        timeout_s: of clock time for one text.
    """

    def __init__(self, workers: int = 0, timeout_s: float = TIMEOUT_S) -> None:
        count = workers or min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, _MOST_WORKERS)
        self._workers = [WorkerProcess(f"{__package__}.parse_worker", timeout_s) for _ in range(max(count, 1))]
        self._mutex = threading.Lock()

    def analyse_all(self, tasks: Iterator[ParseTask]) -> Iterator[tuple[ParseTask, CodeFile]]:
        """Yield each task with what was found, in the order in which they are done.

        A text whose parse is given up is analysed once more as plain text, and its `problem` says why. Not more than
        some texts are held at a time, however many tasks there are.
        """
        with self._mutex:
            yield from self._analyse_all(tasks)

    def _analyse_all(self, tasks: Iterator[ParseTask]) -> Iterator[tuple[ParseTask, CodeFile]]:
        done: _Queue = queue.Queue(_AHEAD * len(self._workers))
        source = _Shared(tasks)
        idle = iter(self._workers)
        threads = [_start(next(idle), source, done)]
        running = 1
        try:
            while running:
                # For a few texts it is not worth starting another process.
                if source.taken > _ALONE * len(threads) and (worker := next(idle, None)):
                    threads.append(_start(worker, source, done))
                    running += 1
                item = done.get()
                if item is _END:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            source.stop.set()
            while running:  # a thread that waits for room in the queue has to come to its end
                running -= done.get() is _END
            for thread in threads:
                thread.join()
            for worker in self._workers[1:]:
                worker.close()

    def close(self) -> None:
        """End the processes. The pool can be used again."""
        for worker in self._workers:
            worker.close()


class _Shared:
    """An iterator that threads share. `taken`: how many tasks it gave."""

    def __init__(self, tasks: Iterator[ParseTask]) -> None:
        self.stop = threading.Event()
        self.taken = 0
        self._tasks = tasks
        self._mutex = threading.Lock()

    def take(self) -> ParseTask | None:
        with self._mutex:
            task = None if self.stop.is_set() else next(self._tasks, None)
            self.taken += task is not None
            return task


def _start(worker: WorkerProcess, source: _Shared, done: _Queue) -> threading.Thread:
    thread = threading.Thread(target=_serve, args=(worker, source, done), name="flow-parse", daemon=True)
    thread.start()
    return thread


def _serve(worker: WorkerProcess, source: _Shared, done: _Queue) -> None:
    try:
        while (task := source.take()) is not None:
            done.put((task, _analyse(worker, task)))
    except BaseException as err:  # noqa: BLE001 - it is raised again by the thread that asked
        done.put(err)
    finally:
        done.put(_END)


def _analyse(worker: WorkerProcess, task: ParseTask) -> CodeFile:
    found = _try(worker, task.language, task.text, task.problem)
    if isinstance(found, str):
        reason = f"parsing it as {task.language} {found}" if task.language else f"reading it {found}"
        found = _try(worker, "", task.text, reason)
    if isinstance(found, str):
        # Not even its words could be told.
        return CodeFile(0, found, [], [], "", b"", 0, 0, zlib.compress(b""), b"", b"")
    return found


def _try(worker: WorkerProcess, language: str, text: str, problem: str) -> CodeFile | str:
    """Return what was found, or why nothing was."""
    try:
        answer = worker.ask(pickle.dumps((language, text, problem)))
    except WorkerEnded as err:
        return str(err)
    found: CodeFile | str
    found, is_tired = pickle.loads(answer)
    if is_tired:
        worker.close()
    return found
