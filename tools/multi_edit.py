"""multi_edit: several quoted pieces of one file, all of them or none."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from ..core.effects import Effect
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description

# Written out without a $ref: small models do not follow references inside a schema.
_ITEMS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"old_text": {"type": "string"}, "new_text": {"type": "string"}},
        "required": ["old_text", "new_text"],
    },
}


class OneEdit(ToolArgs):
    old_text: str
    new_text: str


class Args(ToolArgs):
    path: str
    edits: Annotated[list[OneEdit], WithJsonSchema(_ITEMS), Field(min_length=1)]


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the write of the file with all edits, each made on what the one before left.

    Raises:
        ToolError: the file can not be edited.
    """
    from .planned_edit import Edit, plan_edits  # late: not needed before the first request

    return plan_edits(args.path, [Edit(edit.old_text, edit.new_text) for edit in args.edits], ctx, "multi_edit")


TOOL = ToolSpec("multi_edit", "edit", description("multi_edit"), Args, plan)
