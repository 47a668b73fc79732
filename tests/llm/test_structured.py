from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from flowloom.core.errors import ReplyInvalid
from flowloom.core.schemas import Plan, Review, Step
from flowloom.llm.structured import format_schema, read_structured, schema_text

PLAN = {"title": "計画", "steps": [{"id": "a", "title": "t", "brief": "b"}]}


class Tree(BaseModel):
    name: str
    children: list[Tree] = Field(default_factory=list)


class Optional(BaseModel):
    a: int = 0
    b: list[str] = Field(default_factory=list)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PLAN),
        f"\n  {json.dumps(PLAN, indent=2)} \n",
        f"```json\n{json.dumps(PLAN)}\n```",
        f"```\n{json.dumps(PLAN, ensure_ascii=False)}\n```\n",
    ],
)
def test_whole_json_is_read_bare_or_in_one_fence(text: str) -> None:
    assert read_structured(text, Plan).title == "計画"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1, column 1"),
        ('{"a": ', "not one whole JSON value"),
        ('{"a": 3, "b": ["x", "y', "Unterminated string"),
        ('{"a": 3} and so on', "Extra data"),
        ('Here it is: {"a": 3}', "not one whole JSON value"),
        ('```json\n{"a": 3}\n``` done', "not one whole JSON value"),
        ('```json\n{"a": 3}', "not one whole JSON value"),
        ("{'a': 3}", "not one whole JSON value"),
        ('{"a": 3,}', "not one whole JSON value"),
        ('{"a": 3, "a": 4}', "key 'a' stands twice"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "the whole:"),
        ('{"a": "many"}', "a: Input should be a valid integer"),
        ('{"b": ["x", 3]}', r"b\[1\]: Input should be a valid string"),
    ],
)
def test_nothing_is_completed_or_repaired(text: str, fault: str) -> None:
    with pytest.raises(ReplyInvalid, match=fault) as caught:
        read_structured(text, Optional)
    assert caught.value.message.startswith("Your reply is no valid Optional:\n- ")
    assert caught.value.message.endswith("corrected JSON object only.")


def test_each_fault_is_named_by_its_path() -> None:
    broken = {"title": "", "steps": [{"id": "a", "title": "t"}, {"id": "b", "title": "t", "brief": "x", "more": 1}]}
    with pytest.raises(ReplyInvalid) as caught:
        read_structured(json.dumps(broken), Plan)
    lines = caught.value.message.splitlines()[1:-1]
    assert [line.split(":")[0] for line in lines] == ["- title", "- steps[0].brief", "- steps[1].more"]


def test_faults_of_the_whole_are_told() -> None:
    circle = {"title": "t", "steps": [{"id": "a", "title": "t", "brief": "b", "depends_on": ["a"]}]}
    with pytest.raises(ReplyInvalid, match=r"the whole: .*circle"):
        read_structured(json.dumps(circle), Plan)


def test_long_list_of_faults_is_cut() -> None:
    with pytest.raises(ReplyInvalid, match="and 12 more"):
        read_structured(json.dumps({"b": list(range(20))}), Optional)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_structured(text, Review)
    except ReplyInvalid:
        return


def test_shown_schema_is_slim_without_references_and_stable() -> None:
    text = schema_text(Plan)
    assert text == schema_text(Plan)
    assert len(text) < 1000
    data = json.loads(text)
    assert "$defs" not in data and "$ref" not in text
    assert data["properties"]["steps"]["items"]["properties"]["brief"]["description"]
    assert data["properties"]["title"]["type"] == "string"  # a field named title is no pydantic title


def test_schema_for_the_grammar_has_the_shape_only() -> None:
    shape = format_schema(Plan)
    step = shape["properties"]["steps"]["items"]
    assert shape["required"] == ["title", "steps"]
    assert step["required"] == ["id", "title", "brief"]
    assert step["additionalProperties"] is False
    assert _keys(shape) <= {"type", "properties", "required", "items", "additionalProperties", "minItems"}
    assert format_schema(Review)["properties"]["verdict"]["enum"] == ["approve", "revise"]


def test_schema_that_contains_itself_keeps_its_definitions() -> None:
    assert json.loads(schema_text(Tree))["$defs"]["Tree"]["properties"]["children"]
    assert "$ref" in json.dumps(format_schema(Tree))


def test_reply_follows_the_schema_it_was_asked_for() -> None:
    assert read_structured('{"id": "a", "title": "t", "brief": "b"}', Step).id == "a"


def _keys(schema: Any) -> set[str]:
    if not isinstance(schema, dict):
        return set()
    below = [*schema.get("properties", {}).values(), schema.get("items")]
    return set(schema).union(*map(_keys, below))
