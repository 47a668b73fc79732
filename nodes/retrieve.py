"""The retrieve node: passages of the code or the documents that fit a query, as JSON data."""

from __future__ import annotations

import asyncio
from typing import cast

from ..core.errors import RunFailed
from ..core.hits import Source, hit_to_dict
from .call import NodeCall, NodeResult
from .deps import NodeDeps

PASSAGE_TOKENS = 500
"""Room for one hit; the hits together stay within that times their number."""


async def run_retrieve(call: NodeCall, deps: NodeDeps) -> NodeResult:
    """Return the hits, best first; [] when nothing fits, or nothing of that kind is indexed.

    Raises:
        RunFailed: `filter` gives no list of texts.
        FlowError: the index cannot be read.
    """
    query, count, within = str(call.fields["query"]), int(call.fields["k"]), call.fields.get("filter") or []
    if not isinstance(within, list) or not all(isinstance(each, str) for each in within):
        raise RunFailed(f"{call.path}: 'filter' must give a list of texts, got {within!r}.")
    if not query.strip():
        return NodeResult([], "no query")
    deps.events.progress(call.label, "retrieving")
    sources = (cast(Source, call.fields["index"]),)
    retriever = deps.toolbox.retriever
    found = await asyncio.to_thread(retriever.retrieve, query, count * PASSAGE_TOKENS, sources, within=tuple(within))
    hits = [hit_to_dict(hit) for hit in found[:count]]
    return NodeResult(hits, f"{len(hits)} hit{'' if len(hits) == 1 else 's'}")
