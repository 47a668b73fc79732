"""repo_map: signatures of the files that matter for a task, for agents that are given it."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Effect, Nothing, ToolResult
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description
from .search_code import BUDGET_TOKENS, BYTES_A_TOKEN


class Args(ToolArgs):
    query: str = Field(default="", description='"" = the most used files.')


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return paths, each with the lines and signatures of its definitions."""
    budget = min(BUDGET_TOKENS, ctx.output_bytes // BYTES_A_TOKEN)
    hits = ctx.retriever.retrieve(args.query, budget, ("map",))
    if not hits:
        return Nothing(ToolResult("No file is indexed yet."))
    return Nothing(ToolResult("\n\n".join(hit.text for hit in hits)))


TOOL = ToolSpec("repo_map", "read", description("repo_map"), Args, plan, together=True)
