"""What indexing and a query cost on public repositories, beside Aider 0.86.2 in the same run.

    python -m bench.code_speed --repos DIR [--aider PYTHON] [--only REPO] [--save FILE]

DIR holds bare clones (REPO.git). The first index is made by a process of its own, whose memory is watched. What one
repository gave is saved before the next begins, so that a run that was ended goes on where it was.
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
from dataclasses import asdict
from pathlib import Path

from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_search import rank_files
from flowloom.retrieval.languages import language_of

from .code_cases import is_source
from .code_rankers import AiderRanker
from .machine import at_this_speed
from .rows import Row, table

REPOS = ("flask", "sqlalchemy", "kafka")
"""A small, a middle and a large one; the last has over 5,000 files."""
_QUERY = "fix the timeout of a connection that is returned to the pool while its transaction is rolled back"
_TIMES = 5
_BRANCH_DISTANCE = 100
# Of one repository. On the largest a single answer takes minutes.
_AIDER_BUDGET_S = 600.0
_LIMITS = {"kafka": (15.0, 0.3, 400.0), "sqlalchemy": (5.0, 0.1, 400.0), "flask": (2.0, 0.1, 400.0)}
"""Seconds of a first index, of a query after one changed file, MB at the peak."""
_PARSING = {"kafka": ("java", 4.63), "sqlalchemy": ("python", 2.14)}
"""Language, and the seconds that nothing but parsing its files and querying their trees took where the limits of a
first index were set. Parsing waits for memory more than the bare interpreter, by which other limits are scaled."""


def measure(clone: Path, aider: str) -> list[Row]:
    """Return the rows of one repository."""
    name = clone.stem
    with tempfile.TemporaryDirectory() as folder:
        tree, cache = Path(folder) / name, Path(folder) / "cache"
        subprocess.run(["git", "clone", "-q", "--shared", str(clone), str(tree)], check=True)
        cold, peak = _cold_in_process(tree, cache)
        parsing = _parsing_s(name, tree)
        index = CodeIndex(tree, cache)
        files = index.read(lambda snapshot: len(snapshot.paths()))
        _answer(index)
        warm = statistics.median(_seconds(lambda: _answer(index)) for _ in range(_TIMES))
        paths = [path for path in index.read(lambda snapshot: snapshot.paths()) if is_source(path)]
        touched = tree / paths[len(paths) // 2]
        changed = statistics.median(_after_change(index, touched) for _ in range(_TIMES))
        back, forth = _branch_switch(tree, lambda: _seconds(lambda: _answer(index)))
        beside = _aider(aider, tree, touched) if aider else {}
    limits = _LIMITS[name]
    return [
        _first_index(f"{name}, {files:,} files: first index", cold, name, parsing, beside.get("cold", "")),
        Row(f"{name}: query, nothing changed", warm, "s", beside=beside.get("warm", "")),
        Row(f"{name}: query after one changed file", changed, "s", limits[1], beside=beside.get("changed", "")),
        Row(f"{name}: query after {_BRANCH_DISTANCE} commits back", back, "s", beside=beside.get("back", "")),
        Row(f"{name}: query after the way forth again", forth, "s", beside=beside.get("forth", "")),
        Row(
            f"{name}: peak memory of all processes, first index", peak, "MB", limits[2], beside=beside.get("rss", "")
        ),
    ]


def _first_index(title: str, cold: float, name: str, parsing: float, aider: str) -> Row:
    """Return the row, its limit scaled by what parsing alone takes here, where that is known of both machines."""
    limit = _LIMITS[name][0]
    if not parsing:
        return Row(title, cold, "s", limit, beside=aider)
    beside = f"{aider}, parsing alone in one process {parsing:.1f} s".removeprefix(", ")
    return Row(title, cold, "s", limit, beside=beside, limit_here=limit * max(1.0, parsing / _PARSING[name][1]))


def _answer(index: CodeIndex) -> None:
    index.refresh()
    _rank(index)


def _rank(index: CodeIndex) -> None:
    index.read(lambda snapshot: rank_files(snapshot, _QUERY, limit=20))


def _after_change(index: CodeIndex, file: Path) -> float:
    with file.open("a", encoding="utf-8") as text:
        text.write("\n")
    return _seconds(lambda: _answer(index))


def _branch_switch(tree: Path, ask: Callable[[], float]) -> tuple[float, float]:
    """Return what asking takes some commits back, and at the commit again that was checked out."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=True).stdout
    times = []
    for target in (f"HEAD~{_BRANCH_DISTANCE}", head.strip()):
        subprocess.run(["git", "checkout", "-q", "-f", "--detach", target], cwd=tree, check=True)
        times.append(ask())
    return times[0], times[1]


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


