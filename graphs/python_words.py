"""What a Python file says of its graphs without being run: their names, and the fields of their inputs.

Called by cli/completing.py at every press of Tab. It reads what stands in the file itself; what other code makes of
it is not known here, and what a run takes is told by python_graph.py, which runs the file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_AGENTS = frozenset({"create_agent", "create_react_agent", "create_deep_agent"})
"""Functions that return a graph whose input is a conversation."""
_CONVERSATION = "messages"
_DEPTH = 10
"""Names that are followed one after the other, classes that stand above each other."""


@dataclass(frozen=True, slots=True)
class _File:
    """A module: what its names were given last, and its classes."""

    values: Mapping[str, ast.expr]
    classes: Mapping[str, ast.ClassDef]


def graph_names(text: str) -> list[str]:
    """Return the names that stand for graphs, in the order of the file; [] = there are none, or it is no Python."""
    file = _read(text)
    return [name for name, value in file.values.items() if not name.startswith("_") and _schema(file, value)]


def graph_inputs(text: str, name: str) -> dict[str, dict[str, str]]:
    """Return the inputs of the graph of that name, each {type, description} as a graph file declares it.

    `type` is "bool" or ""; {} = nothing is known of it.
    """
    file = _read(text)
    schema = _schema(file, file.values[name]) if name in file.values else ""
    return dict(_fields(file, schema))


def _read(text: str) -> _File:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        body = []
    values: dict[str, ast.expr] = {}
    for each in body:
        if isinstance(each, ast.Assign):
            values |= {target.id: each.value for target in each.targets if isinstance(target, ast.Name)}
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value is not None:
            values[each.target.id] = each.value
    return _File(values, {each.name: each for each in body if isinstance(each, ast.ClassDef)})


def _schema(file: _File, value: ast.expr, depth: int = 0) -> str:
    """Return the name of a graph's input schema; "" = the value is no graph, or it cannot be told."""
    if depth > _DEPTH:
        return ""
    match value:
        case ast.Name(name) if name in file.values:
            return _schema(file, file.values[name], depth + 1)
        case ast.Call(ast.Attribute(inner, "compile" | "with_config")):
            return _schema(file, inner, depth + 1)
        case ast.Call(called) if _name(called) == "StateGraph":
            given = {word.arg: word.value for word in value.keywords}
            first = value.args[0] if value.args else given.get("state_schema")
            return _name(given.get("input_schema", first))
        case ast.Call(called) if _name(called) in _AGENTS:
            return "MessagesState"
        case _:
            return ""


def _name(value: ast.expr | None) -> str:
    """Return the last name of `a.b.Name` or `Name[...]`; "" = it is something else."""
    match value:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
        case ast.Subscript(inner):
            return _name(inner)
        case _:
            return ""


def _fields(file: _File, schema: str, depth: int = 0) -> Iterator[tuple[str, dict[str, str]]]:
    found = file.classes.get(schema)
    if found is None or depth > _DEPTH:
        if schema == "MessagesState":
            yield _CONVERSATION, {"type": "", "description": ""}
        return
    for base in found.bases:
        yield from _fields(file, _name(base), depth + 1)
    for each in found.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield each.target.id, _field(each.annotation)


def _field(hint: ast.expr) -> dict[str, str]:
    notes: list[ast.expr] = []
    while isinstance(hint, ast.Subscript) and _name(hint) in ("Annotated", "Required", "NotRequired", "ReadOnly"):
        parts = hint.slice.elts if isinstance(hint.slice, ast.Tuple) else [hint.slice]
        hint, notes = parts[0], [*notes, *parts[1:]]
    texts = (each.value for each in notes if isinstance(each, ast.Constant) and isinstance(each.value, str))
    return {"type": "bool" if _name(hint) == "bool" else "", "description": next(texts, "")}
