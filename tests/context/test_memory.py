from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.context.memory import MemoryFile, fit_memory, lost_line, memory_text
from flowloom.llm.tokens import EstimatingCounter


class Words:
    def count(self, text: str) -> int:
        return len(text.split())


def lines(number: int) -> str:
    return "\n".join(f"line {n}" for n in range(number))


def fits(files: Sequence[MemoryFile], budget: int) -> list[str]:
    return [each.fit for each in fit_memory(files, budget, Words())]


def told(files: Sequence[MemoryFile], budget: int) -> str:
    return memory_text(fit_memory(files, budget, Words()))


def test_files_stand_in_their_order_each_under_its_name() -> None:
    files = [
        MemoryFile("a.md", " Use tabs.\n"),
        MemoryFile("auto.md", "- x", gives_way=True),
        MemoryFile("b.md", "B"),
    ]
    assert told(files, 100) == "## a.md\nUse tabs.\n\n## auto.md\n- x\n\n## b.md\nB"


def test_the_first_file_that_does_not_fit_is_cut_and_all_after_it_are_left_out() -> None:
    files = [MemoryFile("a", "one"), MemoryFile("b", lines(20)), MemoryFile("c", "three")]
    fitted = fit_memory(files, 14, Words())
    assert [each.fit for each in fitted] == ["whole", "cut", "left out"]
    assert memory_text(fitted) == "## a\none\n\n## b\nline 0\nline 1\n[18 more lines left out]"


def test_what_agents_remembered_gives_way_to_files_after_it_and_keeps_its_newest_lines() -> None:
    files = [MemoryFile("auto", lines(20), gives_way=True), MemoryFile("b", "one two three")]
    assert told(files, 16) == "## auto\n[18 earlier lines left out]\nline 18\nline 19\n\n## b\none two three"


def test_a_file_of_which_no_line_fits_is_left_out() -> None:
    assert fits([MemoryFile("a", "a very long line of many words")], 4) == ["left out"]


def test_a_text_that_an_earlier_file_has_is_not_told_twice_and_nothing_is_lost() -> None:
    files = [MemoryFile("AGENTS.md", "Use tabs.\n"), MemoryFile("CLAUDE.md", "Use tabs.")]
    fitted = fit_memory(files, 100, Words())
    assert [each.fit for each in fitted] == ["whole", "repeated"]
    assert lost_line(fitted, 100) == ""


def test_an_empty_file_has_no_heading() -> None:
    assert told([MemoryFile("a", " \n"), MemoryFile("b", "B")], 10) == "## b\nB"


def test_what_does_not_fit_is_told_in_one_line() -> None:
    files = [MemoryFile("a", lines(20)), MemoryFile("b", "B"), MemoryFile("c", "C")]
    assert lost_line(fit_memory(files, 10, Words()), 10) == (
        "Memory files have more than 10 tokens: a cut; b, c left out."
    )


def test_what_fits_is_not_mentioned() -> None:
    assert lost_line(fit_memory([MemoryFile("a", "x")], 10, Words()), 10) == ""


TEXTS = st.lists(
    st.tuples(st.text(st.sampled_from("ab \n語#<1"), max_size=80), st.booleans()),
    max_size=5,
    unique_by=lambda t: t[0],
)


@given(TEXTS, st.integers(min_value=0, max_value=120))
def test_memory_never_takes_more_than_its_budget(texts: list[tuple[str, bool]], budget: int) -> None:
    files = [MemoryFile(f"f{n}.md", text, gives_way=way) for n, (text, way) in enumerate(texts)]
    counter = EstimatingCounter()
    fitted = fit_memory(files, budget, counter)
    assert counter.count(memory_text(fitted)) <= budget
    assert [each.file for each in fitted] == files


@pytest.mark.parametrize("budget", range(0, 40, 3))
def test_a_larger_budget_never_tells_less(budget: int) -> None:
    files = [MemoryFile("a", lines(4)), MemoryFile("auto", lines(6), gives_way=True), MemoryFile("b", lines(3))]
    order = ["left out", "cut", "whole"]
    less, more = fits(files, budget), fits(files, budget + 3)
    assert all(order.index(one) <= order.index(two) for one, two in zip(less, more, strict=True))
