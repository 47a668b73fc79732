"""What a conversation shows of files and outputs, as far as it is sent. Called by the agent loop's tool round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.effects import Spans
from ..core.messages import Message
from ..core.tool import OUTPUT_ID

LEAST_BYTES = 1_024
"""Of a result, however small the window."""


def seen_files(messages: Sequence[Message]) -> dict[str, str]:
    """Return the SHA-256 of each file that is shown, by path; the latest message counts."""
    seen: dict[str, str] = {}
    for message in messages:
        seen.update(message.seen)
    return seen


def shown_spans(messages: Sequence[Message], seen: Mapping[str, str]) -> dict[str, Spans]:
    """Return which lines are shown of just these contents, by path."""
    shown: dict[str, Spans] = {}
    for message in messages:
        for path, spans in message.spans.items():
            if path in message.seen and message.seen[path] == seen.get(path):
                shown[path] = (*shown.get(path, ()), *spans)
    return shown


def kept_outputs(stored: Sequence[Mapping[str, Any]], sent: Sequence[Message] = ()) -> dict[str, str]:
    """Return the blob ids of results that were cut, by their short ids; also of those that are not sent any more.

    Args:
        sent: the messages as they are sent, some of them shown short since they grew old.
    """
    found = [message["output"] for message in stored if message.get("output")]
    found += [message.output for message in sent if message.output]
    return {output[:OUTPUT_ID]: output for output in found}


def result_bytes(most: int, share: float, window: int, calls: int) -> int:
    """Return about how much a result may have.

    Args:
        most: bytes in a window that is not small.
        share: of that in this window.
        window: in tokens.
        calls: whose results come at once. Together they take no more than about a third of the window, a token being
            some three bytes.
    """
    return max(min(int(most * share), window // max(calls, 1)), LEAST_BYTES)


def calls_at_once(messages: Sequence[Message]) -> int:
    """Return how many calls the last reply made that made any."""
    return next((len(message.calls) for message in reversed(messages) if message.calls), 1)
