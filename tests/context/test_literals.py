"""What is collected word for word from messages that go."""

from __future__ import annotations

from typing import Any

import pytest

from flowloom.context.literals import Literals, collect, without_bare, without_repeats
from flowloom.context.view import viewed


def collected(talk: Any, calls: dict[str, Any], words: str = "") -> Literals:
    return collect(viewed([*talk.start(), *talk.turn(0, calls, words)]))


@pytest.mark.parametrize(
    "said",
    [
        "I decided to keep `parse_line` as it is.",
        "The retry limit stays at 5 because the server is slow.",
        "Let's use a table instead of a chain of ifs.",
        "total() は sum を使うことに決めました。",
    ],
)
def test_decisions_are_kept_in_the_models_own_words(talk: Any, said: str) -> None:
    found = collected(talk, {"glob": ({"pattern": "*"}, "a.py")}, f"I look at it now. {said}\nThen I go on.")
    assert found["decisions"] == [said]


def test_error_lines_of_commands_are_kept_with_the_command_and_its_exit_code(talk: Any) -> None:
    output = "exit code 1\ncollected 3 items\nE   AssertionError: assert  3 == 4\nFAILED tests/test_a.py::test_b\n"
    found = collected(talk, {"bash": ({"command": "pytest -q tests/test_a.py"}, output)})
    assert found["errors"] == ["E   AssertionError: assert  3 == 4", "FAILED tests/test_a.py::test_b"]
    assert found["commands"] == ["pytest -q tests/test_a.py -> exit code 1"]
    assert found["looked_at"] == ["tests/test_a.py"]


def test_source_that_speaks_of_errors_is_no_error(talk: Any) -> None:
    source = "1|def f():\n2|    raise ValueError('x')\n3|    # an error here\n4|        ToolError: there is none."
    assert collected(talk, {"read_file": ({"path": "a.py"}, source)})["errors"] == []


def test_an_error_that_a_read_log_states_is_one(talk: Any) -> None:
    found = collected(talk, {"read_file": ({"path": "a.log"}, "1|INFO ok\n2|ERROR no route to db:5432")})
    assert found["errors"] == ["2|ERROR no route to db:5432"]


def test_paths_and_names_of_calls_and_words_are_kept(talk: Any) -> None:
    found = collected(
        talk,
        {
            "read_file": ({"path": "src/cart.py"}, "1|def total(prices):"),
            "grep": ({"pattern": "apply_discount"}, "src/other.py:3: apply_discount()"),
        },
        "`Shop.open` is in src/shop.py.",
    )
    assert found["looked_at"] == ["src/shop.py", "src/cart.py"]
    assert {"Shop.open", "apply_discount", "total"} <= set(found["names"])
    assert found["paths"] == ["src/other.py"]


def test_what_stands_twice_is_kept_once_where_it_stood_last(talk: Any) -> None:
    messages = [
        *talk.start(),
        *talk.turn(0, {"read_file": ({"path": "a.py"}, "x")}),
        *talk.turn(1, {"read_file": ({"path": "b.py"}, "x")}),
        *talk.turn(2, {"read_file": ({"path": "a.py"}, "x")}),
    ]
    assert collect(viewed(messages))["looked_at"] == ["b.py", "a.py"]


def test_what_a_person_asked_is_kept_and_what_the_program_said_is_not(talk: Any) -> None:
    messages = viewed(talk.start("Please mend it."))
    assert collect(messages, asked_until=2)["asked"] == ["Please mend it."]
    assert collect(messages)["asked"] == []


def test_the_rules_that_a_test_run_draws_are_no_errors(talk: Any) -> None:
    output = "exit code 1\n===== FAILURES =====\n_____ test_error _____\nE   boom"
    assert collected(talk, {"bash": ({"command": "pytest"}, output)})["errors"] == ["E   boom"]


def test_an_error_that_is_told_twice_and_a_path_that_stands_with_a_line_too_are_kept_once() -> None:
    errors = ["E   AssertionError: 3 != 4", "FAILED a.py::t - AssertionError: 3 != 4"]
    assert without_repeats(errors) == errors[1:]
    assert without_bare(["a.py", "b.py", "a.py:3"]) == ["b.py", "a.py:3"]
