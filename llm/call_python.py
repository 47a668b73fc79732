"""Calls written as Python: `read_file(path="a.py")`, alone, in a list, printed or assigned. Nothing is ever run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .call_json import BrokenCall, literal, parse_python
from .call_shapes import RawCall

_PREFIXES = ("functions", "tools", "default_api", "tool_code")


def python_calls(text: str) -> tuple[RawCall, ...]:
    """Return the calls of a text that is nothing but calls, in their order.

    Raises:
        BrokenCall: it is no Python, or holds anything else than calls with plain values.
    """
    calls = tuple(call for statement in parse_python(text.strip(), "exec").body for call in _of(statement))
    if not calls:
        raise BrokenCall("it holds no call")
    return calls


def _of(statement: ast.stmt) -> Iterator[RawCall]:
    match statement:
        case ast.Assign(targets=[ast.Name()], value=ast.Call() as node):
            yield _call(node)
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[ast.Name()], keywords=[])):
            return  # print(tool_code), after the call was assigned to it
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[ast.Call() as node], keywords=[])):
            yield _call(node)
        case ast.Expr(value=ast.Call() as node):
            yield _call(node)
        case ast.Expr(value=ast.List(elts=nodes) | ast.Tuple(elts=nodes)):
            for item in nodes:
                if not isinstance(item, ast.Call):
                    raise BrokenCall("it holds more than calls")
                yield _call(item)
        case _:
            raise BrokenCall("it holds more than calls")


def _call(node: ast.Call) -> RawCall:
    args: dict[str, object] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise BrokenCall("its arguments must be plain values, not code")
        if keyword.arg in args:
            raise BrokenCall(f"the argument {keyword.arg!r} is given twice")
        args[keyword.arg] = literal(keyword.value)
    return RawCall(_name(node.func), args, tuple(map(literal, node.args)))


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=name), attr="call"):
            return name  # brave_search.call(...), as Llama writes its built-in tools
        case ast.Attribute(value=ast.Name(id=prefix), attr=name):
            return name if prefix in _PREFIXES else f"{prefix}.{name}"
    raise BrokenCall("it holds more than calls")
