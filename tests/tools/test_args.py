from typing import Any

import pytest

from flowloom.core.errors import ToolError
from flowloom.tools.args import parse_args
from flowloom.tools.registry import TOOLS


def parsed(tool: str, args: dict[str, Any]) -> dict[str, Any]:
    return parse_args(TOOLS[tool], args).model_dump()


def fault(tool: str, args: dict[str, Any]) -> str:
    with pytest.raises(ToolError) as refused:
        parse_args(TOOLS[tool], args)
    return str(refused.value)


def test_text_becomes_a_number_a_boolean_or_a_list_where_one_is_wanted() -> None:
    assert parsed("read_file", {"path": "a", "offset": "5"})["offset"] == 5
    assert parsed("grep", {"pattern": "a", "ignore_case": "true"})["ignore_case"] is True
    assert parsed("spawn_agent", {"task": "t", "tools": '["grep"]'})["tools"] == ["grep"]


def test_text_that_looks_like_json_stays_text_for_a_text_argument() -> None:
    assert parsed("write_file", {"path": "a.json", "content": '["a", 1]'})["content"] == '["a", 1]'


def test_null_for_an_optional_argument_counts_as_absent() -> None:
    assert parsed("read_file", {"path": "a", "offset": None})["offset"] == 1


def test_a_missing_argument_is_never_guessed() -> None:
    message = fault("edit_file", {"path": "a", "old_text": "x"})
    assert message == (
        "edit_file was not run: argument 'new_text' is missing. "
        "Its arguments: path, old_text, new_text, near_line (optional)."
    )


def test_null_for_a_required_argument_is_a_fault() -> None:
    assert "argument 'path' should be a valid string, got None" in fault("read_file", {"path": None})


def test_an_unknown_argument_is_named_with_a_near_one() -> None:
    message = fault("grep", {"pattern": "x", "ignorecase": True})
    assert "unknown argument 'ignorecase' (did you mean 'ignore_case'?)" in message
    assert "Its arguments: pattern, path (optional), include (optional), ignore_case (optional)." in message


def test_every_fault_is_told_at_once() -> None:
    message = fault("read_file", {"file": "a", "offset": "many"})
    assert "argument 'path' is missing" in message
    assert "unknown argument 'file'" in message
    assert "argument 'offset'" in message


def test_a_value_out_of_bounds_is_told_with_the_bound() -> None:
    assert "less than or equal to 600000, got 9000000" in fault("bash", {"command": "x", "timeout_ms": 9_000_000})
    assert "greater than or equal to 1, got 0" in fault("read_file", {"path": "a", "offset": 0})


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(fault("spawn_agent", {"task": "t", "tools": "x" * 10_000})) < 300


def test_a_fault_inside_a_list_names_its_place() -> None:
    todos = [{"content": "a", "status": "done", "active_form": "doing a"}]
    assert "argument 'todos.0.status'" in fault("todo", {"todos": todos})


def test_a_number_for_a_text_argument_is_a_fault() -> None:
    assert "should be a valid string, got 5" in fault("write_file", {"path": "a", "content": 5})
