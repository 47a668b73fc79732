"""What of a stored conversation is sent: a view of it. The conversation itself only grows and is never changed.

A view leaves a range of messages behind the first user message out, shows old results short, and puts what the range
came to at the end of the first user message. Between two compactions it stays as it is, so a request only appends to
the one before. Called by the agent loop; made by compaction.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..core.messages import Message
from ..core.tool import OUTPUT_ID
from .short_results import short_result

CONTEXT_TAG = "session_context"
_OPENING = f"\n\n<{CONTEXT_TAG}>\n"
_CLOSING = f"\n</{CONTEXT_TAG}>"

Stored = Sequence[Mapping[str, Any]]
"""A conversation as checkpoints hold it: messages in their JSON form."""


@dataclass(frozen=True, slots=True)
class View:
    """What is sent of a stored conversation.

    Attributes:
        dropped: messages before this place are left out, up to the first user message; 0 = none.
        shrunk: results before this place are shown short; 0 = none.
        limit: characters that a short result has at most.
        pointer: how the whole of a short result is read, its short blob id standing for {}; "" = by another call.
        context: the session context, a rendered block; "" = none.
        tokens: of the request that the last compaction left, by our count; 0 = there was none.
        until: messages that were stored at the last compaction.
        window: tokens of the window that it was made for.
    """

    dropped: int = 0
    shrunk: int = 0
    limit: int = 0
    pointer: str = ""
    context: str = ""
    tokens: int = 0
    until: int = 0
    window: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form kept in checkpoints; a list of lines is stored once, a text with each of them."""
        return {**asdict(self), "context": self.context.split("\n")}

    @staticmethod
    def from_dict(data: Mapping[str, Any] | None) -> View:
        """Return what a checkpoint kept; None = all of the conversation."""
        return View(**{**data, "context": "\n".join(data["context"])}) if data else WHOLE


WHOLE = View()


def viewed(messages: Stored, view: View = WHOLE) -> list[Message]:
    """Return the messages that are sent. What is not shown whole any more does not count as seen either."""
    front = front_length(messages)
    sent = [Message.from_dict(dict(message)) for message in messages[:front]]
    if view.context and sent:
        sent[-1] = replace(sent[-1], content=with_context(sent[-1].content, view.context))
    for place in range(max(front, view.dropped), len(messages)):
        message = Message.from_dict(dict(messages[place]))
        sent.append(shortened(message, view) if place < view.shrunk else message)
    return sent


def front_length(messages: Stored) -> int:
    """Return how many messages are always sent: those up to the first user message."""
    return next((place + 1 for place, message in enumerate(messages) if message["role"] == "user"), len(messages))


def group_starts(messages: Stored, after: int = 0) -> list[int]:
    """Return where the groups behind the front begin that may be left out, each as a whole.

    A group is an assistant message with all that answers it: results of its calls, or what the user said to it.

    Args:
        after: places before this one are left out already.
    """
    begin = max(front_length(messages), after)
    return [place for place in range(begin, len(messages)) if messages[place]["role"] == "assistant"]


def recent(history: Sequence[Message], tokens: int, count: Callable[[Sequence[Message]], int]) -> tuple[Message, ...]:
    """Return a conversation without its oldest groups, so that it stays within so many tokens; its front stays."""
    stored = [message.to_dict() for message in history]
    front = history[: front_length(stored)]
    for start in (len(front), *group_starts(stored), len(history)):
        if count(kept := (*front, *history[start:])) <= tokens:
            return kept
    return tuple(front)


def shortened(message: Message, view: View) -> Message:
    """Return a result as it is shown once it is old, with the blob id of its whole; every other message as it is."""
    if message.role != "tool" or len(message.content) <= view.limit:
        return message
    output = message.output or hashlib.sha256(whole_bytes(message)).hexdigest()
    if view.pointer:
        text = short_result(
            message.content, view.limit, f"all of it: {view.pointer.replace('{}', output[:OUTPUT_ID])}"
        )
    else:
        text = short_result(message.content, view.limit)
    return replace(message, content=text, seen={}, spans={}, output=output if view.pointer else message.output)


def whole_bytes(message: Message) -> bytes:
    """Return the bytes under whose blob id the whole of a short result is kept."""
    return message.content.encode("utf-8", errors="replace")


def with_context(text: str, context: str) -> str:
    """Return a first user message with this session context in the place of an earlier one."""
    return f"{without_context(text)[0]}\n\n{context}"


def without_context(text: str) -> tuple[str, str]:
    """Return a first user message without its session context, and that context's text; "" = it had none."""
    if not text.endswith(_CLOSING):
        return text, ""
    before, mark, context = text.rpartition(_OPENING)
    return (before, context.removesuffix(_CLOSING)) if mark else (text, "")
