"""Tools for models whose server offers none: described in the system text, called as JSON held to a schema.

A pure change of the request before it is sent; read_reply.py reads what comes back. The conversation that is stored
and recorded stays the same as for any other model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from ..core.messages import Message, ModelRequest, ToolCall, ToolDef
from .structured import grammar_shape

FINAL = "final"


def with_tools_in_text(request: ModelRequest) -> ModelRequest:
    """Return the request as a model without tools can answer it.

    The tools are described behind the system text, calls are JSON texts of the assistant and results are user
    messages, so that user and assistant alternate. A reply is held to the schema of a call or an answer, unless the
    request has a schema of its own.
    """
    tools = request.tools or request.described
    messages = _told(request.messages, tools)
    schema = request.schema if request.schema is not None or not request.tools else action_schema(request.tools)
    return replace(request, messages=tuple(messages), tools=(), described=(), schema=schema)


def action_schema(tools: Sequence[ToolDef]) -> dict[str, Any]:
    """Return the schema of a reply that calls one of the tools or answers."""
    answer = {"anyOf": [{"type": "string"}, {"type": "object"}]}
    return {"anyOf": [*map(_call_schema, tools), _object_schema({FINAL: answer})]}


def tools_text(tools: Sequence[ToolDef]) -> str:
    """Return what the model reads of its tools and of how to call them; the same tools give the same bytes."""
    return Template(_prompt()).substitute(tools="\n".join(map(_line, tools)))


def final_answer(text: str) -> str | None:
    """Return the answer inside a {"final": ...} reply, an object in it as JSON text; None = it is no such reply."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or set(data) != {FINAL}:
        return None
    answer = data[FINAL]
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


@cache
def _prompt() -> str:
    return (files(__package__) / "prompts" / "tools.md").read_text("utf-8").strip()


def _line(tool: ToolDef) -> str:
    return f"- {tool.name}({', '.join(_arguments(tool.parameters))}): {' '.join(tool.description.split())}"


def _arguments(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required") or ()
    for name, one in (schema.get("properties") or {}).items():
        default = f" = {json.dumps(one['default'], ensure_ascii=False)}" if "default" in one else ""
        hint = f" ({one['description']})" if one.get("description") else ""
        yield f"{name}{'' if name in required else '?'}: {_kind(one)}{default}{hint}"


def _kind(schema: Mapping[str, Any]) -> str:
    if choices := schema.get("enum"):
        return "|".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items') or {})}]"
    if schema.get("properties"):
        return f"{{{', '.join(_arguments(schema))}}}"
    return str(schema.get("type") or "any")


def _call_schema(tool: ToolDef) -> dict[str, Any]:
    arguments = {"type": "object", "properties": {}, "additionalProperties": False, **tool.parameters}
    return _object_schema({"tool": {"type": "string", "enum": [tool.name]}, "arguments": grammar_shape(arguments)})


def _object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _told(messages: Sequence[Message], tools: Sequence[ToolDef]) -> list[Message]:
    text = tools_text(tools) if tools else ""
    told: list[Message] = []
    for message in messages:
        if message.role == "system":
            told.append(replace(message, content="\n\n".join(filter(None, (message.content, text)))))
            text = ""
            continue
        said = _in_text(message)
        if told and said.role == told[-1].role:
            told[-1] = replace(told[-1], content=f"{told[-1].content}\n\n{said.content}")
        else:
            told.append(said)
    return [Message("system", text), *told] if text else told


def _in_text(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"Result of {message.tool_name}:\n{message.content}")
    if message.calls:
        calls = "\n".join(map(_call_text, message.calls))
        return Message("assistant", "\n".join(filter(None, (message.content, calls))))
    return message


def _call_text(call: ToolCall) -> str:
    return json.dumps({"tool": call.name, "arguments": call.args}, ensure_ascii=False)
