"""The process in which code is parsed: texts come in on stdin, what the index keeps of them goes out on stdout.

Started by the parse pool, which may kill it: a grammar's C code can not be interrupted otherwise. It ends with stdin,
and limits of CPU time and memory end it when nobody is left to kill it.
"""

from __future__ import annotations

import pickle
import resource
import sys
from contextlib import suppress

from .code_file import CodeFile, analyse
from .worker_process import LENGTH_BYTES

CPU_S = 5
"""For one text. The largest sources of public repositories take less than one."""
MEMORY_BYTES = 1 << 30
"""Of address space; a tree takes about a hundred bytes for each byte of its text."""
TIRED_BYTES = 160 << 20
"""Peak use after which the process is given up: memory that was used once is not given back."""


def main() -> None:
    """Answer until stdin ends. A request is (language, text, problem), an answer a CodeFile or an error's text.

    Beside it stands whether the process has grown so much that another one should take its place.
    """
    with suppress(ValueError, OSError):  # a lower limit stands already, or the system has none
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(LENGTH_BYTES):
        language, text, problem = pickle.loads(source.read(int.from_bytes(head, "big")))
        _limit_cpu()
        found = _answer(language, text, problem)
        answer = pickle.dumps((found, _memory_used() > TIRED_BYTES), protocol=pickle.HIGHEST_PROTOCOL)
        target.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        target.flush()


def _answer(language: str, text: str, problem: str) -> CodeFile | str:
    try:
        return analyse(language, text, problem)
    except RecursionError:
        return "nested too deeply"
    except MemoryError:
        return f"takes more than {MEMORY_BYTES >> 30} GB of memory"


def _memory_used() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _limit_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    with suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S + 1, hard))
