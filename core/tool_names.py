"""What tools and their arguments are called in front of one model; everything behind it knows our own names only.

Made by tools/profiles.py. nodes/agent_loop.py puts it between the conversation and the model, and the tools take from
it the names that their messages speak of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .messages import Message, ToolCall, ToolDef

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ToolNames:
    """Shown names by own names; what is not in a mapping is shown under its own name.

    Attributes:
        profile: where they come from, "" = everything is shown under its own name.
        tools: of tools.
        arguments: of arguments, by the tool's own name; those inside a list of objects are meant as well.
        descriptions: texts that take the place of the tools' own.
    """

    profile: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)

    def tool(self, own: str) -> str:
        """Return the name a tool is shown under."""
        return self.tools.get(own, own)

    def argument(self, tool: str, own: str) -> str:
        """Return the name an argument of a tool is shown under; the tool by its own name."""
        return self.arguments.get(tool, _NONE).get(own, own)

    def word(self, tool: str, own: str) -> str:
        """Return what a text about a tool calls one of its arguments or another tool."""
        shown = self.argument(tool, own)
        return self.tool(own) if shown == own else shown

    def own_tool(self, shown: str) -> str:
        """Return the own name of the tool that is shown under a name; a name nothing is shown under stays."""
        return next((own for own, name in self.tools.items() if name == shown), shown)

    def definition(self, tool: ToolDef) -> ToolDef:
        """Return a tool as the model is shown it."""
        return ToolDef(
            self.tool(tool.name),
            self.descriptions.get(tool.name, tool.description),
            _shown_schema(tool.parameters, self.arguments.get(tool.name, _NONE)),
        )

    def told(self, message: Message) -> Message:
        """Return a message of the conversation as the model is shown it; its text stays as it is."""
        if message.calls:
            return replace(message, calls=tuple(map(self._told_call, message.calls)))
        if message.tool_name:
            return replace(message, tool_name=self.tool(message.tool_name))
        return message

    def own_call(self, call: ToolCall) -> ToolCall:
        """Return a call under our own names. One that already has them stays, for texts of the user speak of them."""
        own = self.own_tool(call.name)
        names = {shown: name for name, shown in self.arguments.get(own, _NONE).items()}
        return replace(call, name=own, args=_renamed(call.args, names))

    def _told_call(self, call: ToolCall) -> ToolCall:
        names = self.arguments.get(call.name, _NONE)
        return replace(call, name=self.tool(call.name), args=_renamed(call.args, names))


OWN_NAMES = ToolNames()
"""Everything under its own name."""


def _renamed(args: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    told = {names.get(name, name): _renamed_inside(value, names) for name, value in args.items()}
    # An argument given under both of its names: which one counts is not ours to say.
    return told if len(told) == len(args) else dict(args)


def _renamed_inside(value: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(value, list):
        return value
    return [_renamed(item, names) if isinstance(item, dict) else item for item in value]


def _shown_schema(schema: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    shown = dict(schema)
    if "properties" in schema:
        shown["properties"] = {
            names.get(name, name): _shown_schema(sub, names) for name, sub in schema["properties"].items()
        }
    if "required" in schema:
        shown["required"] = [names.get(name, name) for name in schema["required"]]
    if isinstance(schema.get("items"), dict):
        shown["items"] = _shown_schema(schema["items"], names)
    return shown
