"""The order of roles that chat templates demand. Checked before sending, and by the in-package server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.messages import Message


def check_roles(messages: Sequence[Message]) -> None:
    """Check a conversation before it is sent.

    Raises:
        ValueError: it breaks the order of roles; whoever assembled it has a bug.
    """
    if fault := role_fault([_outline(message) for message in messages]) or _id_fault(messages):
        raise ValueError(f"this conversation cannot be sent: {fault}")


def role_fault(messages: object) -> str:
    """Return what breaks the order of roles in the wire form of a conversation, "" when nothing does.

    One system message at most, and it stands first; the last message is not the assistant's; no user message straight
    after a tool result; as many results follow an assistant message as it has calls, in their order.
    """
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return "messages must be a list of objects"
    before = ""
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        if fault := _message_fault(message, number, before, open_calls):
            return f"message {number} ({message.get('role')}): {fault}"
        before = str(message["role"])
    if open_calls:
        return f"the calls {open_calls} are not answered"
    return "" if before in ("user", "tool") else f"the last message must be a user's or a tool's, not {before!r}"


def _message_fault(message: dict[str, Any], number: int, before: str, open_calls: list[str]) -> str:
    role = message.get("role")
    if role == "tool":
        return _result_fault(message, open_calls)
    if open_calls:
        return f"the calls {open_calls} are not answered yet"
    if role == "system":
        return "a system message must stand first" if number else ""
    if role == "user":
        return "a user message straight after a tool result" if before == "tool" else ""
    if role != "assistant":
        return "unknown role"
    open_calls.extend(str(call.get("function", {}).get("name")) for call in message.get("tool_calls") or ())
    return ""


def _result_fault(message: dict[str, Any], open_calls: list[str]) -> str:
    if not open_calls:
        return "answers no tool call"
    name = open_calls.pop(0)
    answered = message.get("tool_name")
    if answered and answered != name:
        return f"answers {answered!r}, but the next open call is {name!r}"
    return ""


def _outline(message: Message) -> dict[str, Any]:
    calls = [{"function": {"name": call.name}} for call in message.calls]
    return {"role": message.role, "tool_calls": calls, "tool_name": message.tool_name}


def _id_fault(messages: Sequence[Message]) -> str:
    """Return where a result names another call than the one it stands for (two calls of one tool, swapped)."""
    asked = [call.id for message in messages for call in message.calls]
    answered = [message.call_id for message in messages if message.role == "tool"]
    for call, result in zip(asked, answered, strict=True):
        if result and call != result:
            return f"the result of call {result!r} stands where call {call!r} is answered"
    return ""
