"""Arguments of a tool call: checked against the tool's model, with one message that names every fault."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..core.call_args import coerced
from ..core.errors import ToolError
from ..core.tool import ToolSpec
from ..core.tool_names import OWN_NAMES, ToolNames

_UNSHOWN = ("minLength", "minimum", "maximum")
_OBVIOUS = ("", ".", 1, False)
"""Defaults that an argument's name tells: nothing, the workspace, the first line, no."""


def _show_less(schema: dict[str, Any]) -> None:
    """Leave out of the schema what a refusal can say when it matters, since every request pays for it."""
    schema.pop("additionalProperties", None)
    for field in schema.get("properties", {}).values():
        for key in _UNSHOWN:
            field.pop(key, None)
        if field.get("default") in _OBVIOUS:
            del field["default"]


class ToolArgs(BaseModel):
    """Base of every tool's arguments: unknown names are faults, and nothing changes after the check."""

    # defer_build: a run starts with a handful of tools, and loads them all.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, json_schema_extra=_show_less)


def parse_args(spec: ToolSpec, args: dict[str, Any], names: ToolNames = OWN_NAMES) -> BaseModel:
    """Return a call's checked arguments.

    Text is taken for a number, a boolean or a list where the tool wants one and it reads as one; null for an
    optional argument counts as absent. Nothing is guessed.

    Args:
        names: under which the model knows them, for the message.

    Raises:
        ToolError: lists every unknown, missing and unusable argument.
    """
    fields = spec.args.model_fields
    given = coerced(args, spec.definition().parameters)
    try:
        return spec.args.model_validate(given)
    except ValidationError as err:
        known = {names.argument(spec.name, name): field for name, field in fields.items()}
        faults = [_fault(dict(detail), spec.name, names, list(known)) for detail in err.errors(include_url=False)]
        shown = ", ".join(name if field.is_required() else f"{name} (optional)" for name, field in known.items())
        tool = names.tool(spec.name)
        raise ToolError(f"{tool} was not run: {'; '.join(faults)}. Its arguments: {shown}.") from err


def _fault(detail: dict[str, Any], tool: str, names: ToolNames, known: list[str]) -> str:
    name = ".".join(names.argument(tool, str(part)) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"argument {name!r} is missing"
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        return f"unknown argument {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
    value = repr(detail["input"])
    shown = value if len(value) <= 60 else value[:60] + "…"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"argument {name!r} {message}, got {shown}"
