"""JSON Schemas as pydantic models, so that one kind of schema is read, shown to a model and checked everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, RootModel, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from .texts import shortened

MAX_FAULTS = 20
"""Faults of one value that are told."""

_MOST_TOLD = 200
_UNNAMED = "value of the schema"

_IN_EACH = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_IN_LIST = ("anyOf", "oneOf", "allOf", "prefixItems")
_IN_ONE = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_WORDS = frozenset(
    {*_IN_EACH, *_IN_LIST, *_IN_ONE, "type", "enum", "const", "required", "default", "description", "title", "format"}
    | {"minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties"}
    | {"minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"multipleOf", "dependentRequired", "examples", "deprecated", "readOnly", "writeOnly", "$ref", "$schema"}
    | {"$id", "$anchor", "$comment", "contentEncoding", "contentMediaType"}
)


def inline_model(schema: Mapping[str, Any]) -> type[BaseModel]:
    """Return a model of any JSON value that follows a JSON Schema (2020-12); the same schema gives the same model.

    Its name is the schema's title, where it has one. Nothing is looked up outside of the schema.
    """
    return _inline(json.dumps(schema, sort_keys=True))


def list_model(item: type[BaseModel]) -> type[BaseModel]:
    """Return the model of a list of items."""
    return _list(item)


def schema_faults(schema: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what is wrong with a JSON Schema: where in it, and what."""
    from jsonschema import Draft202012Validator

    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    found = False
    for error in meta.iter_errors(schema):
        found = True
        yield tuple(error.absolute_path), f"no JSON Schema: {_told(error)}"
    if not found:
        yield from _unknown_words(schema, ())


def _unknown_words(schema: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not isinstance(schema, dict):
        return
    for word, value in schema.items():
        here = (*path, word)
        if word not in _WORDS and not word.startswith("x-"):
            yield here, f"unknown word {word!r} in a JSON Schema"
        elif word == "$ref" and not str(value).startswith("#"):
            yield here, f"a JSON Schema refers to itself only ('#/$defs/NAME'), not to {value!r}"
        elif word in _IN_EACH:
            for name, inner in value.items():
                yield from _unknown_words(inner, (*here, name))
        elif word in _IN_LIST:
            for index, inner in enumerate(value):
                yield from _unknown_words(inner, (*here, index))
        elif word in _IN_ONE:
            yield from _unknown_words(value, here)


def words() -> frozenset[str]:
    """Return every word that a JSON Schema may hold."""
    return _WORDS


@lru_cache(maxsize=256)
def _inline(text: str) -> type[BaseModel]:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    schema: dict[str, Any] = json.loads(text)
    # A registry of our own: the library's would look for references in the network.
    validator = Draft202012Validator(schema, registry=Registry())

    class Inline(RootModel[Any]):
        @model_validator(mode="before")
        @classmethod
        def _check(cls, value: Any) -> Any:
            faults = sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.path])
            if faults:
                raise ValidationError.from_exception_data(
                    cls.__name__, [_detail(each) for each in faults[:MAX_FAULTS]]
                )
            return value

        @classmethod
        def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
            return {key: value for key, value in schema.items() if key != "$schema"}

        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
            # As a part of another schema its own references would lead nowhere.
            return {} if "$ref" in text else cls.model_json_schema()

    Inline.__name__ = Inline.__qualname__ = str(schema.get("title") or _UNNAMED)
    return Inline


@lru_cache(maxsize=256)
def _list(item: type[BaseModel]) -> type[BaseModel]:
    model = RootModel[list[item]]  # type: ignore[valid-type]
    each = "values of the schema" if item.__name__ == _UNNAMED else item.__name__
    model.__name__ = model.__qualname__ = f"list of {each}"
    return model


def _detail(error: Any) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("json_schema", "{told}", {"told": _told(error)}),
        loc=tuple(error.absolute_path),
        input=error.instance,
    )


def _told(error: Any) -> str:
    if len(error.message) <= _MOST_TOLD:
        return str(error.message)
    return f"{shortened(error.instance)} does not follow {error.validator!r}: {shortened(error.validator_value)}"
