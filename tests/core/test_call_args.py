from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.call_args import ALIASES, coerced, missing, only_match, renamed
from flowloom.tools.registry import TOOLS

EDIT = TOOLS["edit_file"].definition().parameters
MANY = TOOLS["multi_edit"].definition().parameters
GREP = TOOLS["grep"].definition().parameters


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({"file_path": "a", "old_string": "x", "new_string": "y"}, {"path": "a", "old_text": "x", "new_text": "y"}),
        ({"filePath": "a", "oldText": "x", "newtext": "y"}, {"path": "a", "old_text": "x", "new_text": "y"}),
        ({"path": "a", "search": "x", "replace": "y"}, {"path": "a", "old_text": "x", "new_text": "y"}),
        ({"path": "a", "file": "b"}, {"path": "a", "file": "b"}),
        ({"file": "a", "filename": "b"}, {"file": "a", "filename": "b"}),
        ({"whatever": 1}, {"whatever": 1}),
        ({"": 1, "--": 2}, {"": 1, "--": 2}),
    ],
)
def test_argument_has_our_name_when_one_is_meant(given: dict[str, Any], ours: dict[str, Any]) -> None:
    assert renamed(given, EDIT) == ours


def test_arguments_inside_a_list_have_our_names_too() -> None:
    given = {"file": "a", "changes": [{"old_string": "x", "new_string": "y"}, "z"]}
    assert renamed(given, MANY) == {"path": "a", "edits": [{"old_text": "x", "new_text": "y"}, "z"]}


def test_every_alias_is_of_an_argument_that_a_tool_has() -> None:
    known = {name for spec in TOOLS.values() for name in spec.definition().parameters["properties"]}
    inside = {"old_text", "new_text"}
    assert set(ALIASES) <= known | inside


def test_no_alias_hides_an_argument_of_its_own_tool() -> None:
    for spec in TOOLS.values():
        names = spec.definition().parameters["properties"]
        assert renamed(dict.fromkeys(names, 1), spec.definition().parameters) == dict.fromkeys(names, 1)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"ignore_case": "True"}, {"ignore_case": True}),
        ({"ignore_case": "no"}, {"ignore_case": "no"}),
        ({"path": None}, {}),
        ({"pattern": None}, {"pattern": None}),
        ({"pattern": "[1]"}, {"pattern": "[1]"}),
        ({"pattern": "true"}, {"pattern": "true"}),
    ],
)
def test_value_has_the_type_that_is_wanted_when_it_can_be_read_as_one(
    given: dict[str, Any], read: dict[str, Any]
) -> None:
    assert coerced(given, GREP) == read


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), (" 12 ", 12), ("-3", -3), ("1.5", "1.5"), ("１", "１"), ("", "")]
)
def test_text_is_a_whole_number_only_when_it_is_one(text: str, value: object) -> None:
    schema = {"properties": {"n": {"type": "integer"}}}
    assert coerced({"n": text}, schema) == {"n": value}


def test_list_and_its_items_may_come_as_json_text() -> None:
    item = {"type": "object", "properties": {"n": {"type": "integer"}}}
    schema = {"properties": {"xs": {"type": "array", "items": item}}}
    assert coerced({"xs": '[{"n": "1"}]'}, schema) == {"xs": [{"n": 1}]}
    assert coerced({"xs": ['{"n": 2}']}, schema) == {"xs": [{"n": 2}]}
    assert coerced({"xs": "[" * 50_000}, schema) == {"xs": "[" * 50_000}


def test_missing_arguments_come_in_the_schemas_order() -> None:
    assert missing({"new_text": ""}, EDIT) == ["path", "old_text"]


def test_name_that_two_could_mean_is_none() -> None:
    assert only_match("A_B", ["ab", "a_b"]) is None
    assert only_match("a_b", ["ab", "a_b"]) == "a_b"
