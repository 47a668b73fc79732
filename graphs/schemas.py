"""The schemas of a graph as models: by name, as JSON Schema, or from Python code. Used at the borders of values."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, RootModel
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from ..core.errors import GraphInvalid
from ..nodes.values import schema_model
from .code import load_ref
from .spec import GraphSpec, InputSpec, Schema, StateKey


def model_of(spec: GraphSpec, schema: Schema | None, kind: str | None = None) -> type[BaseModel] | None:
    """Return the model of a schema of the graph; None = there is none.

    Args:
        kind: "list" when the schema is that of the items of a list.

    Raises:
        GraphInvalid: its Python code cannot be run, or holds no type of that name.
    """
    if isinstance(schema, str) and ":" in schema:
        return schema_model(_from_code(spec, schema), kind)
    return schema_model(schema, kind)


def load_schemas(spec: GraphSpec) -> None:
    """Read every schema of the graph that stands in Python code. Raises like `model_of`."""
    declared: list[InputSpec | StateKey] = [*spec.inputs.values(), *spec.state.values()]
    for each in declared:
        key_model(spec, each)
    for node in spec.nodes.values():
        model_of(spec, node.output.schema)


def key_model(spec: GraphSpec, declared: StateKey | InputSpec) -> type[BaseModel] | None:
    """Return the model of an input or a state key; None = it has a type alone. Raises like `model_of`."""
    return model_of(spec, declared.schema, declared.type)


def data_schema(spec: GraphSpec, declared: StateKey) -> Schema | None:
    """Return a key's schema as plain data: a name or a JSON Schema. Raises like `model_of`."""
    if isinstance(declared.schema, str) and ":" in declared.schema:
        model = model_of(spec, declared.schema)
        return None if model is None else model.model_json_schema()
    return declared.schema


def _from_code(spec: GraphSpec, ref: str) -> type[BaseModel]:
    found: Any = load_ref(spec, ref)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return found
    try:
        model = RootModel[found]
        model.model_json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as err:
        reason = str(err).partition("\n")[0].rstrip(".")
        raise GraphInvalid(
            f"{ref.removeprefix('module:')} is no type that values can be checked by: {reason}."
        ) from err
    model.__name__ = ref.rpartition(":")[2]
    return model
