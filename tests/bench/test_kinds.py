from __future__ import annotations

from collections import Counter

import pytest

from flowloom.bench.edit_cases.cases import Case, Pool, make_cases
from flowloom.bench.edit_cases.hunk import line_key
from flowloom.bench.edit_cases.kinds import KINDS
from flowloom.bench.edit_cases.task import Kind, Wanted

UNDAMAGED = ("exact", "one_line", "blank_edges", "no_placeholder", "near_line")


def cases_of(kind: Kind, pool: Pool) -> list[Case]:
    return list(make_cases(pool, 12, seed=11, kinds=[kind]))


def changed_lines(before: str, after: str) -> tuple[Counter[str], Counter[str]]:
    """Return the lines that went and those that came, blanks not counted."""
    old, new = (Counter(filter(None, map(line_key, text.split("\n")))) for text in (before, after))
    return old - new, new - old


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kind_makes_cases(kind: Kind, pool: Pool) -> None:
    assert cases_of(kind, pool)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.wanted is not Wanted.REFUSAL], ids=lambda kind: kind.name
)
def test_expected_text_makes_the_change_of_the_commit_and_no_other(kind: Kind, pool: Pool) -> None:
    for case in cases_of(kind, pool):
        assert case.task.expected is not None
        real = changed_lines(case.hunk.text, case.hunk.text_after)
        assert changed_lines(case.task.text, case.task.expected) == real


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.wanted is Wanted.REFUSAL], ids=lambda kind: kind.name
)
def test_kind_that_wants_a_refusal_has_no_right_text(kind: Kind, pool: Pool) -> None:
    for case in cases_of(kind, pool):
        assert case.task.expected is None
        assert case.task.old != case.task.new


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if kind.wanted is Wanted.EDIT and kind.name not in UNDAMAGED],
    ids=lambda kind: kind.name,
)
def test_damage_keeps_the_quote_from_being_applied_as_it_is(kind: Kind, pool: Pool) -> None:
    literal = [case.task for case in cases_of(kind, pool)]
    right = [made.text.replace(made.old, made.new, 1) == made.expected for made in literal]

    if kind.name not in ("mixed_ends", "first_line_lost", "part_of_line", "japanese", "edge_lines"):
        assert sum(right) <= len(right) / 3


def test_cases_of_a_kind_do_not_depend_on_the_other_kinds(pool: Pool) -> None:
    some = [kind for kind in KINDS if kind.name in ("dedented", "elision", "target_gone")]
    together = list(make_cases(pool, 5, seed=3, kinds=some))

    assert together == [case for kind in some for case in make_cases(pool, 5, seed=3, kinds=[kind])]


def test_wordings_kept_for_the_held_out_set_are_not_in_the_tuning_set(pool: Pool) -> None:
    kind = kind_named("placeholder_comment")
    tuned, held_out = (
        {
            words
            for seed in range(4)
            for case in make_cases(pool, 90, seed, held_out=out, kinds=[kind])
            for words in new_lines(case)
        }
        for out in (False, True)
    )

    assert tuned
    assert held_out - tuned


def new_lines(case: Case) -> set[str]:
    """Return the lines of the replacement that are neither in the file before nor after the real change."""
    known = case.hunk.text.split("\n") + case.hunk.text_after.split("\n")
    return {line.strip() for line in case.task.new.split("\n")} - {line.strip() for line in known}


def kind_named(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


def test_context_that_is_misquoted_in_both_texts_keeps_the_bytes_of_the_file(pool: Pool) -> None:
    for case in cases_of(kind_named("comment_misquoted"), pool):
        misquoted = set(case.task.old.split("\n")) - set(case.task.text.split("\n"))
        assert len(misquoted) == 1
        assert misquoted <= set(case.task.new.split("\n"))
        assert not misquoted & set((case.task.expected or "").split("\n"))


def test_new_lines_get_the_line_ends_around_them(pool: Pool) -> None:
    for case in cases_of(kind_named("mixed_ends"), pool):
        assert "\r\n" in case.task.text
        assert "\n" in case.task.text.replace("\r\n", "")


def test_two_sites_stand_equally_far_from_the_quote(pool: Pool) -> None:
    for case in cases_of(kind_named("two_sites_alike"), pool):
        quoted, file = case.task.old.strip("\n").split("\n"), case.task.text.split("\n")
        windows = [file[place : place + len(quoted)] for place in range(len(file) - len(quoted) + 1)]
        near = [sum(a != b for a, b in zip(quoted, window, strict=True)) for window in windows]
        assert near.count(1) >= 2
        assert 0 not in near


def test_line_number_names_one_of_two_sites(pool: Pool) -> None:
    for case in cases_of(kind_named("near_line"), pool):
        assert case.task.text.count(case.task.old) == 2
        assert case.task.near_line is not None
        assert abs(case.task.near_line - case.hunk.first - 1) <= 2
