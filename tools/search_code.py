"""search_code: passages of code from the retrieval index, for agents that are given it."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Effect, Nothing, ToolResult
from ..core.hits import Hit, hit_spans
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description

BUDGET_TOKENS = 2_000
BYTES_A_TOKEN = 4


class Args(ToolArgs):
    query: str = Field(min_length=1)


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the best passages with their path and lines."""
    budget = min(BUDGET_TOKENS, ctx.output_bytes // BYTES_A_TOKEN)
    hits = ctx.retriever.retrieve(args.query, budget, ("code",))
    if not hits:
        grep = ctx.names.tool("grep")
        return Nothing(
            ToolResult(f"Nothing was found for {args.query!r}. Try other words, or {grep} for an exact one.")
        )
    text = "\n\n".join(shown_passage(hit) for hit in hits)
    return Nothing(ToolResult(text, seen={hit.path: hit.doc_sha256 for hit in hits}, spans=hit_spans(hits)))


def shown_passage(hit: Hit) -> str:
    """Return a passage as a model reads it: its place, then its lines."""
    heading = f" {hit.heading}" if hit.heading else ""
    return f"{hit.path}:{hit.start_line}-{hit.end_line}{heading}\n{hit.text}"


TOOL = ToolSpec("search_code", "read", description("search_code"), Args, plan, together=True)
