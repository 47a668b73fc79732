"""Values at a node's border: what a state key may take. Called by graphs/ and by the human node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ..core.json_models import inline_model, list_model
from ..core.schemas import SCHEMAS
from ..core.texts import shortened

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "path": (str,),
    "int": (int,),
    "number": (int, float),
    "bool": (bool,),
    "list": (list,),
    "object": (dict,),
}


def fitted(value: Any, schema: object, kind: str | None) -> Any:
    """Return the value as a key of this schema or type takes it, its schema's defaults filled in.

    None always fits: it empties the key.

    Args:
        schema: as of `schema_model`; None = not held to a schema.
        kind: type of a graph file ("list", "int", ...); None or "any" = any.

    Raises:
        ValueError: it does not fit; the message says what is wrong and ends without a full stop.
    """
    if value is None:
        return None
    model = schema_model(schema, kind)
    if model is not None:
        return by_model(value, model)
    if not is_of(value, kind):
        raise ValueError(f"must be of type {kind}, not {shortened(value)}")
    return value


def schema_model(schema: object, kind: str | None = None) -> type[BaseModel] | None:
    """Return what a schema is as a model; None = it says nothing.

    Args:
        schema: a name out of core.schemas.SCHEMAS, a JSON Schema, or a model itself.
        kind: "list" when the schema is that of the items of a list.
    """
    model: type[BaseModel] | None = None
    if isinstance(schema, str):
        model = SCHEMAS.get(schema)
    elif isinstance(schema, Mapping) and schema:
        model = inline_model(schema)
    elif isinstance(schema, type) and issubclass(schema, BaseModel):
        model = schema
    return list_model(model) if model is not None and kind == "list" else model


def is_of(value: Any, kind: str | None) -> bool:
    """Tell whether a value is of a type of graph files; every value is of the type "any" or None."""
    allowed = _KINDS.get(kind or "any")
    # A bool is an int to Python alone.
    return allowed is None or (isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool)))


def by_model(value: Any, model: type[BaseModel]) -> Any:
    """Return the value as JSON data with the model's defaults filled in.

    Raises:
        ValueError: as `fitted`.
    """
    try:
        return model.model_validate(value).model_dump(mode="json")
    except ValidationError as err:
        fault = err.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"is no {model.__name__}: {f'{place}: ' if place else ''}{fault['msg']}") from err
