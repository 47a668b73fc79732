"""A graph's inputs: from what was given (command line, another graph) to checked values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ..core.errors import UsageError
from ..core.schemas import SCHEMAS
from .faults import listed, near
from .spec import GraphSpec, InputSpec

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def read_inputs(spec: GraphSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every declared input.

    Args:
        given: values by name; texts from a command line become numbers and booleans where the input's type says so.

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
    if value is None or (value == "" and declared.required):
        if declared.required:
            how = f'flow run {spec.name} "..."' if declared.positional else f"-i {name}=..."
            raise UsageError(f"{spec.name} needs the input {name!r}.", hint=f"Give it like: {how}")
        return None
    if isinstance(declared.schema, str) and declared.schema in SCHEMAS:
        return _by_schema(spec, name, declared.schema, value)
    return _by_type(spec, name, declared, value)


def _by_schema(spec: GraphSpec, name: str, schema: str, value: Any) -> Any:
    try:
        return SCHEMAS[schema].model_validate(value).model_dump(mode="json")
    except ValidationError as err:
        fault = err.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or name
        raise UsageError(f"{spec.name}: the input {name!r} is no {schema}: {place}: {fault['msg']}.") from err


def _by_type(spec: GraphSpec, name: str, declared: InputSpec, value: Any) -> Any:
    try:
        match declared.type:
            case "bool":
                return _bool(value)
            case "int":
                return int(value)
            case "number":
                return float(value)
            case "string" | "path":
                return str(value)
            case "list":
                return value if isinstance(value, list) else str(value).split(",")
            case _:
                return value
    except ValueError as err:
        raise UsageError(f"{spec.name}: the input {name!r} must be of type {declared.type}, got {value!r}.") from err


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(text)
    return text in _TRUE
