"""Conversations of LangChain as our own messages, and replies as LangChain's. Used by chat_model.py; imports it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata

from ..core.messages import Message, Role, ToolCall
from .visit_models import Said

_ROLES: dict[str, Role] = {"human": "user", "user": "user", "ai": "assistant", "assistant": "assistant"}
GO_ON = "Go on."
"""What a conversation ends with that ended with an assistant: a model answers a user, or the result of a call."""
NOTED = "(noted)"
"""What is put between the result of a call and what a user says next: templates want an assistant there."""


def our_messages(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """Return a conversation of LangChain in the order of roles that models take.

    System messages become one in front. Results stand in the order of their calls.

    Raises:
        ValueError: a message holds something else than text, or is of an unknown kind.
    """
    system = "\n\n".join(filter(None, (_text(each) for each in messages if isinstance(each, SystemMessage))))
    spoken = [_message(each) for each in messages if not isinstance(each, SystemMessage)]
    ordered = list(_in_order(spoken))
    if not ordered or ordered[-1].role == "assistant":
        ordered.append(Message("user", GO_ON))
    return (*((Message("system", system),) if system else ()), *ordered)


def _in_order(messages: Sequence[Message]) -> Iterator[Message]:
    places: dict[str, int] = {}
    before = ""
    for is_result, group in groupby(messages, key=lambda message: message.role == "tool"):
        for message in sorted(group, key=lambda each: places.get(each.call_id, len(places)) if is_result else 0):
            if before == "tool" and message.role == "user":
                yield Message("assistant", NOTED)
            if message.calls:
                places = {call.id: place for place, call in enumerate(message.calls)}
            before = message.role
            yield message


def _message(message: BaseMessage) -> Message:
    if isinstance(message, ToolMessage):
        return Message("tool", _text(message), call_id=message.tool_call_id, tool_name=message.name or "")
    kind = message.role if isinstance(message, ChatMessage) else message.type
    if kind not in _ROLES:
        raise ValueError(f"the conversation holds a message of the kind {kind!r}, which models are not given")
    said = Message(_ROLES[kind], _text(message))
    if not isinstance(message, AIMessage):
        return said
    calls = tuple(ToolCall(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls)
    return replace(said, calls=calls)


def _text(message: BaseMessage) -> str:
    """Return the text of a message. Raises: ValueError: it holds something else, such as a picture."""
    if isinstance(message.content, str):
        return message.content
    for block in message.content:
        kind = "text" if isinstance(block, str) else str(block.get("type", ""))
        # What an assistant thought or called stands elsewhere in its message, and is nothing to read again.
        if kind != "text" and not isinstance(message, AIMessage):
            raise ValueError(f"a message holds {kind!r}, and models are given texts alone")
    return str(message.text)


def their_message(said: Said) -> AIMessage:
    """Return a reply as LangChain has it; ids of its calls differ from those of every other request of the run."""
    message, reply = said.message, said.reply
    calls: list[Any] = [
        {"id": _call_id(f"{said.key}/{call.id}"), "name": call.name, "args": call.args, "type": "tool_call"}
        for call in message.calls
    ]
    return AIMessage(
        content=message.content,
        tool_calls=calls,
        additional_kwargs={"reasoning_content": message.thinking} if message.thinking else {},
        response_metadata={"model_name": reply.model, "done_reason": "stop"},
        usage_metadata=_usage(said),
    )


def _call_id(name: str) -> str:
    # The same again when the visit runs again, so that results find their calls.
    return f"call_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _usage(said: Said) -> UsageMetadata | None:
    usage = said.reply.usage
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    total = usage.prompt_tokens + usage.completion_tokens
    return UsageMetadata(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=total)
