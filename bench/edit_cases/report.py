"""The tables of a run: the limits, the appliers beside each other, and every kind."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from ..rows import Row
from .scoring import STALE, Scored, Tally, of_class, tally
from .task import Wanted

OURS = "flowloom"

Results = Mapping[str, Sequence[Scored]]
"""The scored cases of each applier, by its name; Flowloom's under `OURS`."""


def rows(results: Results, large_ms: float) -> list[Row]:
    """Return what the set is held to, the other appliers beside it.

    Args:
        large_ms: p95 of one edit in files of 2,000 lines, in milliseconds.
    """
    edits = {name: tally(of_class(scored, Wanted.EDIT)) for name, scored in results.items()}
    either = {name: tally(of_class(scored, Wanted.EITHER)) for name, scored in results.items()}
    refusals = {name: of_class(scored, Wanted.REFUSAL) for name, scored in results.items()}
    never = {name: tally([one for one in some if one.case.kind.name not in STALE]) for name, some in refusals.items()}
    stale = {name: tally([one for one in some if one.case.kind.name in STALE]) for name, some in refusals.items()}
    asked = f"edit wanted ({edits[OURS].total:,})"
    return [
        _row(f"{asked}: applied", {name: one.applied_percent for name, one in edits.items()}, 95, at_least=True),
        _row(f"{asked}: byte-exact", {name: one.exact_percent for name, one in edits.items()}, 88, at_least=True),
        _row(f"{asked}: wrong", _wrong(edits), 0.3),
        _row(f"edit or refusal ({either[OURS].total:,}): wrong", _wrong(either), 0.3),
        _row(f"ambiguous, invented, placeholder ({never[OURS].total:,}): wrong", _wrong(never), 0),
        _row(f"already applied, target gone ({stale[OURS].total:,}): wrong", _wrong(stale), 0.3),
        _row("all: wrong", _wrong({name: tally(scored) for name, scored in results.items()}), 0.3),
        Row("one edit in 2,000 lines, p95", large_ms, "ms", 50),
    ]


def appliers_table(results: Results) -> str:
    """Return a Markdown table with one line for each applier."""
    head = (
        "applier",
        "applied %",
        "exact %",
        "refused %",
        "wrong %",
        "either: wrong %",
        "refusal wanted: wrong %",
        "all: wrong %",
        "p50 ms",
        "p95 ms",
        "max ms",
    )
    return _markdown([head, *(_applier_cells(name, scored) for name, scored in results.items())])


def kinds_table(results: Results) -> str:
    """Return a Markdown table with one line for each kind: ours in full, of the others what they apply and spoil."""
    others = [name for name in results if name != OURS]
    head = ("kind", "wanted", "n", "applied %", "exact %", "refused %", "wrong %", "p95 ms")
    lines = [(*head, *(f"{name}: applied / wrong %" for name in others))]
    by_kind = {name: _by_kind(scored) for name, scored in results.items()}
    for kind, scored in by_kind[OURS].items():
        own = tally(scored)
        beside = (tally(by_kind[name][kind]) for name in others)
        cells = [f"{_short(one.applied_percent)} / {_short(one.percent(one.wrong))}" for one in beside]
        first = (kind, scored[0].case.kind.wanted.value, str(own.total))
        lines.append((*first, *_shares(own), f"{own.time_ms(95):.1f}", *cells))
    return _markdown(lines)


def shown(one: Scored) -> str:
    """Return a case as text to read: where it comes from, both texts, and where the answer is not the right one."""
    asked, hunk = one.case.task, one.case.hunk
    wanted = asked.text if asked.expected is None else asked.expected
    got = asked.text if one.answer.text is None else one.answer.text
    diff = difflib.unified_diff(wanted.splitlines(), got.splitlines(), "right", "got", "", "", 2, "")
    right = difflib.unified_diff(asked.text.splitlines(), wanted.splitlines(), "file", "right", "", "", 3, "")
    line = "" if asked.near_line is None else f" near line {asked.near_line}"
    return "\n".join(
        [
            f"=== {one.case.kind.name} ({one.case.kind.wanted}): {one.outcome}, {one.answer.said or '-'}{line}",
            f"    {hunk.repository} {hunk.commit[:12]} {hunk.path} line {hunk.first + 1}",
            "--- old",
            *(ascii(part)[1:-1] if not part.isprintable() else part for part in asked.old.split("\n")),
            "--- new",
            *(ascii(part)[1:-1] if not part.isprintable() else part for part in asked.new.split("\n")),
            "--- the right change",
            *right,
            "--- right against got",
            *diff,
            "",
        ]
    )


def _row(name: str, percents: Mapping[str, float], limit: float, *, at_least: bool = False) -> Row:
    beside = ", ".join(f"{other} {percent:.1f} %" for other, percent in percents.items() if other != OURS)
    return Row(name, percents[OURS], "%", limit, "at least" if at_least else "at most", beside)


def _wrong(tallies: Mapping[str, Tally]) -> dict[str, float]:
    return {name: one.percent(one.wrong) for name, one in tallies.items()}


def _by_kind(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    found: dict[str, list[Scored]] = {}
    for one in scored:
        found.setdefault(one.case.kind.name, []).append(one)
    return found


def _applier_cells(name: str, scored: Sequence[Scored]) -> tuple[str, ...]:
    edits, every = tally(of_class(scored, Wanted.EDIT)), tally(scored)
    either, refusals = tally(of_class(scored, Wanted.EITHER)), tally(of_class(scored, Wanted.REFUSAL))
    wrongs = (_short(one.percent(one.wrong)) for one in (either, refusals, every))
    times = (every.time_ms(50), every.time_ms(95), max(every.times_ms, default=0.0))
    return (name, *_shares(edits), *wrongs, *(f"{ms:.1f}" for ms in times))


def _shares(one: Tally) -> tuple[str, ...]:
    shares = (one.percent(one.exact), one.percent(one.refused), one.percent(one.wrong))
    return tuple(map(_short, (one.applied_percent, *shares)))


def _short(percent: float) -> str:
    return f"{percent:.0f}" if percent in (0, 100) else f"{percent:.1f}"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    out = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    return "\n".join([out[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *out[1:]])
