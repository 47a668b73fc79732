"""How many tokens each part of an agent's first request takes. Called by app/prompts.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..core.messages import ModelRequest
from ..core.ports import TokenCounter
from ..llm.tokens import count_request
from .assemble import Budget

_FRAME = re.compile(r'<(\w+)(?: name="[^"]*")?>\n.*?\n</\1>(?:\n\n|\Z)', re.DOTALL)
_PARTS = {"project_memory": "memory", "repo_map": "repo_map", "documents": "docs", "mentioned": "mentions"}
"""Parts by the mark of their frame, where they have another name in budgets."""


class Part(NamedTuple):
    """`tokens`: estimated. `budget`: what it may take; None = it has none and is never cut."""

    name: str
    tokens: int
    budget: int | None = None


def request_parts(request: ModelRequest, budget: Budget, counter: TokenCounter) -> list[Part]:
    """Return the parts of a first request in their order, with what the chat template adds as the last.

    Their sum is what `count_request` counts of the whole, or a few tokens above: each is counted by itself.
    """
    tokens: dict[str, int] = {}
    for message in request.messages:
        if message.role == "system":
            tokens["system"] = counter.count(message.content)
            tokens["tools"] = count_request((), request.tools, counter)
            continue
        for name, text in _pieces(message.content):
            tokens[name] = tokens.get(name, 0) + counter.count(text)
    whole = count_request(request.messages, request.tools, counter)
    tokens["chat template"] = max(0, whole - sum(tokens.values()))
    return [Part(name, count, getattr(budget, name, None)) for name, count in tokens.items()]


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and texts that a first user message is made of: the role's own text, then frames to the end.

    A frame's text never holds its own closing mark (blocks.Block.render), so its end is certain; the role's text ends
    where nothing but frames follows.
    """
    starts = [match.start() for match in re.finditer(r"(?:^|(?<=\n\n))<\w", text)]
    at = next((start for start in starts if _only_frames(text, start)), len(text))
    yield "role", text[:at]
    while frame := _FRAME.match(text, at):
        yield _PARTS.get(frame[1], frame[1]), frame[0]
        at = frame.end()


def _only_frames(text: str, at: int) -> bool:
    while at < len(text):
        frame = _FRAME.match(text, at)
        if frame is None:
            return False
        at = frame.end()
    return True
