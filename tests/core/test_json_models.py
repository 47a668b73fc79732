from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from flowloom.core.json_models import inline_model, list_model, schema_faults
from flowloom.core.schemas import SCHEMAS
from flowloom.llm.structured import format_schema, json_kind, schema_text

QUERIES: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 4}
PERSON: dict[str, Any] = {
    "title": "Person",
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "friends": {"type": "array", "items": {"$ref": "#/$defs/name"}}},
    "$defs": {"name": {"type": "string", "maxLength": 3}},
}


def faults(schema: object) -> list[str]:
    return [f"{'.'.join(map(str, path))}: {message}" for path, message in schema_faults(schema)]


def refusal(schema: dict[str, Any], value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        inline_model(schema).model_validate(value)
    fault = caught.value.errors(include_url=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def dumped(model: type[BaseModel], value: object) -> Any:
    return model.model_validate(value).model_dump(mode="json")


def test_a_value_that_follows_the_schema_comes_back_as_it_is() -> None:
    assert dumped(inline_model(QUERIES), ["a"]) == ["a"]


def test_a_fault_names_the_place_in_the_value() -> None:
    assert refusal(QUERIES, ["a", 1]) == "1: 1 is not of type 'string'"
    assert refusal(QUERIES, []) == ": [] should be non-empty"
    assert refusal(PERSON, {"name": "x", "friends": ["ab", "abcd"]}) == "friends.1: 'abcd' is too long"


def test_a_long_value_does_not_stand_in_the_message() -> None:
    assert len(refusal({"type": "string"}, ["x" * 5_000])) < 300


def test_the_model_of_a_schema_shows_the_schema_itself() -> None:
    assert inline_model(QUERIES).model_json_schema() == QUERIES
    assert format_schema(inline_model(QUERIES)) == {"type": "array", "items": {"type": "string"}, "minItems": 1}
    assert "$ref" not in schema_text(inline_model(PERSON))
    assert inline_model(PERSON).__name__ == "Person"


def test_what_a_value_is_in_json_is_known() -> None:
    kinds = [json_kind(model) for model in (inline_model(QUERIES), inline_model({}), SCHEMAS["Plan"])]
    assert kinds == ["array", "value", "object"]


def test_the_items_of_a_list_are_held_to_their_schema() -> None:
    model = list_model(inline_model({"type": "integer"}))
    assert dumped(model, [1]) == [1]
    with pytest.raises(ValidationError, match="'x' is not of type 'integer'"):
        model.model_validate([1, "x"])
    assert (model.__name__, list_model(SCHEMAS["Step"]).__name__) == ("list of values of the schema", "list of Step")


def test_a_schema_is_looked_at_before_it_is_used() -> None:
    assert faults(QUERIES) == faults(PERSON) == []
    assert faults({"type": "strin"})[0].startswith("type: no JSON Schema: 'strin' is not valid under any")
    assert faults({"properties": {"a": {"minimun": 1}}}) == [
        "properties.a.minimun: unknown word 'minimun' in a JSON Schema"
    ]
    assert faults({"anyOf": [{"$ref": "https://example.org/x"}]}) == [
        "anyOf.0.$ref: a JSON Schema refers to itself only ('#/$defs/NAME'), not to 'https://example.org/x'"
    ]
    assert faults({"enum": [{"minimun": 1}], "x-note": 1}) == []
