from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowloom.bench.edit_cases.appliers import Answer, aider, exact_only
from flowloom.bench.edit_cases.cases import Case, Pool
from flowloom.bench.edit_cases.kinds import KINDS
from flowloom.bench.edit_cases.report import OURS, appliers_table, kinds_table, rows
from flowloom.bench.edit_cases.scoring import Outcome, Scored, judge, score, tally
from flowloom.bench.edit_cases.task import Task
from flowloom.core.errors import UsageError

TASK = Task("a\nb\nc\n", "b", "B", "a\nB\nc\n")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("a\nB\nc\n", Outcome.EXACT),
        ("a\r\nB \r\n\r\nc", Outcome.NEAR),
        ("a\n B\nc\n", Outcome.WRONG),
        ("a\nb\nc\n", Outcome.REFUSED),
        (None, Outcome.REFUSED),
    ],
)
def test_answer_is_judged_against_the_right_text(text: str | None, outcome: Outcome) -> None:
    assert judge(TASK, Answer(text, 1.0)) is outcome


def test_any_write_is_wrong_where_a_refusal_is_wanted() -> None:
    refused = Task("a\n", "b", "B", None)

    assert judge(refused, Answer("B\n", 1.0)) is Outcome.WRONG
    assert judge(refused, Answer("a\n", 1.0)) is Outcome.REFUSED


def scored(pool: Pool, kind: str, outcomes: Sequence[Outcome], ms: float = 1.0) -> list[Scored]:
    found = next(each for each in KINDS if each.name == kind)
    return [Scored(Case(found, pool.hunks[0], TASK), Answer("", ms), outcome) for outcome in outcomes]


def test_tally_counts_each_outcome_and_takes_percentiles_of_the_times(pool: Pool) -> None:
    some = scored(pool, "exact", [Outcome.EXACT] * 6 + [Outcome.NEAR, Outcome.REFUSED, Outcome.WRONG, Outcome.WRONG])
    counted = tally(some + scored(pool, "exact", [Outcome.EXACT] * 10, ms=9.0))

    assert (counted.exact, counted.near, counted.refused, counted.wrong) == (16, 1, 1, 2)
    assert counted.applied_percent == 85
    assert counted.time_ms(95) == 9.0


def test_tally_of_nothing_is_zero() -> None:
    assert (tally([]).applied_percent, tally([]).time_ms(95)) == (0, 0)


def results(pool: Pool, placeholder: Outcome, stale: Outcome) -> dict[str, list[Scored]]:
    edits = scored(pool, "exact", [Outcome.EXACT] * 95 + [Outcome.REFUSED] * 5)
    either = scored(pool, "line_left_out", [Outcome.REFUSED])
    refusals = scored(pool, "placeholder_bare", [placeholder]) + scored(pool, "target_gone", [stale])
    return {OURS: edits + either + refusals, "other": scored(pool, "exact", [Outcome.WRONG])}


def test_limits_are_met_by_a_run_without_wrong_edits(pool: Pool) -> None:
    assert all(row.ok for row in rows(results(pool, Outcome.REFUSED, Outcome.REFUSED), large_ms=3.0))


def test_one_placeholder_written_misses_a_limit(pool: Pool) -> None:
    missed = [row.name for row in rows(results(pool, Outcome.WRONG, Outcome.REFUSED), large_ms=3.0) if not row.ok]

    assert any(name.startswith("ambiguous, invented, placeholder") for name in missed)


def test_slow_edits_of_large_files_miss_a_limit(pool: Pool) -> None:
    missed = [row.name for row in rows(results(pool, Outcome.REFUSED, Outcome.REFUSED), large_ms=51.0) if not row.ok]

    assert missed == ["one edit in 2,000 lines, p95"]


def test_tables_name_every_applier_and_kind(pool: Pool) -> None:
    done = results(pool, Outcome.REFUSED, Outcome.REFUSED)
    done["other"] = done[OURS]

    assert "| other " in appliers_table(done)
    assert "| target_gone " in kinds_table(done)


def test_exact_only_writes_a_quote_that_stands_once(pool: Pool) -> None:
    kind = KINDS[0]
    cases = [Case(kind, pool.hunks[0], task) for task in (TASK, Task("b\nb\n", "b", "B", None))]

    assert [one.outcome for one in score(cases, exact_only(cases))] == [Outcome.EXACT, Outcome.REFUSED]


def test_aider_answers_from_an_interpreter_of_its_own(tmp_path: Path, pool: Pool) -> None:
    package = tmp_path / "aider" / "coders"
    package.mkdir(parents=True)
    body = [
        "def do_replace(fname, content, before, after, fence):",
        "print('noise')",
        "return content.replace(before, after)",
    ]
    (package / "editblock_coder.py").write_text("\n    ".join(body))
    python = interpreter(tmp_path, f"PYTHONPATH={tmp_path}")
    cases = [Case(KINDS[0], pool.hunks[0], TASK)]

    answers = list(aider(python)(cases))

    assert [answer.text for answer in answers] == ["a\nB\nc\n"]


def test_interpreter_without_aider_is_an_error(tmp_path: Path, pool: Pool) -> None:
    with pytest.raises(UsageError, match="no package `aider`"):
        list(aider(interpreter(tmp_path, "A=b"))([Case(KINDS[0], pool.hunks[0], TASK)]))


def interpreter(folder: Path, setting: str) -> Path:
    """Return a program that starts this Python, isolated from its packages, with one more environment variable."""
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec env {setting} "{sys.executable}" -S "$@" 2>/dev/null\n')
    program.chmod(0o755)
    return program
