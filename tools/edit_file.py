"""edit_file: replace one quoted piece of a file; encoding, byte order mark, line ends and mode stay."""

from __future__ import annotations

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from ..core.effects import Effect
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description


class Args(ToolArgs):
    path: str
    old_text: str
    new_text: str
    # Not in the schema, where every request would pay for it: a refusal names it when it can help.
    near_line: SkipJsonSchema[int | None] = Field(default=None, ge=1)


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the write of the edited file.

    Raises:
        ToolError: the file can not be edited.
    """
    from .planned_edit import Edit, plan_edits  # late: not needed before the first request

    return plan_edits(args.path, [Edit(args.old_text, args.new_text, args.near_line)], ctx, "edit_file")


TOOL = ToolSpec("edit_file", "edit", description("edit_file"), Args, plan)
