"""Runs `flow` and kills its own process with SIGKILL at the n-th point; called by the chaos tests as a script.

    python killed_at.py POINT REPORT WORDS...

A point is a moment just before something becomes durable or visible: an SQL statement that writes or commits, a
rename, a removed file, a started process. POINT 0 kills nowhere. The number of points met is appended to REPORT at
the end. Nothing of the product is replaced: Python's audit events and SQLite's trace callback are all that is used.
"""

from __future__ import annotations

import atexit
import os
import signal
import sqlite3
import sys
import threading
from typing import Any

WRITING = ("INSERT", "UPDATE", "DELETE", "COMMIT", "REPLACE")
EVENTS = frozenset({"os.rename", "os.remove", "subprocess.Popen", "os.posix_spawn", "os.fork"})

target = int(sys.argv[1])
report = sys.argv[2]
met = 0
lock = threading.Lock()


def point() -> None:
    global met
    with lock:
        met += 1
        if met == target:
            os.kill(os.getpid(), signal.SIGKILL)


def traced(statement: str) -> None:
    if statement.lstrip().upper().startswith(WRITING):
        point()


def audit(event: str, args: tuple[Any, ...]) -> None:
    if event in EVENTS:
        point()


def connect_traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
    connection: sqlite3.Connection = connect(*args, **kwargs)
    connection.set_trace_callback(traced)
    return connection


def write_report() -> None:
    with open(report, "a", encoding="utf-8") as file:
        file.write(f"{met}\n")


connect = sqlite3.connect
sqlite3.connect = connect_traced  # type: ignore[assignment]  # the one of its overloads that is used
sys.addaudithook(audit)
atexit.register(write_report)
sys.argv = ["flow", *sys.argv[3:]]

from flowloom.cli.app import main  # noqa: E402 - the hook must see everything from the start

main()
