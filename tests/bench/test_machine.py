from __future__ import annotations

import pytest

from flowloom.bench.machine import DESIGN_PYTHON_MS, at_this_speed, python_ms
from flowloom.bench.rows import Row, table

TWICE_AS_SLOW = 2 * DESIGN_PYTHON_MS


def test_limit_of_a_time_grows_with_the_slowness_of_the_machine() -> None:
    short, long = at_this_speed([Row("a", 150, "ms", 100), Row("b", 2.1, "s", 1)], TWICE_AS_SLOW)
    assert (short.limit, short.limit_here, short.ok) == (100, 200, True)
    assert (long.limit, long.limit_here, long.ok) == (1, 2, False)


def test_limit_of_a_rate_shrinks_with_it() -> None:
    (row,) = at_this_speed([Row("documents", 160, "a s", 300, "at least")], TWICE_AS_SLOW)
    assert (row.limit_here, row.ok) == (150, True)


def test_fast_machine_is_held_to_the_limit_itself() -> None:
    (row,) = at_this_speed([Row("a", 101, "ms", 100)], DESIGN_PYTHON_MS / 2)
    assert (row.limit_here, row.ok) == (100, False)


def test_limit_that_a_bench_has_scaled_itself_is_kept() -> None:
    (row,) = at_this_speed([Row("a", 25, "s", 10, limit_here=30)], TWICE_AS_SLOW)
    assert (row.limit_here, row.ok) == (30, True)


@pytest.mark.parametrize("unit", ["x", "tokens", "MB", "%", ""])
def test_what_is_no_time_keeps_its_limit(unit: str) -> None:
    (row,) = at_this_speed([Row("a", 1.5, unit, 1)], TWICE_AS_SLOW)
    assert (row.limit_here, row.ok) == (None, False)


def test_table_shows_both_limits_and_judges_by_the_one_of_this_machine() -> None:
    rows = at_this_speed([Row("a", 0.9, "s", 0.8), Row("b", 2, "MB", 1), Row("c", 1, "s")], TWICE_AS_SLOW)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()[2:]]
    assert cells == [
        ["a", "0.9 s", "<= 0.8", "<= 1.6", "", "ok"],
        ["b", "2 MB", "<= 1", "", "", "NOT MET"],
        ["c", "1 s", "", "", "", ""],
    ]


def test_bare_interpreter_is_measured_as_milliseconds_of_its_processor_time() -> None:
    assert 1 < python_ms() < 10_000
