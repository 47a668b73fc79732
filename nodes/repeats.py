"""The same call again and again: how often in a row an agent made it. A model that loops is told, then stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.messages import ToolCall

HINT_AT = 2
"""How often in a row the same call is made when its result says so."""
STOP_AT = 3
"""How often in a row it ends the visit instead of being run."""


def times_in_a_row(messages: Sequence[Mapping[str, Any]], call: ToolCall) -> int:
    """Return how often the same name and arguments were called in a row up to this call, it included.

    Args:
        messages: the conversation of the visit in its stored form; what stands after the call does not count.
    """
    count = 0
    for other in (*_calls_before(messages, call.id), call):
        count = count + 1 if _same(other, call) else 0
    return count


def _calls_before(messages: Sequence[Mapping[str, Any]], call_id: str) -> Iterator[ToolCall]:
    for message in messages:
        for data in message.get("calls", ()):
            if data["id"] == call_id:
                return
            yield ToolCall.from_dict(data)


def _same(one: ToolCall, other: ToolCall) -> bool:
    return one.name == other.name and json.dumps(one.args, sort_keys=True) == json.dumps(other.args, sort_keys=True)
