from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.messages import Message, ToolCall, ToolDef
from flowloom.core.tool_names import OWN_NAMES, ToolNames

NAMES = ToolNames(
    "other",
    tools={"edit_file": "edit", "many": "edit_file"},
    arguments={
        "edit_file": {"path": "file_path", "old_text": "old_string"},
        "many": {"edits": "changes", "old_text": "old"},
    },
    descriptions={"edit_file": "Another text."},
)


def call(name: str, **args: Any) -> ToolCall:
    return ToolCall("t0.0", name, args)


def test_a_definition_is_shown_under_its_names_at_every_depth() -> None:
    items = {"type": "object", "properties": {"old_text": {"type": "string"}}, "required": ["old_text"]}
    schema = {"type": "object", "properties": {"edits": {"type": "array", "items": items}}, "required": ["edits"]}
    shown = NAMES.definition(ToolDef("many", "Edits.", schema))
    assert shown == ToolDef(
        "edit_file",
        "Edits.",
        {
            "type": "object",
            "properties": {
                "changes": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"old": {"type": "string"}}, "required": ["old"]},
                }
            },
            "required": ["changes"],
        },
    )
    assert schema["required"] == ["edits"]
    assert NAMES.definition(ToolDef("edit_file", "Edits.", {})).description == "Another text."


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        (call("edit_file", path="a", old_text="x", rest=1), call("edit", file_path="a", old_string="x", rest=1)),
        (call("many", edits=[{"old_text": "x"}, 5]), call("edit_file", changes=[{"old": "x"}, 5])),
        (call("bash", command="path old_text"), call("bash", command="path old_text")),
    ],
)
def test_a_call_is_shown_and_read_back_as_it_was(own: ToolCall, shown: ToolCall) -> None:
    assert NAMES.told(Message("assistant", "Now.", (own,))) == Message("assistant", "Now.", (shown,))
    assert NAMES.own_call(shown) == own


def test_a_result_is_shown_under_the_tool_s_name_and_its_text_stays() -> None:
    result = Message("tool", "edit_file old_text", call_id="t0.0", tool_name="edit_file")
    assert NAMES.told(result) == Message("tool", "edit_file old_text", call_id="t0.0", tool_name="edit")


def test_a_call_by_own_names_is_understood_where_nothing_else_has_that_name() -> None:
    swapped = ToolNames("swapped", tools={"read_file": "read"}, arguments={"read_file": {"path": "file_path"}})
    assert swapped.own_call(call("read_file", path="a")) == call("read_file", path="a")
    # What another tool is shown under means that one.
    assert NAMES.own_call(call("edit_file", changes=[])) == call("many", edits=[])


def test_an_argument_given_under_both_names_stays_for_the_check_to_refuse() -> None:
    both = {"path": "a", "file_path": "b"}
    assert NAMES.own_call(ToolCall("t0.0", "edit", both)).args == both
    assert NAMES.told(Message("assistant", "", (ToolCall("t0.0", "edit_file", both),))).calls[0].args == both


def test_a_word_of_a_text_is_an_argument_of_the_tool_or_another_tool() -> None:
    assert NAMES.word("edit_file", "old_text") == "old_string"
    assert NAMES.word("grep", "edit_file") == "edit"
    assert NAMES.word("grep", "old_text") == "old_text"


def test_own_names_change_nothing() -> None:
    tool = ToolDef("edit_file", "Edits.", {"type": "object", "properties": {"path": {}}, "required": ["path"]})
    message = Message("assistant", "", (call("edit_file", path="a"),))
    assert (OWN_NAMES.definition(tool), OWN_NAMES.told(message)) == (tool, message)
