"""What changed between two readings of a graph, as lines for a person. Called when a run is resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from .fingerprint import content
from .spec import Always, Fan, GraphSpec, Route, Switch, When, subgraphs_of

MAX_LINES = 12
"""How many changes one message shows."""
MAX_VALUE = 80
"""How many characters of a value one line shows."""

_KINDS = {
    "inputs": "input",
    "state": "state",
    "nodes": "node",
    "limits": "limit",
    "permissions": "rule",
    "code": "file",
}
_GONE = object()


def differences(name: str, before: Mapping[str, GraphSpec], now: Mapping[str, GraphSpec]) -> list[str]:
    """Return one line per change of a graph and the graphs it runs; [] when they say the same.

    Args:
        name: of the graph at the top.
        before, now: every graph of each reading, by name. A graph that `before` lacks cannot be compared.
    """
    lines: list[str] = []
    for graph in _below(name, now):
        if graph not in before:
            lines.append(f"graph {graph!r} is not among those of then")
            continue
        prefix = "" if graph == name else f"{graph}: "
        lines += [prefix + line for line in _changes(before[graph], now[graph])]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [f"... and {len(lines) - MAX_LINES} more changes"]
    return lines


def file_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return one line per file of a graph in Python that changed: where it first differs; [] when none did.

    Args:
        before: texts by key, those of other graphs may be among them. now: those of the graph itself.
    """
    return [line for name in now for line in _named("file", name, before.get(name, _GONE), now[name])]


def _below(name: str, graphs: Mapping[str, GraphSpec]) -> list[str]:
    found, waiting = list[str](), [name]
    while waiting:
        graph = waiting.pop(0)
        if graph in graphs and graph not in found:
            found.append(graph)
            waiting += subgraphs_of(graphs[graph])
    return found


def _changes(before: GraphSpec, now: GraphSpec) -> Iterator[str]:
    old, new = content(before), content(now)
    for part, kind in _KINDS.items():
        then, since = old.get(part, {}), new.get(part, {})
        for name in dict.fromkeys([*then, *since]):
            yield from _named(kind, name, then.get(name, _GONE), since.get(name, _GONE))
    yield from _named("network", "", old.get("network"), new.get("network"))
    yield from _named("output", "", _by_name(old["output"]), _by_name(new["output"]))
    for name in dict.fromkeys([*before.routes, *now.routes]):
        if (then := _way(before.routes.get(name))) != (since := _way(now.routes.get(name))):
            yield f"edge from {name!r}: {_cut(then)} -> {_cut(since)}"


def _named(kind: str, name: str, old: Any, new: Any) -> Iterator[str]:
    if old is _GONE or new is _GONE:
        yield f"{kind} {name!r} is {'new' if old is _GONE else 'gone'}"
        return
    head = f"{kind} {name!r}" if name else kind
    if isinstance(old, dict) and isinstance(new, dict):
        for key, then, since in _leaves(old, new):
            yield f"{head}, {key}: {_shown(then, since)}"
    elif old != new:
        yield f"{head}: {_shown(old, new)}"


def _by_name(output: Any) -> dict[str, Any]:
    """Return a graph's output as a map; the one expression of a graph that gives a single value stands for itself."""
    if isinstance(output, dict):
        return output
    return {} if output is None else {"all of it": output}


def _leaves(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs below two maps; `fields` holds what a node's type adds, so it is no word of the file."""
    for key in dict.fromkeys([*old, *new]):
        then, since = old.get(key, _GONE), new.get(key, _GONE)
        place = path if key == "fields" and not path else f"{path}.{key}".removeprefix(".")
        if isinstance(then, dict) and isinstance(since, dict):
            yield from _leaves(then, since, place)
        elif then != since:
            yield place, then, since


def _way(route: Route | None) -> str:
    match route:
        case None:
            return "nothing"
        case Always(target):
            return target
        case When(expr, to, otherwise):
            return f"{to} when {expr}, else {otherwise}"
        case Switch(expr, cases, default):
            ways = [f"{value}: {target}" for value, target in cases.items()]
            ways += [] if default is None else [f"default: {default}"]
            return f"by {expr} {{{', '.join(ways)}}}"
        case Fan(targets):
            return f"[{', '.join(targets)}]"


def _shown(old: Any, new: Any) -> str:
    if isinstance(old, str) and isinstance(new, str):
        pairs = list(zip_longest(old.splitlines(), new.splitlines(), fillvalue=""))
        at, (then, since) = next(
            ((number, pair) for number, pair in enumerate(pairs, 1) if pair[0] != pair[1]), (1, (old, new))
        )
        line = f"line {at}: " if len(pairs) > 1 else ""
        return line + " -> ".join(repr(part) for part in _around(then, since))
    return f"{_cut(_plain(old))} -> {_cut(_plain(new))}"


def _around(old: str, new: str) -> tuple[str, str]:
    """Return both lines, long ones from shortly before the place where they part."""
    same = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, same - MAX_VALUE // 4) if max(len(old), len(new)) > MAX_VALUE else 0
    return _piece(old, start), _piece(new, start)


def _piece(text: str, start: int) -> str:
    end = start + MAX_VALUE
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"


def _plain(value: Any) -> str:
    if value is _GONE:
        return "nothing"
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}..."
