"""What `flow prompts show` takes of a node; its requests are held against a run's in tests/app/test_prompts.py."""

from __future__ import annotations

from typing import Any

import pytest

from flowloom.graphs.expressions import render_text
from flowloom.graphs.preview import render_known

NAMES: dict[str, Any] = {
    "input": {"task": "直す {{ state.plan }}", "n": 3},
    "state": {"plan": {"title": "T"}, "checked": None},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ input.task }}", "直す {{ state.plan }}"),
        ("a {{ input.n }} b\n{{ state.plan | plan_text }} {c}\n", "a 3 b\n{{ state.plan | plan_text }} {c}\n"),
        ("{{ '}}' ~ input.n }}{{state.checked}}", "}}3{{state.checked}}"),
        ("{{ input.n if state.checked else 1 }}", "{{ input.n if state.checked else 1 }}"),
        ("nothing to fill", "nothing to fill"),
    ],
)
def test_what_is_not_known_stays_as_it_is_written(template: str, text: str) -> None:
    assert render_known(template, NAMES, lambda path: path[0] != "state") == text
    assert render_known(template, NAMES, lambda path: False) == template


def test_a_text_of_which_all_is_known_is_filled_as_in_a_run() -> None:
    for template in ("  {{ input.n }}\n", "{{ input.n }} of {{ state.plan.title }}"):
        assert render_known(template, NAMES, lambda path: True) == render_text(template, NAMES)