_COLD = """
import sys
import time
from pathlib import Path
from flowloom.retrieval.code_index import CodeIndex
index = CodeIndex(Path(sys.argv[1]), Path(sys.argv[2]))
began = time.perf_counter()
index.refresh()
print(time.perf_counter() - began)
"""


def _cold_in_process(tree: Path, cache: Path) -> tuple[float, float]:
    """Return the seconds of a first index, and the most memory (MB) of all of its processes at one time."""
    words = [sys.executable, "-c", _COLD, str(tree), str(cache)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _tree_rss_mb(process.pid))
            time.sleep(0.05)
        said = process.communicate()[0]
    if process.returncode != 0:
        raise RuntimeError(f"the first index of {tree} ended with {process.returncode}")
    return float(said), peak


_PARSE = """
import sys
import time
from pathlib import Path
from tree_sitter import Parser, QueryCursor
from flowloom.retrieval.grammars import definitions_query, grammar, references_query
language, *paths = sys.stdin.read().split("\\0")
sources = [Path(path).read_bytes() for path in paths]
parser, queries = Parser(grammar(language)), (definitions_query(language), references_query(language))
began = time.process_time()
for source in sources:
    tree = parser.parse(source)
    for query in queries:
        QueryCursor(query).captures(tree.root_node)
print(time.process_time() - began)
"""


def _parsing_s(name: str, tree: Path) -> float:
    """Return the seconds of CPU of parsing a repository's main language and running our queries; 0.0 = not asked."""
    if name not in _PARSING:
        return 0.0
    language = _PARSING[name][0]
    files = [str(tree / path) for path in _tracked(tree) if language_of(path) == language and (tree / path).is_file()]
    words = [sys.executable, "-c", _PARSE]
    said = subprocess.run(words, input="\0".join([language, *files]), capture_output=True, text=True, check=True)
    return float(said.stdout)


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


class _Aider:
    """Aider's map for the query, its tags cached in the tree's folder; asked no more once it took very long."""

    def __init__(self, interpreter: str, tree: Path) -> None:
        self._ranker = AiderRanker(interpreter, tree)
        self._tree = tree
        self._spent_s = 0.0
        self.shown: dict[str, str] = {}

    def ask(self, step: str) -> float:
        """Return the seconds of an answer, noted under the step's name; 0.0 = it was not asked."""
        if self._spent_s > _AIDER_BUDGET_S:
            self.shown[step] = f"Aider not asked, it took {self._spent_s:.0f} s so far"
            return 0.0
        answer = self._ranker.ask(_QUERY, _tracked(self._tree))
        seconds = float(str(answer["seconds"]))
        self._spent_s += seconds
        self.shown |= {step: f"Aider {seconds:.2f} s", "rss": f"Aider {float(str(answer['rss_mb'])):.0f} MB"}
        return seconds

    def close(self) -> None:
        self._ranker.close()


def _aider(interpreter: str, tree: Path, touched: Path) -> dict[str, str]:
    """Return Aider's figures of the same steps."""
    subprocess.run(["git", "clean", "-q", "-fdx"], cwd=tree, check=True)
    aider = _Aider(interpreter, tree)
    try:
        aider.ask("cold")
        aider.ask("warm")
        with touched.open("a", encoding="utf-8") as text:
            text.write("\n")
        aider.ask("changed")
        steps = iter(("back", "forth"))
        _branch_switch(tree, lambda: aider.ask(next(steps)))
    finally:
        aider.close()
    return aider.shown


def _tracked(tree: Path) -> list[str]:
    """Return the paths of all files that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=tree, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split("\0") if path]


def _measured(options: argparse.Namespace, name: str) -> list[Row]:
    """Return the rows of a repository, measured now, or saved by an earlier run."""
    saved = json.loads(options.save.read_text("utf-8")) if options.save and options.save.exists() else {}
    if name in saved:
        return [Row(**row) for row in saved[name]]
    rows = at_this_speed(measure(options.repos / f"{name}.git", options.aider))
    if options.save:
        options.save.write_text(json.dumps({**saved, name: [asdict(row) for row in rows]}, indent=1), "utf-8")
    return rows


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.code_speed")
    parser.add_argument("--repos", type=Path, required=True, help="folder of bare clones, REPO.git")
    parser.add_argument("--only", choices=REPOS, help="one repository")
    parser.add_argument("--aider", default="", help="a Python interpreter that has aider-chat 0.86.2")
    parser.add_argument("--save", type=Path, help="file of what was measured; what it holds is not measured again")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    rows: list[Row] = []
    for name in REPOS:
        if options.only in (None, name):
            print(f"{name} ...", file=sys.stderr)
            rows += _measured(options, name)
    if options.json:
        print(json.dumps([{"name": row.name, "value": row.value, "beside": row.beside} for row in rows]))
    else:
        print(table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
