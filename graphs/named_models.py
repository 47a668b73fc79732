"""The models that a graph asks, and that its code names, `chat_model("llama3.1:8b")`, looked at and not run.

So a run finds out that one is missing before it begins, and one that asks none needs no server. Called by app/run.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .spec import MODEL_NODES, GraphSpec

_MAKES = "chat_model"
_SPAWNS = "spawn_agent"


def asks_models(spec: GraphSpec) -> bool:
    """Return whether nodes of this graph ask a model: agents, or code that says so. Graphs below it are left out.

    False does not mean that none is asked: code may come to a model by a package that it imports.
    """
    if any(node.type in MODEL_NODES or node.fields.get("call") == _SPAWNS for node in spec.nodes.values()):
        return True
    return any(_MAKES in file.text and _says_model(file.text) for file in spec.beside.values() if file.is_code)


def named_models(spec: GraphSpec) -> list[str]:
    """Return the roles and exact tags that are written out in the Python files of a graph, in their order."""
    files = (file for file in spec.beside.values() if file.is_code and _MAKES in file.text)
    return list(dict.fromkeys(name for file in files for name in _named(file.text)))


def _named(text: str) -> Iterator[str]:
    for each in _nodes_of(text):
        if isinstance(each, ast.Call) and _MAKES in (getattr(each.func, "id", ""), getattr(each.func, "attr", "")):
            given = [*each.args[:1], *(word.value for word in each.keywords if word.arg == "role")]
            yield from (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _says_model(text: str) -> bool:
    for each in _nodes_of(text):
        if _MAKES in (getattr(each, "id", ""), getattr(each, "attr", "")):
            return True
        if isinstance(each, ast.alias) and each.name == _MAKES:
            return True
    return False


def _nodes_of(text: str) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # told where the code is checked or run
