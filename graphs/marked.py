"""What Python code marks as a node, a tool or a filter of flow, looked at without running it."""

from __future__ import annotations

import ast

KINDS = ("node", "tool", "filter")
_PACKAGE = "flowloom"

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def marked(module: ast.Module) -> dict[str, str]:
    """Return the functions that a module marks itself, each with its kind."""
    known = _words(module)
    found: dict[str, str] = {}
    for each in module.body:
        if isinstance(each, _Function):
            kinds = [kind for decorator in each.decorator_list if (kind := known.get(_word(decorator), ""))]
            if kinds:
                found[each.name] = kinds[0]
    return found


def takes_what_it_says(module: ast.Module, function: _Function) -> bool:
    """Return whether a function takes its own parameters: nothing stands above it but marks, which change nothing."""
    known = _words(module)
    return all(_word(decorator) in known for decorator in function.decorator_list)


def _words(module: ast.Module) -> dict[str, str]:
    """Return the words that mark a function in a module, each with its kind."""
    words: dict[str, str] = {}
    for each in module.body:
        if isinstance(each, ast.ImportFrom) and each.module == _PACKAGE and not each.level:
            words |= {alias.asname or alias.name: alias.name for alias in each.names if alias.name in KINDS}
        elif isinstance(each, ast.Import):
            for alias in each.names:
                if alias.name == _PACKAGE:
                    words |= {f"{alias.asname or alias.name}.{kind}": kind for kind in KINDS}
    return words


def _word(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called) if isinstance(called, (ast.Name, ast.Attribute)) else ""
