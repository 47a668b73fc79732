"""How much of a request stands unchanged at the front of the next one: what the server's cache can serve of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..core.messages import ModelRequest
from ..llm.tokens import tool_json


class KeptFront:
    """Compares each request of one agent visit with the one before it, as they are sent: tools, then messages."""

    def __init__(self) -> None:
        self._before: list[str] = []

    def share(self, request: ModelRequest) -> float | None:
        """Return the share (0..1) of the characters of the request before that this one begins with; 1 = all of it.

        None = there was none, or the conversation was made smaller since.
        """
        before, now = self._before, list(_texts(request))
        self._before = now
        if not before:
            return None
        kept = 0
        for old, new in zip(before, now, strict=False):
            if old != new:
                kept += _common(old, new)
                break
            kept += len(old)
        return kept / sum(map(len, before))

    def begin_anew(self) -> None:
        """Take note that the next request has another front on purpose."""
        self._before = []


def _common(old: str, new: str) -> int:
    """Return how many characters the two begin with alike."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))


def _texts(request: ModelRequest) -> Iterator[str]:
    for tool in request.tools:
        yield json.dumps(tool_json(tool))
    for message in request.messages:
        calls = [(call.name, call.args) for call in message.calls]
        # The content stands last, so that more of it only appends.
        yield json.dumps((message.role, message.tool_name, calls, message.content))[:-2]
