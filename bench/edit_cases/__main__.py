"""`python -m bench.edit_cases --repos FOLDER --set tune|report`, from the root of the checkout.

Makes the cases of a set from the clones in the folder, applies them, prints the tables in Markdown; ends with 1 when
a limit is passed, with 2 when it cannot run. `--show KIND` prints what went wrong there, for the tuning set alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from flowloom.core.errors import FlowError, UsageError

from ..machine import at_this_speed
from ..rows import table
from .appliers import Applier, aider, exact_only, flowloom
from .cases import Case, make_cases, read_pool
from .hunk import Hunk
from .kinds import KINDS
from .report import OURS, appliers_table, kinds_table, rows, shown
from .scoring import Scored, score, tally
from .sets import SETS, CaseSet

LARGE_LINES = 2000
_LARGE_PER_KIND = 8


def main(arguments: Sequence[str], sets: Mapping[str, CaseSet] = SETS) -> int:
    """Return the exit code."""
    options = _options(arguments, sets)
    try:
        return _run(options, sets[options.set])
    except FlowError as err:
        print(err, file=sys.stderr)
        return 2


def _options(arguments: Sequence[str], sets: Mapping[str, CaseSet]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.edit_cases")
    parser.add_argument("--repos", type=Path, required=True, help="folder of clones")
    parser.add_argument("--set", choices=sets, default="tune")
    parser.add_argument("--seed", type=int, help="another seed than the set's own")
    parser.add_argument("--hunks", type=int, default=600)
    parser.add_argument("--per-kind", type=int, default=60)
    parser.add_argument("--aider-python", type=Path, help="an interpreter with the package aider-chat")
    parser.add_argument("--kinds", help="only these, separated by commas")
    parser.add_argument("--show", metavar="KIND", help="print the failed cases of a kind, or of `all`; no tables")
    parser.add_argument("--wrong", action="store_true", help="of the failed cases only the wrong edits")
    parser.add_argument("--sample", metavar="KIND", help="print cases of a kind, failed or not; no tables")
    parser.add_argument("--most", type=int, default=10, help="how many cases to print")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, chosen: CaseSet) -> int:
    if chosen.held_out and (options.show or options.sample):
        raise UsageError(
            f"The set {chosen.name!r} is held out: its cases are not shown, so that nothing is tuned on it."
        )
    seed = chosen.seed if options.seed is None else options.seed
    named = options.show or options.sample or ""
    wanted = set((options.kinds or ("" if named == "all" else named)).split(",")) - {""}
    if unknown := sorted(wanted - {kind.name for kind in KINDS}):
        raise UsageError(f"There is no kind {unknown[0]!r}. Kinds: {', '.join(kind.name for kind in KINDS)}.")
    kinds = [kind for kind in KINDS if not wanted or kind.name in wanted]
    pool = read_pool(options.repos, chosen, options.hunks, options.per_kind, seed)
    cases = list(make_cases(pool, options.per_kind, seed, held_out=chosen.held_out, kinds=kinds))
    own = score(cases, flowloom(cases))
    if named:
        failed = [one for one in own if options.sample or (one.is_wrong if options.wrong else one.failed)]
        print("\n".join(map(shown, failed[: options.most])))
        return 0
    results = {OURS: own, **_others(options.aider_python, cases)}
    large_ms = tally(_in_large_files(cases, pool.hunks, seed)).time_ms(95)
    held_to = at_this_speed(rows(results, large_ms))
    print(f"Set {chosen.name}, seed {seed}: {len(pool.hunks)} hunks, {len(kinds)} kinds, {len(cases):,} cases.\n")
    print(table(held_to), appliers_table(results), kinds_table(results), sep="\n\n")
    return 0 if all(row.ok for row in held_to) else 1


def _others(aider_python: Path | None, cases: Sequence[Case]) -> dict[str, list[Scored]]:
    appliers: dict[str, Applier] = {"exact only": exact_only}
    if aider_python is None:
        print("Aider is left out: no --aider-python was given.", file=sys.stderr)
    else:
        appliers["Aider"] = aider(aider_python)
    return {name: score(cases, applier(cases)) for name, applier in appliers.items()}


def _in_large_files(cases: Iterable[Case], hunks: Sequence[Hunk], seed: int) -> list[Scored]:
    """Return some cases of each kind in files filled up to 2,000 lines, for their times; outcomes mean nothing."""
    rng = Random(f"{seed} large")
    taken: dict[str, int] = {}
    large = []
    for case in cases:
        lines = case.task.text.count("\n")
        if lines <= LARGE_LINES and taken.get(case.kind.name, 0) < _LARGE_PER_KIND:
            taken[case.kind.name] = taken.get(case.kind.name, 0) + 1
            large.append(replace(case, task=replace(case.task, text=_filled_up(case, hunks, rng))))
    return score(large, flowloom(large))


def _filled_up(case: Case, hunks: Sequence[Hunk], rng: Random) -> str:
    """Return the file with lines of other files of the set below it."""
    end = "\r\n" if "\r\n" in case.task.text else "\n"
    missing = LARGE_LINES - case.task.text.count("\n")
    more: list[str] = []
    while len(more) < missing:
        more += rng.choice(hunks).lines
    return case.task.text + "".join(line + end for line in more[:missing])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
