from __future__ import annotations

import json
from typing import Any

import pytest

from flowloom.core.errors import UsageError
from flowloom.graphs.inputs import positional_input, read_inputs
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import GraphSpec

STEP = {"id": "s1", "title": "題", "brief": "Do it.", "files": [], "depends_on": []}


def graph(inputs: str) -> GraphSpec:
    text = f"flow: 1\nname: g\ninput: {inputs}\nnodes: {{s: {{type: set, value: {{}}}}}}\nedges: [[START, s, END]]\n"
    return read_text(text, "g.yaml")["g"]


def read(declared: str, value: Any) -> Any:
    return read_inputs(graph(f"{{x: {declared}}}"), {"x": value})["x"]


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("string", "日本語", "日本語"),
        ("string", 3, "3"),
        ("path", "a b/c", "a b/c"),
        ("int", "12", 12),
        ("int", 3.0, 3),
        ("int", "90071992547409931", 90071992547409931),
        ("number", "1.5", 1.5),
        ("number", 2, 2.0),
        ("bool", "yes", True),
        ("bool", "OFF", False),
        ("bool", True, True),
        ("list", "a, b,c", ["a", "b", "c"]),
        ("list", "", []),
        ("list", '["a,b", 1]', ["a,b", 1]),
        ("list", [1], [1]),
        ("object", '{"k": [1]}', {"k": [1]}),
        ("object", {"k": 1}, {"k": 1}),
        ("any", "as it is", "as it is"),
    ],
)
def test_value_is_read_as_its_type(kind: str, given: Any, value: Any) -> None:
    found = read(f"{{type: {kind}}}", given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", "twelve"),
        ("int", 3.5),
        ("int", True),
        ("int", [1]),
        ("number", "nan"),
        ("number", "1e999"),
        ("number", {}),
        ("bool", "maybe"),
        ("bool", 2),
        ("string", {"k": 1}),
        ("string", True),
        ("string", "caf\udce9"),
        ("list", 5),
        ("list", '["a"'),
        ("object", "text"),
        ("object", "[1]"),
        ("object", '{"k": NaN}'),
    ],
)
def test_value_of_the_wrong_type_is_refused(kind: str, given: Any) -> None:
    with pytest.raises(UsageError, match=f"g: the input 'x' must be of type {kind}, got "):
        read(f"{{type: {kind}}}", given)


def test_refused_value_is_shown_shortened() -> None:
    with pytest.raises(UsageError) as refused:
        read("{type: int}", "x" * 5000)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("given", [{}, {"task": None}, {"task": ""}, {"task": " \n"}])
def test_missing_required_input_says_how_to_give_it(given: Any) -> None:
    with pytest.raises(UsageError) as missing:
        read_inputs(graph("{task: {type: string, required: true, positional: true}}"), given)
    assert str(missing.value) == "g needs the input 'task'. Give it like: flow run g \"...\""
    with pytest.raises(UsageError, match="Give it like: -i task="):
        read_inputs(graph("{task: {type: string, required: true}}"), given)


def test_unknown_input_is_refused_with_a_near_name() -> None:
    with pytest.raises(UsageError, match=r"g has no input 'tsak' \(did you mean 'task'\?\)\. Its inputs: task\."):
        read_inputs(graph("{task: {type: string}}"), {"tsak": "x"})


def test_input_that_is_not_given_takes_its_default_or_none() -> None:
    declared = graph("{a: {type: int, default: 4}, b: {type: bool}, c: {type: bool, default: false}}")
    assert read_inputs(declared, {}) == {"a": 4, "b": None, "c": False}


def test_input_with_a_schema_is_checked_and_gets_its_defaults() -> None:
    short = {"id": "s1", "title": "題", "brief": "Do it."}
    assert read("{schema: Step}", short) == STEP
    assert read("{schema: Step}", json.dumps(short)) == STEP


def test_input_that_misses_its_schema_names_the_place() -> None:
    with pytest.raises(UsageError, match="g: the input 'x' is no Step: brief: Field required"):
        read("{schema: Step}", {"id": "s1", "title": "t"})


def test_text_that_is_no_json_for_a_schema_is_refused() -> None:
    with pytest.raises(UsageError, match="the input 'x' must be a Step in JSON, got 'add a flag'"):
        read("{schema: Step}", "add a flag")


def test_positional_input_is_found() -> None:
    assert positional_input(graph("{a: {type: int}, b: {type: string, positional: true}}")) == "b"
    assert positional_input(graph("{a: {type: int}}")) == ""


@pytest.mark.parametrize(
    ("declared", "given", "value"),
    [
        ("{schema: {type: object, required: [a]}}", '{"a": 1}', {"a": 1}),
        ("{type: list, schema: {type: string, minLength: 2}}", "ab, cd", ["ab", "cd"]),
        ("{type: list, schema: {type: integer}}", "[1, 2]", [1, 2]),
        ("{type: list, schema: Step}", json.dumps([STEP]), [STEP]),
    ],
)
def test_a_schema_of_an_input_holds_it_or_each_item_of_a_list(declared: str, given: str, value: Any) -> None:
    assert read(declared, given) == value


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        (
            "{schema: {type: object, required: [a]}}",
            "{}",
            "the input 'x' is no value of the schema: 'a' is a required",
        ),
        ("{schema: {type: object}}", "nope", "the input 'x' must be a value of the schema in JSON, got 'nope'"),
        (
            "{type: list, schema: {type: integer}}",
            "1, x",
            "the input 'x' is no list of values of the schema: 0: '1' is",
        ),
    ],
)
def test_an_input_that_misses_its_schema_is_refused(declared: str, given: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(declared, given)
