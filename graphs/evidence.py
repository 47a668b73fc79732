"""What agents say to have found, looked up again: the python node of the graph `research` calls it.

An agent names a path, lines and a quote. What stands there is read anew, by the rules of the tools; where the quote
is not found, the evidence is dropped.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from ..core.errors import ToolError
from ..core.texts import decode
from ..nodes.python_call import NodeContext
from ..tools.paths import read_inside, refuse_denied, relative_path, resolve_inside
from .citations import folded, quote_parts, stands_in

_MOST_BYTES = 4_000_000
_AROUND = 3
"""Lines before and behind a quote that belong to the passage."""
_MOST_LINES = 40
_LEAST_PART = 12
"""Characters by which the place of a quote is found."""


def passages_of(notes: list[dict[str, Any]], ctx: NodeContext) -> list[dict[str, Any]]:
    """Return the passages that bear out what notes claim, as hits in their order; each passage stands once.

    Args:
        notes: objects with `evidence`: a list of {path, start_line, end_line, quote}. What has another form is no
            evidence.
    """
    found: dict[str, dict[str, Any]] = {}
    for note in notes:
        for each in note.get("evidence") or []:
            if isinstance(each, Mapping) and (hit := _hit(each, ctx)) is not None:
                found.setdefault(hit["id"], hit)
    return list(found.values())


def _hit(evidence: Mapping[str, Any], ctx: NodeContext) -> dict[str, Any] | None:
    path, quote = str(evidence.get("path") or ""), str(evidence.get("quote") or "")
    line = evidence.get("start_line")
    if not path or not quote.strip():
        return None
    in_file = _in_workspace(path, quote, line if isinstance(line, int) else 1, ctx)
    return in_file or _in_documents(path, quote, ctx)


def _in_workspace(path: str, quote: str, line: int, ctx: NodeContext) -> dict[str, Any] | None:
    """Return the passage of a file around a quote, the place nearest to a line; None = it does not stand there."""
    try:
        relative = relative_path(ctx.workspace, resolve_inside(ctx.workspace, path))
        refuse_denied(ctx.workspace, relative)
        data = read_inside(ctx.workspace, relative, _MOST_BYTES)
    except (ToolError, OSError):
        return None
    text = decode(data) if data is not None else None
    if data is None or text is None:
        return None
    lines = text.text.splitlines()
    places = sorted(_places(lines, quote), key=lambda place: abs(place[0] - line))
    if not places:
        return None
    first, last = places[0]
    start, end = max(first - _AROUND, 1), min(last + _AROUND, len(lines))
    return {
        "id": f"{relative}:{start}-{end}",
        "path": relative,
        "start_line": start,
        "end_line": end,
        "page": None,
        "heading": "",
        "text": "\n".join(lines[start - 1 : end]),
        "score": 1.0,
        "source": "code",
        "doc_sha256": hashlib.sha256(data).hexdigest(),
        "stale": False,
    }


def _places(lines: Sequence[str], quote: str) -> Iterator[tuple[int, int]]:
    """Yield the first and the last line, from 1, of each place where a quote stands, blanks and case aside."""
    plain = [folded(each) for each in lines]
    ends = list(accumulate(map(len, plain)))
    whole, beginning = "".join(plain), "".join(quote_parts(quote)[:1])[:_LEAST_PART]
    at = whole.find(beginning) if beginning else -1
    while at >= 0:
        first = bisect_right(ends, at) + 1
        shown = lines[first - 1 : first - 1 + _MOST_LINES]
        if stands_in(quote, "\n".join(shown)):
            length = next(n for n in range(1, len(shown) + 1) if stands_in(quote, "\n".join(shown[:n])))
            yield first, first + length - 1
        at = whole.find(beginning, ends[first - 1])


def _in_documents(path: str, quote: str, ctx: NodeContext) -> dict[str, Any] | None:
    for hit in ctx.retrieve(quote, "docs"):
        if hit["path"] == path and stands_in(quote, hit["text"]):
            return hit
    return None
