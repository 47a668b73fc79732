"""bash: one shell command in the workspace."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Command, Effect
from ..core.errors import ToolError
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description

DEFAULT_TIMEOUT_MS = 120_000
MAX_TIMEOUT_MS = 600_000


class Args(ToolArgs):
    command: str
    timeout_ms: int = Field(default=DEFAULT_TIMEOUT_MS, ge=1, le=MAX_TIMEOUT_MS)


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the command.

    Raises:
        ToolError: it is empty or holds a NUL.
    """
    if not args.command.strip() or "\0" in args.command:
        raise ToolError("the command is empty or holds a NUL character. Give one shell command.")
    return Command(("bash", "-c", args.command), args.timeout_ms / 1000)


TOOL = ToolSpec("bash", "shell", description("bash"), Args, plan)
