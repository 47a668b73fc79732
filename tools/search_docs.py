"""search_docs: passages of the documents that a person added, for agents that are given it."""

from __future__ import annotations

from pydantic import Field

from ..core.effects import Effect, Nothing, ToolResult
from ..core.fences import fenced
from ..core.hits import Hit, place_text
from ..core.tool import ToolContext, ToolSpec
from .args import ToolArgs
from .prompt_text import description
from .search_code import BUDGET_TOKENS, BYTES_A_TOKEN


class Args(ToolArgs):
    query: str = Field(min_length=1)


def plan(args: Args, ctx: ToolContext) -> Effect:
    """Return the best passages with their places, in a frame that tells them from instructions."""
    budget = min(BUDGET_TOKENS, ctx.output_bytes // BYTES_A_TOKEN)
    hits = ctx.retriever.retrieve(args.query, budget, ("docs",))
    if not hits:
        return Nothing(ToolResult(f"No document says anything about {args.query!r}. Try other words."))
    text = "\n\n".join(_shown(number, hit) for number, hit in enumerate(hits, start=1))
    return Nothing(ToolResult(fenced("documents", text)))


def _shown(number: int, hit: Hit) -> str:
    place = place_text(hit.path, hit.page, hit.start_line, hit.end_line)
    heading = f" ({hit.heading})" if hit.heading else ""
    stale = " [changed since it was read]" if hit.stale else ""
    return f"[{number}] {place}{heading}{stale}\n{hit.text}"


TOOL = ToolSpec("search_docs", "read", description("search_docs"), Args, plan, together=True)
