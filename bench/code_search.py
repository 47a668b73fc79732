"""Localization: which files does a change concern? Ours beside plain BM25 and Aider, on public commits.

    python -m bench.code_search --repos DIR [--set tune|report] [--cases N] [--aider PYTHON] [--save FILE]

DIR holds bare clones (REPO.git). Settings are chosen on the repositories of the set "tune" alone; those of the set
"report" are never looked at for it. Ends with 1 when ours is below BM25.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from flowloom.configs.dirs import replace_private

from .code_cases import Case, checked_out, is_source, read_cases
from .code_rankers import VARIANTS, AiderRanker, OurRankers, PlainBm25

SETS: Mapping[str, tuple[str, ...]] = {
    "tune": ("flask", "aider", "tokio", "caddy"),
    "report": ("sqlalchemy", "core", "prometheus", "kafka"),
}
OURS = "ours: words, names, commits"
FLOOR = "BM25"
AIDER = "Aider 0.86.2"
# A query takes Aider tens of seconds there.
_TOO_LARGE_FOR_AIDER = frozenset({"kafka"})
_RESAMPLES = 10_000
_DEPTHS = (5, 10, 20)


@dataclass(frozen=True, slots=True)
class Result:
    """Where the answer of one ranker has the files of one case: their ranks from 1; 0 = not in it."""

    repo: str
    commit: str
    ranker: str
    ranks: tuple[int, ...]

    def recall(self, depth: int) -> float:
        return sum(0 < rank <= depth for rank in self.ranks) / len(self.ranks)

    def reciprocal(self) -> float:
        best = min((rank for rank in self.ranks if rank), default=0)
        return 1 / best if best else 0.0


def measure(
    repos: Path, names: Sequence[str], count: int, rankers: Sequence[str], aider: str, save: Path | None = None
) -> list[Result]:
    """Return the results of the rankers on every case.

    Args:
        rankers: names of BM25, ours and Aider's.
        save: a file that holds those so far, as JSON; what is in it already is not computed again.
    """
    results = read_results(save) if save is not None and save.exists() else []
    for name in names:
        clone = repos / f"{name}.git"
        asked = [each for each in rankers if each != AIDER or (aider and name not in _TOO_LARGE_FOR_AIDER)]
        cases = read_cases(clone, count)
        known = {(result.commit, result.ranker) for result in results if result.repo == name}
        left = [(case, [each for each in asked if (case.commit, each) not in known]) for case in cases]
        due = {case.commit: missing for case, missing in left if missing}
        print(f"{name}: {len(cases)} cases, {len(due)} to do", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder, Rankers(Path(folder) / name, Path(folder), aider) as at_work:
            todo = [case for case in cases if case.commit in due]
            for at, case in enumerate(checked_out(clone, todo, Path(folder) / name), 1):
                rankings = at_work.rank(case.query, due[case.commit])
                results += [Result(name, case.commit, ranker, _ranks(case, rankings[ranker])) for ranker in rankings]
                if save is not None:
                    replace_private(save, json.dumps([asdict(result) for result in results]).encode())
                if at % 10 == 0:
                    print(f"  {at} of {len(todo)}", file=sys.stderr)
    return results


def read_results(file: Path) -> list[Result]:
    return [Result(**{**row, "ranks": tuple(row["ranks"])}) for row in json.loads(file.read_text())]


class Rankers:
    """The rankers at work in one tree, each begun when it is first asked."""

    def __init__(self, tree: Path, cache: Path, aider: str) -> None:
        self._tree, self._cache, self._interpreter = tree, cache / "index", aider
        self._ours: OurRankers | None = None
        self._plain: PlainBm25 | None = None
        self._aider: AiderRanker | None = None

    def __enter__(self) -> Rankers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._aider is not None:
            self._aider.close()

    def rank(self, query: str, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the order of paths of each of the rankers that are named."""
        self._ours = self._ours or OurRankers(self._tree, self._cache)
        self._ours.refresh()
        pool = self._ours.source_paths()
        found: dict[str, list[str]] = {}
        for name in names:
            if name == FLOOR:
                self._plain = self._plain or PlainBm25(self._tree)
                found[name] = self._plain.rank(query, pool)
            elif name == AIDER:
                self._aider = self._aider or AiderRanker(self._interpreter, self._tree)
                found[name] = [str(path) for path in self._aider.ask(query, pool)["paths"]]  # type: ignore[attr-defined]
            else:
                found[name] = self._ours.rank(query, VARIANTS[name])
        return found


