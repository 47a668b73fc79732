"""What retrieval costs on a repository of 300 files, and whether it says the same in every process."""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flowloom.llm.tokens import EstimatingCounter
from flowloom.retrieval.code_retriever import CodeRetriever

from .rows import Row
from .sample import write_sample

FILES = 300
_QUERY = "check_parcel_stock が番号のない行を落とす理由 (why rows without a number are left out)"
_BUDGETS = (2000, 2000)
_TIMES = 7


def run() -> list[Row]:
    """Return the seconds of a first index and of an unchanged one, of map + code, and how many answers differ."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modules = write_sample(folder / "repo", FILES)
        started = time.perf_counter()
        report = _retriever(folder, "index").index.refresh()
        cold = time.perf_counter() - started
        if report.updated != FILES:
            raise RuntimeError(f"{report.updated} files of {FILES} were indexed")
        return [
            Row("300 files: first index", cold, "s"),
            Row("300 files: refresh, nothing changed", _median_ms(_retriever(folder, "index").index.refresh), "ms"),
            Row("300 files: refresh, one file changed", _after_change_ms(folder, folder / "repo" / modules[0]), "ms"),
            Row("300 files: map + code, 2k tokens each", _median_ms(lambda: _answer(folder, "index")), "ms"),
            Row("300 files: other answers by hash seed or index", _differing(folder), "", limit=0),
        ]


def _retriever(folder: Path, index: str) -> CodeRetriever:
    return CodeRetriever(folder / "repo", folder / index, EstimatingCounter())


def _answer(folder: Path, index: str) -> bytes:
    """Return map and code as a new process would give them: by a retriever that has nothing loaded yet."""
    retriever = _retriever(folder, index)
    retriever.index.refresh()  # a run would go on after two seconds, with what is ready
    map_budget, code_budget = _BUDGETS
    hits = [*retriever.retrieve(_QUERY, map_budget, ("map",)), *retriever.retrieve(_QUERY, code_budget, ("code",))]
    if {hit.source for hit in hits} != {"map", "code"}:
        raise RuntimeError("the answer lacks the map or the code")
    return "\n".join(f"{hit.id}\n{hit.text}" for hit in hits).encode()


def _median_ms(action: Callable[[], object]) -> float:
    return statistics.median(_once_ms(action) for _ in range(_TIMES))


def _once_ms(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def _after_change_ms(folder: Path, file: Path) -> float:
    file.write_text(file.read_text("utf-8") + "\n\nCHANGED = True\n", "utf-8")
    return _once_ms(_retriever(folder, "index").index.refresh)


def _differing(folder: Path) -> int:
    """Return how many of three processes answer otherwise than the first; the last one has an index of its own."""
    digests = [_digest_in_process(folder, "index", "1"), _digest_in_process(folder, "index", "4711")]
    digests.append(_digest_in_process(folder, "another-index", "99"))
    return sum(digest != digests[0] for digest in digests)


def _digest_in_process(folder: Path, index: str, seed: str) -> str:
    command = [sys.executable, "-m", __name__, str(folder), index]
    root = Path(__file__).parent.parent
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    print(hashlib.sha256(_answer(Path(sys.argv[1]), sys.argv[2])).hexdigest())
