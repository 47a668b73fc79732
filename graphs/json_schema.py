"""The JSON Schema of graph files, for editors: made of the one table of the format (keys.py)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .keys import (
    EDGE_KEYS,
    GRAPH_KEYS,
    INPUT_KEYS,
    NODE_KEYS,
    STATE_KEYS,
    SWITCH_KEYS,
    TEST_KEYS,
    TYPE_KEYS,
    TYPE_NEEDS,
    Key,
)

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What editors' YAML servers know."""
TITLE = "Flowloom graph"
NEEDED = ("flow", "name", "nodes", "edges")

_NAME = r"^[\w][\w.-]*$"
_COUNT = r"^[0-9]{1,12}(\.[0-9]{1,6})?[kM]$"
_TIME = r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h)$"
_SCALARS = ["string", "number", "boolean"]

Schema = dict[str, Any]


def graph_schema() -> Schema:
    """Return the schema of one document of a graph file.

    It knows the form alone: whether names exist and expressions can be read is checked by `flow graphs validate`.
    """
    parts = {
        "input": _named(_declaration(INPUT_KEYS)),
        "state": _named(_declaration(STATE_KEYS)),
        "nodes": {"type": "object", "additionalProperties": {"$ref": "#/definitions/node"}},
        "edges": {"type": "array", "items": {"$ref": "#/definitions/edge"}},
        "tests": {"type": "array", "items": _object(TEST_KEYS, ("name",))},
        "flow": {"const": 1},
        "name": {"type": "string", "pattern": _NAME},
    }
    properties = {
        name: {**parts[name], "description": key.meaning} if name in parts else key_schema(key)
        for name, key in GRAPH_KEYS.items()
    }
    return {
        "$schema": DIALECT,
        "title": TITLE,
        "type": "object",
        "properties": properties,
        "required": list(NEEDED),
        "additionalProperties": False,
        "definitions": {
            "node": _node(),
            "edge": _edge(),
            **{f"node_{kind}": _typed(kind) for kind in TYPE_KEYS},
            **{f"key_{name}": key_schema(key) for name, key in NODE_KEYS.items()},
        },
    }


def key_schema(key: Key) -> Schema:
    """Return the schema of what a key takes, with its meaning as the description that editors show."""
    forms = [_FORMS[form](key) for form in key.forms]
    schema = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {**schema, "description": key.meaning}


def _node() -> Schema:
    """Return the schema of a node: by its type; without one its keys complete a preset."""
    shared = {"type": {"enum": list(TYPE_KEYS), "description": NODE_KEYS["type"].meaning}}
    chosen = [
        {
            "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
            "then": {"$ref": f"#/definitions/node_{kind}"},
        }
        for kind in TYPE_KEYS
    ]
    untyped = {"if": {"not": {"required": ["type"]}}, "then": _node_object(NODE_KEYS, ("use",))}
    return {"type": "object", "properties": shared, "allOf": [*chosen, untyped]}


def _typed(kind: str) -> Schema:
    needed = {"anyOf": [{"required": ["use"]}, {"required": list(TYPE_NEEDS[kind])}]}
    return {**_node_object(TYPE_KEYS[kind], ("type",)), **needed}


def _node_object(names: Collection[str], needed: tuple[str, ...]) -> Schema:
    properties = {name: {"$ref": f"#/definitions/key_{name}"} for name in names}
    return {"type": "object", "properties": properties, "required": list(needed), "additionalProperties": False}


def _edge() -> Schema:
    name = {"type": "string", "minLength": 1}
    branches = {"type": "array", "items": name, "minItems": 1}
    chain = {"type": "array", "items": {"anyOf": [name, branches]}, "minItems": 2}
    return {"anyOf": [chain, _object(EDGE_KEYS, tuple(EDGE_KEYS)), _object(SWITCH_KEYS, ("from", "switch", "cases"))]}


def _declaration(keys: Mapping[str, Key]) -> Schema:
    return {**_object(keys), "anyOf": [{"required": ["type"]}, {"required": ["schema"]}]}


def _named(value: Schema) -> Schema:
    return {"type": "object", "additionalProperties": value, "propertyNames": {"pattern": r"^[^\W\d]\w*$"}}


def _object(keys: Mapping[str, Key], needed: Collection[str] = ()) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {name: key_schema(key) for name, key in keys.items()},
        "additionalProperties": False,
    }
    return {**schema, "required": list(needed)} if needed else schema


def _count(key: Key) -> Schema:
    return {"anyOf": [{"type": "integer", "minimum": key.least}, {"type": "string", "pattern": _COUNT}]}


def _data(key: Key) -> Schema:
    # Beside {command: ...} it is the list of a command's words.
    return {"type": "array", "items": {"type": _SCALARS}, "minItems": 1} if key.keys else {}


_EXPR: Schema = {"type": _SCALARS}
_FORMS: Mapping[str, Callable[[Key], Schema]] = {
    "text": lambda key: {"type": "string"},
    "template": lambda key: {"type": "string"},
    "data": _data,
    "expr": lambda key: dict(_EXPR),
    "flag": lambda key: {"type": "boolean"},
    "count": _count,
    "time": lambda key: {"type": "string", "pattern": _TIME},
    "choice": lambda key: {"enum": list(key.options)},
    "name": lambda key: {"type": "string", "minLength": 1},
    "names": lambda key: {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True},
    "map": lambda key: {"type": "object"},
    "exprs": lambda key: {"type": "object", "additionalProperties": _EXPR, "minProperties": 1},
    "schema": lambda key: {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object"}]},
    "rules": lambda key: {"type": "object", "additionalProperties": {"enum": ["allow", "ask", "deny"]}},
    "object": lambda key: _object(key.keys, key.needs),
    "value": lambda key: {},
}
"""The schema of each form of keys.Form."""
