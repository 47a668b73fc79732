from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from string import Template

import pytest

from flowloom.context.prompts import fill, load_prompt

VALUES = {
    "identity": set(),
    "workflow": set(),
    "planner": {"schema"},
    "reviewer": {"schema"},
    "coder": {"spawn_agent"},
    "sub_agent": set(),
    "agent": set(),
    "answer": {"schema", "kind"},
    "structure": {"schema", "kind"},
    "reply_fault": {"fault"},
    "repeated_call": set(),
    "session_context": set(),
    "summary": {"words"},
    "title": {"schema", "message"},
    "reminder_todo": {"items", "todo"},
    "reminder_no_todo": {"todo"},
    "reminder_tests": {"edits", "command"},
    "reminder_budget": {"calls"},
    "reminder_last": set(),
}


def prompt_files() -> Iterator[tuple[str, str]]:
    for package in ("context", "nodes"):
        for file in files(f"flowloom.{package}").joinpath("prompts").iterdir():
            yield package, file.name.removesuffix(".md")


@pytest.mark.parametrize(("package", "name"), sorted(prompt_files()))
def test_every_prompt_file_takes_exactly_the_values_it_is_given(package: str, name: str) -> None:
    text = load_prompt(package, name)
    filled = fill(text, **{value: f"<{value}>" for value in VALUES[name]})
    assert all(f"<{value}>" in filled for value in VALUES[name])
    assert not Template(filled).get_identifiers()
    assert filled == filled.strip() != ""


def test_fill_refuses_a_value_that_the_text_does_not_use() -> None:
    with pytest.raises(KeyError, match="fualt"):
        fill("a $fault", fault="x", fualt="y")


def test_fill_refuses_a_name_that_is_not_given() -> None:
    with pytest.raises(KeyError, match="other"):
        fill("$fault and $other", fault="x")


def test_filled_values_are_not_read_as_templates() -> None:
    assert fill("a $fault", fault="$schema {{ x }}") == "a $schema {{ x }}"
