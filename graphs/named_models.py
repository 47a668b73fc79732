"""The models that the code of a graph names, `chat_model("llama3.1:8b")`, looked at and not run.

So a run finds out that one is missing before it begins. Called by app/run.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .spec import GraphSpec

_MAKES = "chat_model"


def named_models(spec: GraphSpec) -> list[str]:
    """Return the roles and exact tags that are written out in the Python files of a graph, in their order."""
    files = (file for file in spec.beside.values() if file.is_code and _MAKES in file.text)
    return list(dict.fromkeys(name for file in files for name in _named(file.text)))


def _named(text: str) -> Iterator[str]:
    for each in ast.walk(ast.parse(text)):
        if isinstance(each, ast.Call) and _MAKES in (getattr(each.func, "id", ""), getattr(each.func, "attr", "")):
            given = [*each.args[:1], *(word.value for word in each.keywords if word.arg == "role")]
            yield from (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str))
