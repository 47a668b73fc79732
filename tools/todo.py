"""todo: the agent's own list of what is left to do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from ..core.effects import Effect, Nothing, ToolResult
from ..core.errors import ToolError
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description

_MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}


class Todo(ToolArgs):
    content: str = Field(min_length=1)
    status: Literal["pending", "in_progress", "completed"]
    active_form: str = Field(min_length=1)


# Written out without a $ref: small models do not follow references inside a schema.
_ITEMS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "content": {"type": "string"},
            "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
            "active_form": {"type": "string", "description": "content as it is being done: Adding tests"},
        },
        "required": ["content", "status", "active_form"],
        "additionalProperties": False,
    },
}


class Args(ToolArgs):
    todos: Annotated[list[Todo], WithJsonSchema(_ITEMS)]


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the new list; it takes the place of the old one.

    Raises:
        ToolError: more than one item is in progress.
    """
    working = [todo.content for todo in args.todos if todo.status == "in_progress"]
    if len(working) > 1:
        raise ToolError(f"{len(working)} items are in_progress ({'; '.join(working)}); only one may be at a time.")
    text = "\n".join(f"{_MARKS[todo.status]} {todo.content}" for todo in args.todos) or "(the list is empty)"
    todos = tuple(
        {"content": todo.content, "status": todo.status, "active_form": todo.active_form} for todo in args.todos
    )
    return Nothing(ToolResult(text, todos=todos))


TOOL = ToolSpec("todo", "agent", description("todo"), Args, plan)
