"""The inputs of a graph written in Python: what its input schema says, and the state that the graph begins with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, NamedTuple, NotRequired, Required, get_args, get_origin, get_type_hints

from typing_extensions import ReadOnly

from .fields import is_identifier
from .spec import InputSpec, ValueType

_TYPES: Mapping[str, ValueType] = {
    "string": "string",
    "integer": "int",
    "number": "number",
    "boolean": "bool",
    "array": "list",
    "object": "object",
}


_CONVERSATION = "a text, the first message; or messages as JSON, [{role, content}]"


class _Field(NamedTuple):
    """One field of an input schema; `required`: None = the schema does not say."""

    hint: Any
    required: bool | None = None
    description: str = ""


def inputs_of(builder: Any) -> dict[str, InputSpec]:
    """Return the inputs of a StateGraph.

    Of a state that is also the input nothing is required but what a pydantic model demands, or the only field there
    is. The plain argument is the conversation if there is one, else the first text.
    """
    found = dict(_fields(builder))
    says = builder.input_schema is not builder.state_schema
    required = {
        name: len(found) == 1 or bool(each.required if each.required is not None else says and _listed(builder, name))
        for name, each in found.items()
    }
    kinds = {name: _type(each.hint) for name, each in found.items()}
    texts = sorted((name for name in found if kinds[name] == "string"), key=lambda name: not required[name])
    plain = next(iter([*message_inputs(builder), *texts]), "")
    conversations = message_inputs(builder)
    told = {
        name: each.description or (_CONVERSATION if name in conversations else "") for name, each in found.items()
    }
    return {
        name: InputSpec(kinds[name], required=required[name], positional=name == plain, description=told[name])
        for name in found
    }


def message_inputs(builder: Any) -> list[str]:
    """Return the names of the inputs that are conversations."""
    return [name for name, each in _fields(builder) if _is_conversation(each.hint)]


def first_state(builder: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the graph is begun with: what is given, a text for a conversation as its first message."""
    conversations = message_inputs(builder)
    given = {name: value for name, value in inputs.items() if value is not None}
    return {
        name: [{"role": "user", "content": value}] if name in conversations and isinstance(value, str) else value
        for name, value in given.items()
    }


def _fields(builder: Any) -> Iterator[tuple[str, _Field]]:
    from pydantic import BaseModel

    schema = builder.input_schema
    try:
        hints = get_type_hints(schema, include_extras=True)
    except (NameError, TypeError):
        hints = dict(getattr(schema, "__annotations__", {}))
    model = schema.model_fields if isinstance(schema, type) and issubclass(schema, BaseModel) else {}
    defaults = {each.name: each for each in fields(schema)} if is_dataclass(schema) else {}
    for name, hint in hints.items():
        if name in builder.managed or not is_identifier(name) or name not in builder.channels:
            continue
        bare, notes = _bare(hint)
        required, told = None, next((each for each in notes if isinstance(each, str)), "")
        if name in model:
            required, told = model[name].is_required(), model[name].description or told
        elif name in defaults:
            each = defaults[name]
            required = each.default is MISSING and each.default_factory is MISSING
        yield name, _Field(bare, required, told)


def _listed(builder: Any, name: str) -> bool:
    return name in getattr(builder.input_schema, "__required_keys__", ())


def _bare(hint: Any) -> tuple[Any, list[Any]]:
    """Return a type hint without what stands around it, and its annotations."""
    notes: list[Any] = []
    while (origin := get_origin(hint)) in (Annotated, Required, NotRequired, ReadOnly):
        hint, *more = get_args(hint)
        notes += more if origin is Annotated else []
    return hint, notes


def _is_conversation(hint: Any) -> bool:
    from langchain_core.messages import BaseMessage

    def holds(each: Any) -> bool:
        bare = _bare(each)[0]
        if isinstance(bare, type) and get_origin(bare) is None:
            return issubclass(bare, BaseMessage)
        return any(map(holds, get_args(bare)))

    return get_origin(hint) in (list, tuple) and holds(hint)


def _type(hint: Any) -> ValueType:
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema

    if _is_conversation(hint):
        return "any"
    try:
        schema = TypeAdapter(hint).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError, PydanticInvalidForJsonSchema):
        return "object" if hasattr(hint, "__required_keys__") else "any"
    forms = [form for form in schema.get("anyOf", [schema]) if form.get("type") != "null"]
    return _TYPES.get(str(forms[0].get("type")), "any") if len(forms) == 1 else "any"
