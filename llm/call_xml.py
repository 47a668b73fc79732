"""Calls between named tags: <function=bash><parameter=command>, <invoke name="bash">, <bash><command>, <arg_key>."""

from __future__ import annotations

import re

from ..core.call_args import renamed
from .call_block import Block, broken
from .call_json import BrokenCall, read_object, read_value, skip_space
from .call_shapes import RawCall, Tools

_NS = r"(?:[a-z]+:)?"
_OPEN = re.compile(
    rf"<function=[\"']?(?P<equal>[\w.:/-]+)[\"']?\s*>|<function\s+name=[\"'](?P<named>[\w.:/-]+)[\"']\s*>"
    rf"|<{_NS}invoke\s+name=[\"'](?P<invoke>[\w.:/-]+)[\"']\s*(?P<empty>/?)>"
)
_PARAMETER = re.compile(
    rf"\s*<(?:{_NS}parameter|param|arg)(?:=|\s+name=)[\"']?(?P<name>[\w.-]+)[\"']?[^>\n]*>", re.DOTALL
)
_PARAMETER_END = re.compile(rf"</(?:{_NS}parameter|param|arg)>")
_FUNCTION_END = re.compile(rf"</(?:function|{_NS}invoke)>|</tool_call>")
_STRUCTURE = re.compile(rf"\s*(?:<(?:{_NS}parameter|param|arg)[=\s]|</(?:function|{_NS}invoke|tool_call)>)")
_ARG_PAIR = re.compile(r"\s*<arg_key>([\w.-]+)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)

_CUT = "it ends before it is complete"
_UNCLEAR = "a closing tag inside a value leaves open where the value ends"


def marked_call(text: str, start: int, tools: Tools) -> Block | None:
    """Return the call of a <function=...> or <invoke name="..."> at a place; None = there is none."""
    opened = _OPEN.match(text, start)
    if opened is None:
        return None
    form = "invoke" if opened["invoke"] else "function"
    name = opened["invoke"] or opened["equal"] or opened["named"]
    if opened["empty"]:
        return Block(form, opened.end(), (RawCall(name),))
    try:
        args, end = _body(text, opened.end())
    except BrokenCall as err:
        return broken(form, text, f"the call of {name!r} cannot be used: {err}")
    return Block(form, end, (RawCall(name, args),))


def tool_named_call(text: str, start: int, tools: Tools) -> Block | None:
    """Return the call of an element that has a tool's exact name; None = there is none."""
    opened = re.compile(rf"<({'|'.join(map(re.escape, tools))})>").match(text, start) if tools else None
    if opened is None:
        return None
    name = opened[1]
    end = text.find(f"</{name}>", opened.end())
    if end < 0:
        return broken("xml", text, f"the call of {name!r} cannot be used: {_CUT}", sure=False)
    after = end + len(name) + 3
    try:
        body = text[opened.end() : end]
        bare = body.strip()
        args = read_object(body) if bare.startswith("{") or not bare else _children(body, name, tools)
    except BrokenCall as err:
        return Block("xml", after, fault=f"the call of {name!r} cannot be used: {err}", sure=False)
    return None if args is None else Block("xml", after, (RawCall(name, args),), sure=False)


def arg_pairs(text: str, start: int, end: int) -> dict[str, str] | None:
    """Return the <arg_key>, <arg_value> pairs that fill a piece of the text; None = it holds anything else."""
    args: dict[str, str] = {}
    while found := _ARG_PAIR.match(text, start, end):
        if found[1] in args:
            return None
        args[found[1]] = found[2]
        start = found.end()
    return None if text[start:end].strip() else args


def _body(text: str, start: int) -> tuple[dict[str, object], int]:
    if text[start:].lstrip().startswith("{"):
        return _json_body(text, start)
    args: dict[str, object] = {}
    while opened := _PARAMETER.match(text, start):
        value, start = _value(text, opened.end())
        if args.setdefault(opened["name"], value) is not value:
            raise BrokenCall(f"the argument {opened['name']!r} is given twice")
    closed = _FUNCTION_END.match(text, start + len(text[start:]) - len(text[start:].lstrip()))
    if closed is None:
        raise BrokenCall(_CUT if not _FUNCTION_END.search(text, start) else "it holds more than parameters")
    # Closing tags that nothing opened: a value held such tags itself, and ended too early.
    rest = text[closed.end() :]
    left, opens = _PARAMETER_END.search(rest), _PARAMETER.search(rest)
    if left is not None and (opens is None or left.start() < opens.start()):
        raise BrokenCall(_UNCLEAR)
    return args, closed.end()


def _json_body(text: str, start: int) -> tuple[dict[str, object], int]:
    value, end = read_value(text, skip_space(text, start))
    if not isinstance(value, dict):
        raise BrokenCall("its arguments must be one JSON object")
    closed = _FUNCTION_END.match(text, skip_space(text, end))
    return value, closed.end() if closed else end


def _value(text: str, start: int) -> tuple[str, int]:
    """Return a parameter's text and where it ends; one line end belongs to each tag, the rest is the value's."""
    for found in _PARAMETER_END.finditer(text, start):
        if _STRUCTURE.match(text, found.end()):
            value = text[start : found.start()]
            if _FUNCTION_END.search(value) or _PARAMETER.search(value):
                raise BrokenCall(_UNCLEAR)  # a tag of this value is missing, or the value holds such tags
            return _unwrapped(value), found.end()
    closed = _FUNCTION_END.search(text, start)
    if closed is None:
        raise BrokenCall(_CUT)
    value = text[start : closed.start()]
    if _PARAMETER.search(value) or _PARAMETER_END.search(value):
        raise BrokenCall(_UNCLEAR)
    return _unwrapped(value), closed.start()


def _unwrapped(value: str) -> str:
    value = value.removeprefix("\r\n").removeprefix("\n")
    return value.removesuffix("\n").removesuffix("\r")


def _children(body: str, name: str, tools: Tools) -> dict[str, object] | None:
    """Return the arguments of an element's children; None = they are not this tool's arguments."""
    args: dict[str, object] = {}
    place = 0
    while opened := re.compile(r"\s*<([\w-]+)>").match(body, place):
        key = opened[1]
        close = f"</{key}>"
        end = body.find(close, opened.end())
        if end < 0 or body.count(close, end + 1):
            raise BrokenCall(_UNCLEAR if end >= 0 else f"<{key}> is not closed")
        args[key] = _unwrapped(body[opened.end() : end])
        place = end + len(close)
    known = tools[name].parameters.get("properties") or {}
    whole = not body[place:].strip() and all(key in known for key in renamed(args, tools[name].parameters))
    return args if whole else None
