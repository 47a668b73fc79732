"""Judges answers and counts them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .appliers import Answer
from .cases import Case
from .task import Task, Wanted

STALE = ("already_applied", "already_applied_dedented", "target_gone")
"""The kinds where a refusal is wanted because the file is another by now; the others allow no wrong edit at all."""


class Outcome(StrEnum):
    """What an answer is worth."""

    EXACT = "exact"
    NEAR = "near"
    REFUSED = "refused"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Scored:
    """A case with its answer."""

    case: Case
    answer: Answer
    outcome: Outcome

    @property
    def failed(self) -> bool:
        """True for a wrong edit, and for a refusal where an edit is wanted."""
        return self.is_wrong or (self.outcome is Outcome.REFUSED and self.case.kind.wanted is Wanted.EDIT)

    @property
    def is_wrong(self) -> bool:
        """True for a wrong edit."""
        return self.outcome is Outcome.WRONG


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of outcomes, and the times of the answers in milliseconds."""

    exact: int
    near: int
    refused: int
    wrong: int
    times_ms: tuple[float, ...]

    @property
    def total(self) -> int:
        """How many answers there are."""
        return self.exact + self.near + self.refused + self.wrong

    @property
    def applied_percent(self) -> float:
        """Byte-exact and near ones, 0..100; 0 when there are no answers."""
        return self.percent(self.exact + self.near)

    @property
    def exact_percent(self) -> float:
        """Byte-exact ones, 0..100; 0 when there are no answers."""
        return self.percent(self.exact)

    def percent(self, count: int) -> float:
        """Return a share of all answers, 0..100; 0 when there are none."""
        return 100 * count / self.total if self.total else 0.0

    def time_ms(self, percent: int) -> float:
        """Return the time that so many percent of the answers stay within; 0 when there are none."""
        if len(self.times_ms) < 2:
            return sum(self.times_ms)
        return statistics.quantiles(self.times_ms, n=100, method="inclusive")[percent - 1]


def judge(asked: Task, answer: Answer) -> Outcome:
    """Return what an answer is worth; a file given back as it was counts as refused."""
    if answer.text is None or answer.text == asked.text:
        return Outcome.REFUSED
    if asked.expected is None:
        return Outcome.WRONG
    if answer.text == asked.expected:
        return Outcome.EXACT
    return Outcome.NEAR if _loose(answer.text) == _loose(asked.expected) else Outcome.WRONG


def score(cases: Iterable[Case], answers: Iterable[Answer]) -> list[Scored]:
    """Return the cases judged."""
    pairs = zip(cases, answers, strict=True)
    return [Scored(case, answer, judge(case.task, answer)) for case, answer in pairs]


def tally(scored: Sequence[Scored]) -> Tally:
    """Return the counts of some answers."""
    outcomes = [one.outcome for one in scored]
    exact, near, refused, wrong = map(outcomes.count, (Outcome.EXACT, Outcome.NEAR, Outcome.REFUSED, Outcome.WRONG))
    return Tally(exact, near, refused, wrong, tuple(one.answer.ms for one in scored))


def of_class(scored: Sequence[Scored], wanted: Wanted) -> list[Scored]:
    """Return those of one class."""
    return [one for one in scored if one.case.kind.wanted is wanted]


def _loose(text: str) -> list[str]:
    """Return the lines without trailing blanks and line ends, blank lines left out."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [line.rstrip() for line in lines if line.strip()]
