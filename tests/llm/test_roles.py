from __future__ import annotations

import pytest

from flowloom.core.messages import Message, ToolCall
from flowloom.llm.roles import RoleGrammar, check_roles, fit_roles

from .conftest import Connect, Serve, ask, ignore

SYSTEM = Message("system", "s")
USER = Message("user", "u")
SAID = Message("assistant", "a")
CALLED = Message("assistant", "", calls=(ToolCall("t0.0", "read", {}), ToolCall("t0.1", "read", {})))
FIRST = Message("tool", "1", call_id="t0.0", tool_name="read")
SECOND = Message("tool", "2", call_id="t0.1", tool_name="read")


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [SYSTEM, USER],
        [SYSTEM, USER, USER],
        [SYSTEM, USER, SAID, USER],
        [SYSTEM, USER, CALLED, FIRST, SECOND],
        [SYSTEM, USER, CALLED, FIRST, SECOND, SAID, USER],
        [USER, CALLED, Message("tool", "1"), Message("tool", "2")],
    ],
)
def test_order_that_templates_accept_passes(messages: list[Message]) -> None:
    check_roles(messages)


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([], "must be a user's or a tool's"),
        ([SYSTEM], "must be a user's or a tool's"),
        ([USER, SAID], "must be a user's or a tool's"),
        ([USER, SYSTEM], "message 1 .system.: a system message must stand first"),
        ([SYSTEM, SYSTEM, USER], "must stand first"),
        ([USER, CALLED, FIRST, SECOND, USER], "message 4 .user.: a user message straight after a tool result"),
        ([USER, CALLED, FIRST], "are not answered"),
        ([USER, CALLED, FIRST, USER], "are not answered yet"),
        ([USER, CALLED, FIRST, SAID], "are not answered yet"),
        ([USER, FIRST], "answers no tool call"),
        ([USER, CALLED, FIRST, SECOND, SECOND], "answers no tool call"),
        ([USER, CALLED, SECOND, FIRST], "result of call 't0.1' stands where call 't0.0'"),
        ([USER, CALLED, FIRST, Message("tool", "", tool_name="grep")], "answers 'grep'"),
    ],
)
def test_order_that_templates_refuse_is_named(messages: list[Message], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        check_roles(messages)


BOTH = Message("assistant", "both", calls=CALLED.calls)


@pytest.mark.parametrize(
    ("grammar", "messages", "fitted"),
    [
        ("", [SYSTEM, USER, USER], [("system", "s"), ("user", "u"), ("user", "u")]),
        ("mistral", [SYSTEM, USER, USER], [("system", "s"), ("user", "u\n\nu")]),
        ("mistral", [USER, BOTH, FIRST, SECOND], [("user", "u"), ("assistant", ""), ("tool", "1"), ("tool", "2")]),
        (
            "llama",
            [USER, BOTH, FIRST, SECOND],
            [("user", "u"), ("assistant", "both"), ("tool", "1"), ("assistant", ""), ("tool", "2")],
        ),
        ("gemma", [SYSTEM, USER, SAID, USER], [("user", "s\n\nu"), ("assistant", "a"), ("user", "u")]),
    ],
)
def test_conversation_is_fitted_to_its_family(
    grammar: RoleGrammar, messages: list[Message], fitted: list[tuple[str, str]]
) -> None:
    assert [(message.role, message.content) for message in fit_roles(messages, grammar)] == fitted


async def test_adapter_sends_nothing_that_breaks_the_order(serve: Serve, connect: Connect) -> None:
    server = serve([])
    with pytest.raises(ValueError, match="straight after a tool result"):
        await connect(server).complete(ask(USER, CALLED, FIRST, SECOND, USER), ignore)
    assert server.requests == []
    assert server.refused == []
