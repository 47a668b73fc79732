"""Draws the cases of a set: so many hunks, then so many of them for each kind of damage, all from one seed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from flowloom.core.errors import UsageError

from .history import Repository
from .hunk import Hunk, keys_of, line_key
from .kinds import KINDS
from .sets import CaseSet, clone_in
from .task import Draw, Kind, Task, Wanted

_NEAR_LINES = 30
_SEARCHED_COMMITS = 3000

# Shapes and words that placeholders have too, in lines that people really added.
_LIKE_PLACEHOLDERS = re.compile(
    rb"\.\.\.$|^\s*\.\.\.|\[\.\.\.|\b(unchanged|existing|same as|rest of|remaining|omitted|previous|no changes?)\b"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One task with where it comes from."""

    kind: Kind
    hunk: Hunk
    task: Task


@dataclass(frozen=True, slots=True)
class Pool:
    """The changes that cases are made from.

    Attributes:
        hunks: any changes.
        lookalikes: changes that add lines which read like a placeholder.
    """

    hunks: tuple[Hunk, ...]
    lookalikes: tuple[Hunk, ...]


def read_pool(folder: Path, chosen: CaseSet, count: int, per_kind: int, seed: int) -> Pool:
    """Return the changes of a set, as many from each repository.

    Args:
        folder: holds the clones.
        count: how many in all.
        per_kind: how many that read like a placeholder; fewer where the history has not so many.

    Raises:
        UsageError: a clone is missing, is no repository, or has too few changes that fit.
    """
    hunks: list[Hunk] = []
    lookalikes: list[Hunk] = []
    sources = len(chosen.sources)
    for place, source in enumerate(chosen.sources):
        share, few = (number // sources + (place < number % sources) for number in (count, per_kind))
        rng = Random(f"{seed} {source.name}")
        repository = Repository(source.name, clone_in(folder, source))
        try:
            commits = repository.commits(source.tip)
            rng.shuffle(commits)
            found = list(islice(repository.hunks(commits, rng), share))
            lookalikes += islice(repository.hunks(commits[:_SEARCHED_COMMITS], rng, _LIKE_PLACEHOLDERS), few)
        finally:
            repository.close()
        if len(found) < share:
            raise UsageError(f"{source.name} has only {len(found)} changes that fit; {share} are wanted.")
        hunks += found
    return Pool(tuple(hunks), tuple(lookalikes))


def make_cases(
    pool: Pool, per_kind: int, seed: int, *, held_out: bool = False, kinds: Sequence[Kind] = KINDS
) -> Iterator[Case]:
    """Yield up to so many cases of each kind; a hunk that a damage does not fit is passed over.

    The cases of a kind depend on the seed, the pool and this kind alone.
    """
    for kind in kinds:
        rng = Random(f"{seed} {kind.name}")
        hunks = pool.lookalikes if kind.lookalikes else pool.hunks
        order = rng.sample(hunks, len(hunks))
        yield from islice(_of_kind(kind, order, rng, held_out), per_kind)


def _of_kind(kind: Kind, hunks: Sequence[Hunk], rng: Random, held_out: bool) -> Iterator[Case]:
    for hunk in hunks:
        made = kind.damage(Draw(hunk, rng.choice(hunks), rng, held_out))
        if made is not None and _sound(kind, hunk, made):
            yield Case(kind, hunk, made)


def _sound(kind: Kind, hunk: Hunk, made: Task) -> bool:
    """Tell whether the right answer is clear: the request asks for something and means no other place.

    A damaged quote may stand, as a part of longer lines, where nobody meant it.
    """
    if made.old == made.new or not made.old.strip() or made.text == made.expected:
        return False
    if kind.wanted is Wanted.REFUSAL or not made.alone:
        return True
    text, old = made.text.replace("\r\n", "\n"), made.old.replace("\r\n", "\n")
    place = text.find(old)
    if place < 0:
        return True
    if text.find(old, place + 1) >= 0:
        return False
    begin, end = text.rfind("\n", 0, place) + 1, text.find("\n", place + len(old.rstrip("\n")))
    near = set(hunk.with_context(hunk.before + _NEAR_LINES, hunk.after + _NEAR_LINES).old)
    known = {line_key(line) for line in near}
    return all(
        key in known or not key.isascii() for key in keys_of(text[begin : end if end >= 0 else None].split("\n"))
    )
