"""A function of the user's as a tool of agents: it plans like a built-in one, and what it plans goes the same way."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from ..core.effects import Category, Command, Effect, Nothing, ToolResult
from ..core.errors import GraphInvalid, ToolError
from ..core.marks import RunCommand, ToolCategory, WriteFile, mark_of
from ..core.tool import ToolContext, ToolSpec
from ..tools import write_file
from ..tools.args import ToolArgs
from ..tools.output import cut_middle
from .prints import prints_aside
from .user_code import Code, failure_line

WORKSPACE = "workspace"
"""The parameter that takes the folder the run works in."""

_CATEGORIES: Mapping[ToolCategory, Category] = {"read": "read", "write": "edit", "command": "shell"}


def user_tool(function: Any, name: str, code: Code) -> ToolSpec:
    """Return the tool that a function is.

    Raises:
        GraphInvalid: it is not marked as one, or its type hints cannot be told to a model.
    """
    mark = mark_of(function)
    if mark is None or mark.kind != "tool":
        raise GraphInvalid(f"{code.shown}: {name!r} is no tool.", hint="Put @tool of flowloom above the function.")

    def plan(args: BaseModel, ctx: ToolContext) -> Effect:
        return _effect(_called(function, args, ctx, code), mark.category, name, ctx)

    category = _CATEGORIES[mark.category]
    told = inspect.cleandoc(function.__doc__ or "")
    return ToolSpec(name, category, told, _arguments(function, name, code), plan, together=mark.category == "read")


def _arguments(function: Callable[..., Any], name: str, code: Code) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    try:
        for each in inspect.signature(function, eval_str=True).parameters.values():
            if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD, each.POSITIONAL_ONLY):
                raise GraphInvalid(f"{code.shown}: the tool {name!r} cannot take {each}.")
            if each.name != WORKSPACE:
                fields[each.name] = (each.annotation, ... if each.default is each.empty else each.default)
        model: type[BaseModel] = create_model(f"{name}_arguments", __base__=ToolArgs, **fields)
        model.model_json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError) as err:
        reason = str(err).partition("\n")[0].rstrip(".")
        raise GraphInvalid(f"{code.shown}: the arguments of {name!r} cannot be told to a model: {reason}.") from err
    return model


def _called(function: Callable[..., Any], args: BaseModel, ctx: ToolContext, code: Code) -> Any:
    given = {name: getattr(args, name) for name in type(args).model_fields}
    if WORKSPACE in inspect.signature(function).parameters:
        given[WORKSPACE] = ctx.workspace
    try:
        with prints_aside():
            result = function(**given)
            return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result
    except ToolError:
        raise
    except (Exception, SystemExit) as err:
        raise ToolError(f"{failure_line(err, code)}.") from err


async def _awaited(result: Any) -> Any:
    return await result


def _effect(result: Any, category: ToolCategory, name: str, ctx: ToolContext) -> Effect:
    """Return what a function's value means.

    Raises:
        ToolError: it is nothing that a tool of its category may return.
    """
    if isinstance(result, WriteFile) and category == "write":
        # What the model was shown of the file does not matter: the function has read it itself.
        return write_file.plan(write_file.Args(path=result.path, content=result.text), replace(ctx, seen=None))
    if isinstance(result, RunCommand) and category == "command":
        return Command(tuple(map(str, result.argv)), float(result.timeout_s))
    if isinstance(result, (WriteFile, RunCommand)):
        raise ToolError(f"{name} returned a {type(result).__name__}, which its category {category!r} does not allow.")
    try:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError) as err:
        raise ToolError(f"{name} returned what is no text: {err}.") from err
    return Nothing(ToolResult(cut_middle(text, ctx.output_bytes)))
