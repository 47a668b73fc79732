"""spawn_agent: hand a question to a read-only sub-agent with a context of its own."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Effect, Spawn
from ..core.errors import ToolError
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description

CHILD_TOOLS = (
    "read_file",
    "grep",
    "glob",
    "search_code",
    "repo_map",
    "find_symbol",
    "find_references",
    "search_docs",
)
"""What a sub-agent may be given: tools that only read."""


class Args(ToolArgs):
    task: str = Field(min_length=1)
    tools: list[str] = Field(default_factory=list, description="empty: all that read")


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the spawning.

    Raises:
        ToolError: a tool is asked for that the agent does not have or that does more than read.
    """
    names = ctx.names
    allowed = tuple(name for name in CHILD_TOOLS if name in ctx.offered)
    wanted = [names.own_tool(name) for name in args.tools]
    if not allowed:
        raise ToolError("no sub-agent can be started: you have no reading tool to give it.")
    if refused := [names.tool(name) for name in wanted if name not in allowed]:
        shown = ", ".join(map(names.tool, allowed))
        raise ToolError(f"a sub-agent can not have {', '.join(refused)}. It may have: {shown}.")
    return Spawn(args.task, tuple(name for name in allowed if name in wanted) or allowed)


TOOL = ToolSpec("spawn_agent", "agent", description("spawn_agent"), Args, plan)
