"""What indexing and a query cost on public repositories, beside Aider 0.86.2 in the same run.

    python -m bench.code_speed --repos DIR [--aider PYTHON] [--only REPO]

DIR holds bare clones (REPO.git). Each figure is of a process of its own where it is a peak of memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_search import rank_files

from .code_cases import is_source
from .code_rankers import AiderRanker
from .rows import Row, table

REPOS = ("flask", "sqlalchemy", "kafka")
"""A small, a middle and a large one; the last has over 5,000 files."""
_QUERY = "fix the timeout of a connection that is returned to the pool while its transaction is rolled back"
_TIMES = 5
_BRANCH_DISTANCE = 100
_LIMITS = {"kafka": (15.0, 0.3, 400.0), "sqlalchemy": (5.0, 0.1, 400.0), "flask": (2.0, 0.1, 400.0)}
"""Seconds of a first index, of a query after one changed file, MB at the peak."""


def measure(clone: Path, aider: str) -> list[Row]:
    """Return the rows of one repository."""
    name = clone.stem
    with tempfile.TemporaryDirectory() as folder:
        tree, cache = Path(folder) / name, Path(folder) / "cache"
        subprocess.run(["git", "clone", "-q", "--shared", str(clone), str(tree)], check=True)
        peak = _cold_in_process(tree, Path(folder) / "other")
        index = CodeIndex(tree, cache)
        cold = _seconds(lambda: index.refresh())
        files = index.read(lambda snapshot: len(snapshot.paths()))
        _rank(index)
        warm = statistics.median(_seconds(lambda: _answer(index)) for _ in range(_TIMES))
        paths = [path for path in index.read(lambda snapshot: snapshot.paths()) if is_source(path)]
        touched = tree / paths[len(paths) // 2]
        changed = statistics.median(_after_change(index, touched) for _ in range(_TIMES))
        switch = _branch_switch(index, tree)
        beside = _aider(aider, tree, touched, paths) if aider else {}
    limits = _LIMITS[name]
    return [
        Row(f"{name}, {files:,} files: first index", cold, "s", limits[0], beside=beside.get("cold", "")),
        Row(f"{name}: query, nothing changed", warm, "s", beside=beside.get("warm", "")),
        Row(f"{name}: query after one changed file", changed, "s", limits[1], beside=beside.get("changed", "")),
        Row(f"{name}: query after {_BRANCH_DISTANCE} commits back", switch[0], "s"),
        Row(f"{name}: query after the way forth again", switch[1], "s"),
        Row(
            f"{name}: peak memory of all processes, first index", peak, "MB", limits[2], beside=beside.get("rss", "")
        ),
    ]


def _answer(index: CodeIndex) -> None:
    index.refresh()
    _rank(index)


def _rank(index: CodeIndex) -> None:
    index.read(lambda snapshot: rank_files(snapshot, _QUERY, limit=20))


def _after_change(index: CodeIndex, file: Path) -> float:
    with file.open("a", encoding="utf-8") as text:
        text.write("\n")
    return _seconds(lambda: _answer(index))


def _branch_switch(index: CodeIndex, tree: Path) -> tuple[float, float]:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=True).stdout
    times = []
    for target in (f"HEAD~{_BRANCH_DISTANCE}", head.strip()):
        subprocess.run(["git", "checkout", "-q", "-f", "--detach", target], cwd=tree, check=True)
        times.append(_seconds(lambda: _answer(index)))
    return times[0], times[1]


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


_COLD = """
import sys
from pathlib import Path
from flowloom.retrieval.code_index import CodeIndex
CodeIndex(Path(sys.argv[1]), Path(sys.argv[2])).refresh()
"""


def _cold_in_process(tree: Path, cache: Path) -> float:
    """Return the most memory (MB) that a first index takes at one time, in all of its processes together."""
    process = subprocess.Popen([sys.executable, "-c", _COLD, str(tree), str(cache)])
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _tree_rss_mb(process.pid))
        time.sleep(0.05)
    return peak


def _tree_rss_mb(pid: int) -> float:
    total = 0.0
    pending = [pid]
    while pending:
        each = pending.pop()
        try:
            pages = int(Path(f"/proc/{each}/statm").read_text().split()[1])
            pending += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue
        total += pages * 4096 / 1e6
    return total


def _aider(interpreter: str, tree: Path, touched: Path, paths: Sequence[str]) -> dict[str, str]:
    """Return Aider's figures of the same steps: its map for the same query, tags cached in the tree's folder."""
    subprocess.run(["git", "clean", "-q", "-fdx"], cwd=tree, check=True)
    ranker = AiderRanker(interpreter, tree)
    cold = ranker.ask(_QUERY, paths)
    warm = ranker.ask(_QUERY, paths)
    touched.touch()
    changed = ranker.ask(_QUERY, paths)
    ranker.close()
    found = {"cold": cold, "warm": warm, "changed": changed}
    shown = {step: f"Aider {float(str(answer['seconds'])):.2f} s" for step, answer in found.items()}
    return {**shown, "rss": f"Aider {float(str(changed['rss_mb'])):.0f} MB"}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.code_speed")
    parser.add_argument("--repos", type=Path, required=True, help="folder of bare clones, REPO.git")
    parser.add_argument("--only", default="", help="one repository")
    parser.add_argument("--aider", default="", help="a Python interpreter that has aider-chat 0.86.2")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    rows: list[Row] = []
    for name in REPOS:
        if options.only in ("", name):
            print(f"{name} ...", file=sys.stderr)
            rows += measure(options.repos / f"{name}.git", options.aider)
    if options.json:
        print(json.dumps([{"name": row.name, "value": row.value, "beside": row.beside} for row in rows]))
    else:
        print(table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
