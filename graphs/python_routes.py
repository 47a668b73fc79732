"""The ways of a graph written in Python, for drawing it and telling of it; LangGraph itself decides where a run goes.

LangGraph's own drawing leaves out a way that no `path_map`, return type or `destinations` declares, and every node
behind it. Here the names of nodes count that stand in the code of the function that chooses.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any

from .spec import END, START, Always, Expr, Fan, Route, Switch

_NAMES = {"__start__": START, "__end__": END}


def routes_of(builder: Any) -> Iterator[tuple[str, Route]]:
    """Yield the ways on from START and from each node of a StateGraph, in the order of its nodes."""
    for source in ("__start__", *builder.nodes):
        chosen = dict(_chosen(builder, source))
        plain = _in_order(builder, [*_plain(builder, source)])
        name = _NAMES.get(source, source)
        if chosen:
            yield name, Switch(Expr(""), {**{target: target for target in plain}, **chosen})
        elif len(plain) > 1:
            yield name, Fan(tuple(plain))
        elif plain or source in builder.nodes:
            # A node that nothing leads on from ends its branch.
            yield name, Always(plain[0] if plain else END)


def _plain(builder: Any, source: str) -> Iterator[str]:
    yield from (target for start, target in builder.edges if start == source)
    yield from (target for starts, target in builder.waiting_edges if source in starts)


def _chosen(builder: Any, source: str) -> Iterator[tuple[str, str]]:
    """Yield what is chosen from when a node is left: labels, each with its target."""
    for branch in builder.branches.get(source, {}).values():
        if branch.ends is not None:
            ends = ((str(label), target) for label, target in branch.ends.items())
            yield from ((_NAMES.get(label, label), _NAMES.get(target, target)) for label, target in ends)
        else:
            mentioned = _mentioned(builder, branch.path) or [*builder.nodes, "__end__"]
            yield from ((target, target) for target in _in_order(builder, mentioned))
    node = builder.nodes.get(source)
    if node is None:
        return
    if node.ends:
        yield from ((target, target) for target in _in_order(builder, list(node.ends)))
    elif any("goto" in each for code in _codes(node.runnable) for each in code.co_consts if isinstance(each, tuple)):
        yield from ((target, target) for target in _in_order(builder, _mentioned(builder, node.runnable)))


def _in_order(builder: Any, names: list[str]) -> list[str]:
    """Return targets in the order of the nodes, each once; the builder keeps some of them in a set."""
    return [_NAMES.get(each, each) for each in (*builder.nodes, "__end__") if each in names]


def _mentioned(builder: Any, runnable: Any) -> list[str]:
    """Return the nodes, and the end, that the code of a function names."""
    known = {*builder.nodes, "__end__"}
    found: list[str] = []
    for code in _codes(runnable):
        values = [value for each in code.co_consts for value in (each if isinstance(each, tuple) else (each,))]
        found += [value for value in values if isinstance(value, str) and value in known]
        found += ["__end__"] if "END" in code.co_names else []
    return found


def _codes(runnable: Any) -> Iterator[CodeType]:
    """Yield the code of the function that a runnable calls, and of those in it."""
    functions = (getattr(runnable, "func", None), getattr(runnable, "afunc", None))
    waiting = [code for each in functions if isinstance(code := getattr(each, "__code__", None), CodeType)]
    while waiting:
        code = waiting.pop()
        yield code
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
