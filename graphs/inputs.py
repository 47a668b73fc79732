"""A graph's inputs: from what was given (command line, another graph) to checked values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from ..core.errors import UsageError
from ..core.texts import shortened
from ..nodes.values import by_model
from .faults import listed, near
from .schemas import key_model
from .spec import GraphSpec, InputSpec

if TYPE_CHECKING:
    from pydantic import BaseModel

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def read_inputs(spec: GraphSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every declared input.

    Args:
        given: values by name; texts from a command line become what the input's type says (numbers, booleans, lists
            of words set apart by commas, JSON).

    Raises:
        UsageError: an unknown or missing input, or a value of the wrong type.
    """
    for name in given:
        if name not in spec.inputs:
            raise UsageError(
                f"{spec.name} has no input {name!r}{near(name, spec.inputs)}.",
                hint=f"Its inputs: {listed(spec.inputs)}.",
            )
    return {name: _value(spec, name, declared, given) for name, declared in spec.inputs.items()}


def positional_input(spec: GraphSpec) -> str:
    """Return the name of the input that takes the plain argument; "" when the graph has none."""
    return next((name for name, declared in spec.inputs.items() if declared.positional), "")


def _value(spec: GraphSpec, name: str, declared: InputSpec, given: Mapping[str, Any]) -> Any:
    value = given.get(name, declared.default if declared.has_default else None)
    if value is None or (isinstance(value, str) and not value.strip() and declared.required):
        if declared.required:
            how = f'flow run {spec.to_run} "..."' if declared.positional else f"-i {name}=..."
            raise UsageError(f"{spec.name} needs the input {name!r}.", hint=f"Give it like: {how}")
        return None
    if declared.schema is not None and (model := key_model(spec, declared)) is not None:
        return _by_schema(spec, name, declared, model, value)
    return _by_type(spec, name, declared, value)


def _by_schema(spec: GraphSpec, name: str, declared: InputSpec, model: type[BaseModel], value: Any) -> Any:
    try:
        data = _list(value) if declared.type == "list" else _json(value) if isinstance(value, str) else value
    except ValueError as err:
        raise UsageError(
            f"{spec.name}: the input {name!r} must be a {model.__name__} in JSON, got {shortened(value)}: {err}."
        ) from err
    try:
        return by_model(data, model)
    except ValueError as err:
        raise UsageError(f"{spec.name}: the input {name!r} {err}.") from err


def _by_type(spec: GraphSpec, name: str, declared: InputSpec, value: Any) -> Any:
    try:
        match declared.type:
            case "bool":
                return _bool(value)
            case "int" | "number":
                return _number(value, whole=declared.type == "int")
            case "string" | "path":
                return _text(value)
            case "list":
                return _list(value)
            case "object":
                return _object(value)
            case _:
                return value
    except ValueError as err:
        raise UsageError(
            f"{spec.name}: the input {name!r} must be of type {declared.type}, got {shortened(value)}."
        ) from err


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(text)
    return text in _TRUE


def _number(value: Any, *, whole: bool) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(value)
    number = float(value)
    if not math.isfinite(number) or (whole and not number.is_integer()):
        raise ValueError(value)
    # Not through float, which would round a large whole number.
    return (int(value) if isinstance(value, (str, int)) else int(number)) if whole else number


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(value)
    text = str(value)
    text.encode()  # half a surrogate pair, from a command line that is not UTF-8, could not be stored
    return text


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        value = _json(text) if text.startswith("[") else [part.strip() for part in text.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ValueError(value)
    return value


def _object(value: Any) -> dict[str, Any]:
    data = _json(value) if isinstance(value, str) else value
    if not isinstance(data, dict):
        raise ValueError(value)
    return data


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
