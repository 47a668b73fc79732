"""find_references: the lines that use a name, for agents that are given it."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Effect, Nothing, ToolResult
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description
from .search_code import BUDGET_TOKENS, BYTES_A_TOKEN


class Args(ToolArgs):
    name: str = Field(min_length=1)


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the lines by file, each with the definition that it stands in."""
    budget = min(BUDGET_TOKENS, ctx.output_bytes // BYTES_A_TOKEN)
    hits = ctx.retriever.retrieve(args.name, budget, ("references",))
    if not hits:
        return Nothing(ToolResult(f"Nothing uses {args.name!r}."))
    return Nothing(ToolResult("\n\n".join(f"{hit.path}\n{hit.text}" for hit in hits)))


TOOL = ToolSpec("find_references", "read", description("find_references"), Args, plan, together=True)
