"""find_symbol: the whole definition of a name, for agents that are given it."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Effect, Nothing, ToolResult
from ..core.hits import hit_spans
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description
from .search_code import BUDGET_TOKENS, BYTES_A_TOKEN, shown_passage


class Args(ToolArgs):
    name: str = Field(min_length=1)


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the definitions of the name with their path and lines."""
    budget = min(BUDGET_TOKENS, ctx.output_bytes // BYTES_A_TOKEN)
    hits = ctx.retriever.retrieve(args.name, budget, ("symbol",))
    if not hits:
        grep = ctx.names.tool("grep")
        return Nothing(ToolResult(f"Nothing defines {args.name!r}. Try {grep}: it may stand in another form."))
    text = "\n\n".join(map(shown_passage, hits))
    return Nothing(ToolResult(text, seen={hit.path: hit.doc_sha256 for hit in hits}, spans=hit_spans(hits)))


TOOL = ToolSpec("find_symbol", "read", description("find_symbol"), Args, plan, together=True)
