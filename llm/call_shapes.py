"""The JSON objects that mean a call, and what a call is before its names are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.call_args import only_match, renamed
from ..core.messages import ToolDef
from .call_json import BrokenCall, read_object

Tools = Mapping[str, ToolDef]

_LISTS = ("tool_calls", "toolcalls", "toolCalls", "function_calls", "tool_uses", "calls")
_INNER = ("function", "function_call", "tool_call")
_NAMES = ("name", "tool", "tool_name", "toolName", "function_name", "function", "action", "recipient_name")
_ARGS = ("arguments", "parameters", "args", "params", "input", "kwargs", "tool_input", "toolInput", "action_input")
_SURE_NAMES, _SURE_ARGS = _NAMES[:-2], _ARGS[:3]
_BESIDE = ("type", "id", "index", "call_id", "tool_call_id")


@dataclass(frozen=True, slots=True)
class RawCall:
    """A call as the model wrote it. `positional`: arguments without names, as in a Python call."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()


def calls_of(value: Any, tools: Tools) -> tuple[RawCall, ...] | None:
    """Return the calls a JSON value means; None = it is data that means none.

    Raises:
        BrokenCall: it means a call whose arguments are no object.
    """
    if isinstance(value, list):
        found = [calls_of(item, tools) for item in value]
        return None if not found or None in found else tuple(call for calls in found for call in calls or ())
    if not isinstance(value, dict):
        return None
    for key in _LISTS:
        if isinstance(value.get(key), list):
            return calls_of(value[key], tools)
    for key in _INNER:
        if isinstance(value.get(key), dict):
            return calls_of(value[key], tools)
    call = _named(value, tools) or _keyed(value, tools)
    return None if call is None else (call,)


def _named(value: dict[str, Any], tools: Tools) -> RawCall | None:
    key = next((key for key in _NAMES if isinstance(value.get(key), str) and value[key].strip()), "")
    if not key:
        return None
    name = value[key]
    given = [other for other in _ARGS if other in value and other != key]
    if len(given) > 1:
        raise BrokenCall(f"the arguments of {name!r} are given twice: as {given[0]!r} and as {given[1]!r}")
    if given:
        # {"action": "deploy", "input": {}} is data, unless it names a tool.
        certain = (key in _SURE_NAMES and given[0] in _SURE_ARGS) or only_match(
            name.removeprefix("functions."), tools
        )
        return RawCall(name, _object(value[given[0]], name)) if certain else None
    return _flat(name, {k: v for k, v in value.items() if k != key and k not in _BESIDE}, tools)


def _flat(name: str, rest: dict[str, Any], tools: Tools) -> RawCall | None:
    """Read {"name": "read_file", "path": "a.py"}: only with a tool's name and nothing but its arguments."""
    tool = tools.get(only_match(name, tools) or "")
    if tool is None:
        return None
    known = tool.parameters.get("properties") or {}
    return RawCall(name, rest) if all(key in known for key in renamed(rest, tool.parameters)) else None


def _keyed(value: dict[str, Any], tools: Tools) -> RawCall | None:
    """Read {"read_file": {"path": "a.py"}}, with a tool's exact name."""
    if len(value) != 1:
        return None
    ((name, args),) = value.items()
    return RawCall(name, args) if name in tools and isinstance(args, dict) else None


def _object(args: Any, name: str) -> dict[str, Any]:
    if args is None:
        return {}
    if isinstance(args, str):
        return read_object(args)
    if not isinstance(args, dict):
        raise BrokenCall(f"the arguments of {name!r} must be one JSON object")
    return args