def _ranks(case: Case, paths: Sequence[str]) -> tuple[int, ...]:
    places = {path: at for at, path in enumerate((path for path in paths if is_source(path)), 1)}
    return tuple(places.get(path, 0) for path in case.gold)


def report(results: Sequence[Result]) -> str:
    """Return Markdown: each ranker's figures, and its difference from BM25 with 95 % intervals."""
    lines = [
        "| ranker | cases | R@5 | R@10 | R@20 | MRR | R@10 - BM25 (95 %) | MRR - BM25 (95 %) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    floor = {result.commit: result for result in results if result.ranker == FLOOR}
    for name in [FLOOR, *VARIANTS, AIDER]:
        mine = [result for result in results if result.ranker == name]
        if not mine:
            continue
        figures = [statistics.mean(result.recall(depth) for result in mine) for depth in _DEPTHS]
        figures.append(statistics.mean(result.reciprocal() for result in mine))
        pairs = [(result, floor[result.commit]) for result in mine]
        recall = _interval([each.recall(10) - base.recall(10) for each, base in pairs])
        rank = _interval([each.reciprocal() - base.reciprocal() for each, base in pairs])
        shown = " | ".join(f"{figure:.3f}" for figure in figures)
        lines.append(f"| {name} | {len(mine)} | {shown} | {recall} | {rank} |")
    return "\n".join(lines)


def paired(results: Sequence[Result], first: str, second: str) -> str:
    """Return the differences of two rankers with their 95 % intervals."""
    base = {result.commit: result for result in results if result.ranker == second}
    pairs = [(result, base[result.commit]) for result in results if result.ranker == first]
    recall = _interval([one.recall(10) - two.recall(10) for one, two in pairs])
    rank = _interval([one.reciprocal() - two.reciprocal() for one, two in pairs])
    return f"{first} - {second}: R@10 {recall}, MRR {rank} ({len(pairs)} cases)"


def _interval(differences: Sequence[float]) -> str:
    """Return the mean and its paired bootstrap interval."""
    chance = random.Random(1)
    means = sorted(statistics.fmean(chance.choices(differences, k=len(differences))) for _ in range(_RESAMPLES))
    low, high = means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES)]
    return f"{statistics.fmean(differences):+.3f} ({low:+.3f}..{high:+.3f})"


def is_below_floor(results: Sequence[Result]) -> bool:
    """Tell whether our ranking finds less than BM25, by R@10."""
    mean = {
        name: statistics.mean(result.recall(10) for result in results if result.ranker == name)
        for name in (OURS, FLOOR)
    }
    return mean[OURS] < mean[FLOOR]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.code_search")
    parser.add_argument("--repos", type=Path, required=True, help="folder of bare clones, REPO.git")
    parser.add_argument("--set", choices=sorted(SETS), default="report")
    parser.add_argument("--only", default="", help="one repository of the set")
    parser.add_argument("--cases", type=int, default=50, help="of each repository")
    parser.add_argument("--rankers", default="", help="names of those to run, separated by |; all when left out")
    parser.add_argument("--aider", default="", help="a Python interpreter that has aider-chat 0.86.2")
    parser.add_argument("--save", type=Path, help="a file for the single results, as JSON")
    options = parser.parse_args(argv)
    names = [name for name in SETS[options.set] if options.only in ("", name)]
    rankers = options.rankers.split("|") if options.rankers else [FLOOR, *VARIANTS, AIDER]
    results = measure(options.repos, names, options.cases, rankers, options.aider, options.save)
    if FLOOR not in rankers:
        return 0
    for name in names:
        print(f"\n{name}\n\n{report([result for result in results if result.repo == name])}")
    print(f"\nset {options.set}\n\n{report(results)}\n")
    for second in VARIANTS:
        if second != OURS:
            print(paired(results, OURS, second))
    return 1 if is_below_floor(results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
