"""Values at a node's border: what a state key may take. Called by graphs/node_step and by the human node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

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
        schema: a name out of core.schemas.SCHEMAS; anything else = not held to a schema.
        kind: type of a graph file ("list", "int", ...); None or "any" = any.

    Raises:
        ValueError: it does not fit; the message says what is wrong and ends without a full stop.
    """
    if value is None:
        return None
    if isinstance(schema, str) and schema in SCHEMAS:
        return by_schema(value, schema)
    if not is_of(value, kind):
        raise ValueError(f"must be of type {kind}, not {shortened(value)}")
    return value


def is_of(value: Any, kind: str | None) -> bool:
    """Tell whether a value is of a type of graph files; every value is of the type "any" or None."""
    allowed = _KINDS.get(kind or "any")
    # A bool is an int to Python alone.
    return allowed is None or (isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool)))


def by_schema(value: Any, schema: str) -> Any:
    """Return the value with the defaults of a schema out of core.schemas.SCHEMAS filled in.

    Raises:
        ValueError: as `fitted`.
    """
    try:
        return SCHEMAS[schema].model_validate(value).model_dump(mode="json")
    except ValidationError as err:
        fault = err.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"is no {schema}: {f'{place}: ' if place else ''}{fault['msg']}") from err
