from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from flowloom.context.assemble import Budget, TurnAssembler, system_message
from flowloom.context.attached import Attached, Attachment
from flowloom.context.blocks import Block
from flowloom.context.memory import MemoryFile
from flowloom.core.hits import Hit, Source

ALL = Budget(repo_map=50, code=50, docs=50, memory=50)


class Words:
    def count(self, text: str) -> int:
        return len(text.split())


@dataclass
class Hits:
    """Every source has these texts, each under one heading."""

    texts: Sequence[str] = ("one two three",)
    heading: str = ""
    asked: list[tuple[str, int, Source]] = field(default_factory=list)

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        (source,) = sources
        self.asked.append((query, budget, source))
        return [
            Hit(f"{source}{n}", f"{source}{n}.py", 1, 2, None, self.heading, f"{source} {text}", 1.0, source, "")
            for n, text in enumerate(self.texts)
        ]


def assembler(hits: Hits, memory: Sequence[MemoryFile] = (), day: str = "Today is 2026-01-02.") -> TurnAssembler:
    return TurnAssembler(hits, Words(), memory, lambda: day)


def first(hits: Hits, budget: Budget = ALL, **options: object) -> str:
    return assembler(hits, **options).first_message("ROLE", "合計を直す", budget).content  # type: ignore[arg-type]


def test_parts_stand_in_their_order() -> None:
    memory = [MemoryFile("AGENTS.md", "Use tabs.")]
    made = assembler(Hits(), memory).first_message("ROLE", "the task", ALL, [Block("diff", "+1")]).content
    marks = ["ROLE", "<project_memory>", "<repo_map>", "<code>", "<documents>", "<diff>", "<task>", "<reminder>"]
    assert sorted(marks, key=made.index) == marks


def test_a_memory_file_that_is_told_whole_is_not_shown_as_code_again() -> None:
    memory = [MemoryFile("code0.py", "Use tabs."), MemoryFile("code1.py", "one two three " * 40)]
    made = assembler(Hits(("is told", "is cut")), memory).first_message("ROLE", "the task", ALL).content
    assert "code is told" not in made and "code is cut" in made


def test_nothing_volatile_stands_before_the_reminder_at_the_end() -> None:
    monday, tuesday = first(Hits(), day="Today is Monday."), first(Hits(), day="Today is Tuesday.")
    same, _, end = monday.partition("<reminder>")
    assert tuesday.startswith(f"{same}<reminder>")
    assert end == "\nToday is Monday.\n</reminder>"


def test_the_same_inputs_give_the_same_bytes() -> None:
    assert first(Hits()).encode() == first(Hits()).encode()
    assert system_message() == system_message()


def test_task_is_the_query_of_every_search_under_its_own_budget() -> None:
    hits = Hits()
    first(hits, Budget(repo_map=10, code=20, docs=30))
    assert hits.asked == [("合計を直す", 10, "map"), ("合計を直す", 20, "code"), ("合計を直す", 30, "docs")]


@pytest.mark.parametrize(
    ("budget", "mark"),
    [
        (Budget(repo_map=0), "<repo_map>"),
        (Budget(code=0), "<code>"),
        (Budget(docs=0), "<documents>"),
        (Budget(memory=0), "<project_memory>"),
    ],
)
def test_budget_of_zero_leaves_the_part_out(budget: Budget, mark: str) -> None:
    assert mark not in first(Hits(), budget, memory=[MemoryFile("AGENTS.md", "Use tabs.")])


def test_part_with_budget_zero_is_not_even_searched() -> None:
    hits = Hits()
    first(hits, Budget(repo_map=0, code=0, docs=0))
    assert hits.asked == []


def test_part_without_hits_is_left_out() -> None:
    assert "<code>" not in first(Hits(texts=()))


def test_headings_of_hits_count_into_the_budget() -> None:
    hits = Hits(texts=["a b", "c d", "e f"], heading="a heading of five words")
    made = first(hits, Budget(repo_map=0, docs=0, code=20))
    code = made.partition("<code>\n")[2].partition("\n</code>")[0]
    assert "code0.py" in code and "code1.py" in code and "code2.py" not in code
    assert Words().count(code) <= 20


def test_memory_is_cut_to_its_budget() -> None:
    text = "\n".join(f"line {number}" for number in range(20))
    made = first(Hits(), Budget(memory=11), memory=[MemoryFile("AGENTS.md", text)])
    assert "<project_memory>\n## AGENTS.md\nline 0\nline 1\n[18 more lines left out]\n" in made


def test_task_cannot_close_its_own_block() -> None:
    made = assembler(Hits()).first_message("ROLE", "x </task> <task>y", ALL).content
    assert made.count("</task>") == 1


IN_ORDER_OF_WEIGHT = ("<diff>", "<mentioned", "<project_memory>", "<repo_map>", "<code>", "<documents>")


def held_to(most: int | None, task: str = "the task says it all") -> str:
    made = assembler(Hits(["one two three four"] * 3), [MemoryFile("AGENTS.md", "Use tabs.\n" * 4)])
    attached = Attachment("a.py", "some words of it\n" * 6, 24, ("task",))
    made.attach(Attached((attached,), {"task": task}))
    diff = Block("diff", "+1 a line\n" * 8)
    return made.first_message("ROLE", task, ALL, [diff], most).content


def test_a_message_that_fits_is_the_same_with_a_bound_as_without() -> None:
    whole = held_to(None)
    assert held_to(Words().count(whole)) == whole
    assert all(mark in whole for mark in IN_ORDER_OF_WEIGHT)


def test_parts_shrink_from_the_least_important_on_and_the_message_never_passes_its_bound() -> None:
    def block(made: str, mark: str) -> str:
        return made.partition(mark)[2].partition("</")[0]

    whole = held_to(None)
    bounds = range(Words().count(held_to(0)), Words().count(whole) + 1)
    made = {most: held_to(most) for most in bounds}
    assert all(Words().count(text) <= most for most, text in made.items())
    # Room that a weightier part cannot use is taken by one that is small enough, so only the last cut of each counts.
    cut_at = [
        max(most for most, text in made.items() if block(text, mark) != block(whole, mark))
        for mark in IN_ORDER_OF_WEIGHT
    ]
    assert cut_at == sorted(cut_at) and len(set(cut_at)) == len(cut_at)
    assert made[bounds[0]] == held_to(0)


def test_role_task_and_reminder_stay_whole_whatever_the_bound() -> None:
    task = " ".join(f"word{number}" for number in range(300))
    made = held_to(10, task)
    assert made.startswith("ROLE\n\n<task>\n") and f"<task>\n{task}\n</task>" in made and "Today is" in made
