"""The process in which isolated formats are read: a document comes in on stdin, what it says goes out on stdout.

Started by doc_reading. It has limits of memory and CPU time, no files and no network to look at, and ends with stdin.
"""

from __future__ import annotations

import json
import resource
import sys
from contextlib import suppress
from typing import Any

from .doc_blocks import Unreadable
from .doc_formats import format_named, read_as
from .worker_process import LENGTH_BYTES

MEMORY_BYTES = 4 << 30
"""Of address space. The tree of an office file's largest XML takes half of it."""
CPU_S = 300
"""For one document: it ends a reader whose parent is gone."""


def main() -> None:
    """Answer until stdin ends: the name of the format in a line, then the document; JSON goes back."""
    with suppress(ValueError, OSError):  # a lower limit stands already, or the system has none
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while length := source.read(LENGTH_BYTES):
        name, _, data = source.read(int.from_bytes(length, "big")).partition(b"\n")
        answer = json.dumps(_answer(name.decode(), data)).encode()
        target.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        target.flush()


def _answer(name: str, data: bytes) -> dict[str, Any]:
    _limit_cpu()
    try:
        return read_as(format_named(name), data).to_dict()
    except Unreadable as err:
        return {"unreadable": str(err)}
    except RecursionError:
        return {"unreadable": "nested too deeply"}
    except MemoryError:
        return {"unreadable": f"takes more than {MEMORY_BYTES >> 30} GB of memory to read"}
    except Exception as err:  # noqa: BLE001 - one damaged document must not end the work on all others
        return {"unreadable": f"damaged ({type(err).__name__}: {str(err)[:80]})"}


def _limit_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    with suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S, hard))
