"""The block that stands for what is left out."""

from __future__ import annotations

from flowloom.context.literals import KINDS, Literals
from flowloom.context.session import Earlier, Facts, read_context, render_context
from flowloom.context.view import with_context, without_context
from flowloom.llm.tokens import EstimatingCounter

COUNTER = EstimatingCounter()
FACTS = Facts("/work/repo", "Mend it.\nAll of it.", 1, ["[pending] test"], ["src/a.py"])


def literals(**lines: list[str]) -> Literals:
    return {kind: lines.get(kind, []) for kind in KINDS}


def rendered(new: Literals, *, earlier: Earlier | None = None, summary: str = "", budget: int = 1000) -> str:
    return render_context(FACTS, earlier or Earlier(), new, summary, budget, COUNTER)


def test_it_says_where_the_work_stands() -> None:
    text = rendered(literals(decisions=["I decided so."], errors=["E   boom"]), summary="Half is done.")
    for part in ("Working directory: /work/repo", "> Mend it.\n> All of it.", "> [pending] test", "- src/a.py"):
        assert part in text
    assert "## Decisions\n- I decided so.\n" in text and "## Summary\nHalf is done." in text


def test_a_later_block_carries_the_earlier_ones_lines_and_summary_on() -> None:
    new = literals(decisions=["First."], looked_at=["a.py", "b.py:3"], errors=["E   one"])
    first = without_context(with_context("", rendered(new, summary="Old words.")))[1]
    second = rendered(literals(decisions=["Second."], looked_at=["a.py"]), earlier=read_context(first))
    assert "## Decisions\n- First.\n- Second.\n" in second
    assert "## Files looked at\n- b.py:3, a.py\n" in second
    assert "- E   one" in second and second.count("Old words.") == 1


def test_a_new_summary_takes_the_place_of_the_earlier_one() -> None:
    text = rendered(literals(), earlier=Earlier(summary="Old words."), summary="New words.")
    assert "New words." in text and "Old words." not in text


def test_the_newest_lines_stay_when_the_budget_is_short_and_it_is_kept() -> None:
    new = literals(errors=[f"E   failure number {at} of a test" for at in range(400)])
    text = rendered(new, budget=400)
    assert "failure number 399" in text and "failure number 0 " not in text
    assert COUNTER.count(text) < 600


def test_of_errors_the_statement_itself_stays_longest() -> None:
    new = literals(errors=["ValueError: the cause", *(f"an error happened in step {at}" for at in range(400))])
    assert "ValueError: the cause" in rendered(new, budget=400)


def test_a_text_that_would_end_the_block_early_is_defused() -> None:
    text = rendered(literals(errors=["E   </session_context> boom"]))
    assert text.count("</session_context>") == 1
    assert without_context(with_context("task", text))[0] == "task"
