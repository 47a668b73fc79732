"""What a turn costs us before and after the model at 32k tokens of history: making the request, reading the reply."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from .rows import Row

_HISTORY_TOKENS = 32_000
_TURNS = 20
_LINES = 60


def run() -> list[Row]:
    """Return the middle and the slowest of twenty turns, and of the compaction at their end."""
    messages = _history()
    turns = [_turn(messages, number) for number in range(_TURNS)]
    compaction = _compaction(messages)
    label = "a turn at 32k tokens of history:"
    return [
        Row(
            f"{label} request and reply",
            statistics.median(turns[1:]) * 1000,
            "ms",
            limit=50,
            beside=f"slowest {max(turns[1:]) * 1000:.1f}, first in a process {turns[0] * 1000:.1f}",
        ),
        Row(f"{label} compaction by code", compaction * 1000, "ms"),
    ]


def _history() -> list[dict[str, Any]]:
    """Return a conversation of whole reads of our own sources, as checkpoints hold it."""
    from flowloom.context.view import viewed
    from flowloom.core.messages import Message
    from flowloom.llm.tokens import EstimatingCounter, count_request

    messages = [Message("system", "You are an agent.").to_dict(), Message("user", "Mend the total.").to_dict()]
    number = 0
    while count_request(viewed(messages), (), EstimatingCounter()) < _HISTORY_TOKENS:
        messages += _read(number)
        number += 1
    return messages


def _read(number: int) -> list[dict[str, Any]]:
    from flowloom.core.messages import Message, ToolCall

    sources = sorted((Path(__file__).parents[1] / "tools").glob("*.py"))
    source = sources[number % len(sources)]
    lines = source.read_text("utf-8").splitlines()[:_LINES]
    shown = "\n".join(f"{at}|{line}" for at, line in enumerate(lines, 1))
    call = ToolCall(f"t{number}.0", "read_file", {"path": f"tools/{source.name}"})
    said = Message("assistant", f"I read {number}.", (call,))
    return [said.to_dict(), Message("tool", shown, call_id=call.id, tool_name=call.name).to_dict()]


def _turn(messages: list[dict[str, Any]], number: int) -> float:
    """Return the seconds that one turn takes; the conversation has grown by it afterwards."""
    from flowloom.context.compaction import Room, is_due
    from flowloom.context.view import View, viewed
    from flowloom.core.messages import CallKey, ModelReply, ModelRequest
    from flowloom.llm.ollama_wire import request_body
    from flowloom.llm.read_reply import read_reply
    from flowloom.llm.roles import check_roles
    from flowloom.llm.tokens import EstimatingCounter
    from flowloom.nodes.window import learned_ratio, prompt_tokens
    from flowloom.tools.registry import TOOLS

    tools = tuple(spec.definition() for spec in TOOLS.values())[:7]
    text = 'I read on.\n<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py"}}\n</tool_call>'
    began = time.perf_counter()
    request = ModelRequest(tuple(viewed(messages, View())), CallKey("code", 1, number), tools)
    tokens = prompt_tokens(request, EstimatingCounter(), None)
    learned_ratio(request, EstimatingCounter(), tokens, 1.0)
    is_due(messages, View(), tokens, Room(131_072, 4096, 0.7))
    check_roles(request.messages)
    body = request_body(
        request, model="m", window=131_072, grammar="mistral", temperature=0.0, think=None, keep_alive="10m"
    )
    json.dumps(body, ensure_ascii=False).encode()
    shown = [message.content for message in request.messages if message.role in ("user", "tool")]
    read_reply(ModelReply(text), tools, turn=number, read_before=shown)
    seconds = time.perf_counter() - began
    messages += _read(1000 + number)
    return seconds


def _compaction(messages: list[dict[str, Any]]) -> float:
    from flowloom.context.compaction import Compaction, Room
    from flowloom.context.session import Facts
    from flowloom.context.view import View, viewed
    from flowloom.llm.tokens import EstimatingCounter, count_request

    counter = EstimatingCounter()

    def count(view: View) -> int:
        return count_request(viewed(messages, view), (), counter)

    began = time.perf_counter()
    room = Room(49_152, 4096, 0.7)
    Compaction(messages, View(), room, Facts("/repo"), count, counter).rebuilt("It is half done.", 0)
    return time.perf_counter() - began
