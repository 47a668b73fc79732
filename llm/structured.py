"""Structured replies: the schema a model is shown and held to, and the strict reading of what it answered."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from ..core.errors import ReplyInvalid
from ..core.tool import slim_schema

Model = TypeVar("Model", bound=BaseModel)

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_MOST_FAULTS = 8

# What every grammar behind `format` understands. Patterns and lengths are left to the check after the reply: some
# servers refuse a pattern they cannot turn into a grammar, and a length unrolls into a very large one.
_GRAMMAR_KEYS = frozenset(
    ("type", "properties", "required", "items", "enum", "const", "anyOf", "additionalProperties", "minItems", "$ref")
)


class _SelfReferenceError(Exception):
    """A definition that contains itself, or a reference that leads elsewhere."""


def read_structured(text: str, schema: type[Model]) -> Model:
    """Return the object a reply holds.

    The reply is one JSON value, which may stand in one ``` fence; nothing is cut off, completed or repaired.

    Raises:
        ReplyInvalid: it is not, or not of the schema; the message is for the model and names each fault by its path.
    """
    try:
        data = json.loads(_unfenced(text), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except ValueError as err:
        raise ReplyInvalid(_message(schema, [_json_fault(err)])) from err
    except RecursionError as err:
        raise ReplyInvalid(_message(schema, ["it is nested too deeply"])) from err
    try:
        return schema.model_validate(data)
    except ValidationError as err:
        raise ReplyInvalid(_message(schema, _faults(err))) from err


def schema_text(schema: type[BaseModel]) -> str:
    """Return the schema in compact JSON, to be shown in a prompt; the same schema gives the same bytes."""
    return json.dumps(slim_schema(_inlined(schema)), ensure_ascii=False, separators=(",", ":"))


def json_kind(schema: type[BaseModel]) -> str:
    """Return what a value of the schema is in JSON: "object", "array" or "value" (anything else)."""
    kind = schema.model_json_schema().get("type")
    return kind if kind in ("object", "array") else "value"


def format_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the schema for a server's `format`: its shape only, which becomes the sampler's grammar."""
    shape: dict[str, Any] = grammar_shape(_inlined(schema))
    return shape


def grammar_shape(schema: Any) -> Any:
    """Return a JSON Schema with only what every grammar understands; anything else than an object as it is."""
    if not isinstance(schema, dict):
        return schema
    shape: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            shape[key] = {name: grammar_shape(sub) for name, sub in value.items()}
        elif key == "anyOf":
            shape[key] = [grammar_shape(sub) for sub in value]
        elif key in _GRAMMAR_KEYS:
            shape[key] = grammar_shape(value)
    return shape


def _unfenced(text: str) -> str:
    text = text.strip()
    found = _FENCE.fullmatch(text)
    return found[1] if found else text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _json_fault(err: ValueError) -> str:
    if isinstance(err, json.JSONDecodeError):
        return f"it is not one whole JSON value: {err.msg} at line {err.lineno}, column {err.colno}"
    return str(err)


def _faults(err: ValidationError) -> list[str]:
    found = err.errors(include_url=False, include_context=False)
    lines = [f"{_path(fault['loc'])}: {fault['msg']}" for fault in found[:_MOST_FAULTS]]
    if len(found) > _MOST_FAULTS:
        lines.append(f"and {len(found) - _MOST_FAULTS} more")
    return lines


def _path(place: tuple[int | str, ...]) -> str:
    """Return a place as a path: "steps[0].brief"; "the whole" for the top."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return path.removeprefix(".") or "the whole"


def _message(schema: type[BaseModel], faults: list[str]) -> str:
    listed = "\n".join(f"- {fault}" for fault in faults)
    again = f"Reply again with the corrected JSON {json_kind(schema)} only."
    return f"Your reply is no valid {schema.__name__}:\n{listed}\n{again}"


def _inlined(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema with its definitions put in place, for small models read no references.

    A schema that contains itself keeps its definitions.
    """
    whole = schema.model_json_schema()
    definitions: dict[str, Any] = whole.get("$defs", {})
    try:
        inlined: dict[str, Any] = _resolved({k: v for k, v in whole.items() if k != "$defs"}, definitions, ())
    except _SelfReferenceError:
        return whole
    return inlined


def _resolved(value: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_resolved(item, definitions, inside) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        name = value["$ref"].removeprefix("#/$defs/")
        if name in inside or name not in definitions:
            raise _SelfReferenceError(name)
        beside = {key: item for key, item in value.items() if key != "$ref"}
        resolved = _resolved(definitions[name], definitions, (*inside, name))
        return {**resolved, **beside}
    return {key: _resolved(item, definitions, inside) for key, item in value.items()}
