"""apply_patch: a unified diff of one file; its line numbers are hints, its context lines decide the places."""

from __future__ import annotations

from ..core.effects import Effect
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description


class Args(ToolArgs):
    path: str
    patch: str


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the write of the patched file: all hunks or none.

    Raises:
        ToolError: it is no patch of one file, or the file can not be edited.
    """
    from .planned_edit import plan_edits  # late: not needed before the first request
    from .unified_diff import read_hunks

    return plan_edits(args.path, read_hunks(args.patch), ctx, "apply_patch")


TOOL = ToolSpec("apply_patch", "edit", description("apply_patch"), Args, plan)
