"""The order of roles that chat templates demand. Checked before sending, and by the in-package server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ..core.messages import Message

RoleGrammar = Literal["", "mistral", "llama", "gemma"]
"""What a family's own chat template insists on beyond the order that all want; "" = nothing known.

"mistral": user and assistant alternate, calls and results apart; an assistant message has either text or calls; ids
of calls have nine letters or digits. "llama": one call in an assistant message. "gemma": user and assistant alternate
strictly, and there are neither system nor tool messages.

Source: the chat templates published with Mistral Nemo, Mistral Small 3.2, Ministral 3, Llama 3.1 to 3.3 and
Gemma 2, each of which raises an error (tests/app/test_families.py compares). Text or calls: the validator of
mistral-common up to its tokenizer v3, and Ollama's templates of Mistral Small and Devstral, which leave out the calls
of a message that has text. Gemma 3's template puts a system message in front of the first user message itself; in
Ollama's it is a user message of its own, so that two stand in a row.
"""


def check_roles(messages: Sequence[Message], grammar: RoleGrammar = "") -> None:
    """Check a conversation before it is sent.

    Raises:
        ValueError: it breaks the order of roles; whoever assembled it has a bug.
    """
    if fault := role_fault([_outline(message) for message in messages], grammar) or _id_fault(messages):
        raise ValueError(f"this conversation cannot be sent: {fault}")


def fit_roles(messages: Sequence[Message], grammar: RoleGrammar) -> list[Message]:
    """Return the conversation as the family's template takes it.

    User messages in a row become one where the template wants alternation, for Gemma the system message and the
    first user message too. For Llama an assistant message with several calls becomes one message a call, each
    followed by its result. Nothing is left out but the text that stood beside calls, for Mistral.
    """
    if grammar == "llama":
        return _single_calls(messages)
    if grammar == "mistral":
        return _joined([replace(message, content="") if message.calls else message for message in messages])
    if grammar == "gemma":
        return _joined([replace(m, role="user") if m.role == "system" else m for m in messages])
    return list(messages)


def role_fault(messages: object, grammar: RoleGrammar = "") -> str:
    """Return what breaks the order of roles in the wire form of a conversation, "" when nothing does.

    One system message at most, and it stands first; the last message is not the assistant's; no user message straight
    after a tool result; as many results follow an assistant message as it has calls, in their order. A grammar adds
    what the templates of its family refuse.
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
    if before not in ("user", "tool"):
        return f"the last message must be a user's or a tool's, not {before!r}"
    return _family_fault(messages, grammar)


def _family_fault(messages: Sequence[Mapping[str, Any]], grammar: RoleGrammar) -> str:
    match grammar:
        case "llama":
            several = any(len(message.get("tool_calls") or ()) > 1 for message in messages)
            return "this template takes one call in a message" if several else ""
        case "mistral":
            said = [message for message in messages if message["role"] == "assistant"]
            if any(bool(message.get("content")) == bool(message.get("tool_calls")) for message in said):
                return "an assistant message has either text or calls in this template"
            return _turn_fault(messages)
        case "gemma":
            if any(message["role"] in ("system", "tool") or message.get("tool_calls") for message in messages):
                return "this template has neither system nor tool messages"
            return _turn_fault(messages)
        case _:
            return ""


def _turn_fault(messages: Sequence[Mapping[str, Any]]) -> str:
    spoken = [m["role"] for m in messages if m["role"] in ("user", "assistant") and not m.get("tool_calls")]
    if any(role != ("user", "assistant")[place % 2] for place, role in enumerate(spoken)):
        return "user and assistant must alternate in this template"
    return ""


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


def _joined(messages: Sequence[Message]) -> list[Message]:
    """Return the conversation with user messages in a row made one."""
    joined: list[Message] = []
    for message in messages:
        if joined and message.role == joined[-1].role == "user":
            joined[-1] = replace(joined[-1], content=f"{joined[-1].content}\n\n{message.content}")
        else:
            joined.append(message)
    return joined


def _single_calls(messages: Sequence[Message]) -> list[Message]:
    fitted: list[Message] = []
    left = list(messages)
    while left:
        message = left.pop(0)
        if len(message.calls) < 2:
            fitted.append(message)
            continue
        results, left = left[: len(message.calls)], left[len(message.calls) :]
        for place, call in enumerate(message.calls):
            fitted.append(replace(message, content=message.content if place == 0 else "", calls=(call,)))
            fitted += results[place : place + 1]
    return fitted


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
