"""Checks of the ways through a graph: targets, dead ends, unreachable nodes, cycles. Called by validate.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .fan_checks import check_fan_outs
from .faults import Fault, near
from .fields import Path
from .joins import ways
from .spec import END, START, Always, Fan, GraphSpec, NodeSpec, Switch, When, route_targets


def check_flow(spec: GraphSpec) -> Iterator[Fault]:
    """Yield the faults of the graph's ways; the later checks wait until every target exists."""
    broken = [*check_names(spec), *_check_missing(spec)]
    if broken:
        yield from broken
        return
    yield from _check_reach(spec)
    yield from _check_cycles(spec)
    yield from check_fan_outs(spec)


def check_names(spec: GraphSpec) -> Iterator[Fault]:
    """Yield the names in edges, `on_limit` and `on_error` that no node has."""
    names = [*spec.nodes, END]
    for source, path in spec.route_paths.items():
        if source != START and source not in spec.nodes:
            yield spec.fault(_source_path(spec, path), f"unknown node {source!r}{near(source, spec.nodes)}")
        for target, place in _targets(spec, source):
            if target == START:
                yield spec.fault(place, "nothing can lead to START")
            elif target and target not in names:
                yield spec.fault(place, f"unknown node {target!r}{near(target, names)}")
    for node in spec.nodes.values():
        for key, target in (("on_limit", node.on_limit), ("on_error", node.on_error)):
            if target and target not in spec.nodes and target not in ("fail", "pause"):
                hint = " (END is no node; lead there by a `set` node)" if target == END else near(target, spec.nodes)
                yield spec.fault(("nodes", node.name, key), f"{key!r} names the unknown node {target!r}{hint}")


def _source_path(spec: GraphSpec, path: Path) -> Path:
    return (*path, "from") if (*path, "from") in spec.positions else path


def _targets(spec: GraphSpec, source: str) -> Iterator[tuple[str, Path]]:
    """Yield each target of a node's route with its place."""
    path = spec.route_paths[source]
    match spec.routes[source]:
        case Always() | Fan() as route:
            following = (*path[:-1], int(path[-1]) + 1)
            for index, target in enumerate(route_targets(route)):
                branch = (*following, index)
                yield target, branch if branch in spec.positions else following
        case When(_, to, otherwise):
            yield to, (*path, "to")
            yield otherwise, (*path, "else")
        case Switch(_, cases, default):
            for value, target in cases.items():
                yield target, (*path, "cases", value)
            if default is not None:
                yield default, (*path, "default")


def _check_missing(spec: GraphSpec) -> Iterator[Fault]:
    if START not in spec.routes:
        yield spec.fault(("edges",), "no edge begins at START; begin a chain with it: [START, first-node]")
    mistyped = [source for source in spec.routes if source not in (START, *spec.nodes)]
    for node in spec.nodes.values():
        if node.type == "fail" and node.name in spec.routes:
            place = _source_path(spec, spec.route_paths[node.name])
            yield spec.fault(place, f"{node.name!r} is a fail node: the run ends there, nothing can follow it")
        elif node.type == "fail" or node.name in spec.routes:
            continue
        elif not any(near(source, [node.name]) for source in mistyped):
            yield spec.fault(("nodes", node.name), f"no edge leads on from {node.name!r}; add [{node.name}, END]")


def _check_reach(spec: GraphSpec) -> Iterator[Fault]:
    reached = closure([START], lambda name: ways(spec, name))
    for name in spec.nodes:
        if name not in reached:
            yield spec.fault(("nodes", name), f"node {name!r} cannot be reached from START")
    back: dict[str, list[str]] = {}
    for name in spec.nodes:
        for target in ways(spec, name):
            back.setdefault(target, []).append(name)
    ends = [END, *(node.name for node in spec.nodes.values() if node.type == "fail")]
    leaving = closure(ends, lambda name: back.get(name, []))
    for name in spec.nodes:
        if name in reached and name not in leaving:
            yield spec.fault(("nodes", name), f"no way leads from {name!r} to END or to a fail node")
    if END not in reached and reached & set(ends):
        yield spec.fault(("edges",), "no way leads from START to END, so the graph can only fail")


def closure(starts: Iterable[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    """Return everything that can be reached from the starts, themselves included."""
    seen = set(starts)
    waiting = list(seen)
    while waiting:
        for target in following(waiting.pop()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def _check_cycles(spec: GraphSpec) -> Iterator[Fault]:
    """Find cycles among the ways that stay open when every limit is used up and nobody answers."""
    told: set[str] = set()
    for name in spec.nodes:
        cycle = _cycle(name, lambda node: _unbounded(spec, node))
        if cycle and not told & set(cycle):
            told |= set(cycle)
            yield spec.fault(
                ("nodes", name),
                f"the cycle {' -> '.join([*cycle, name])} has no bound: give one of its nodes max_visits and "
                "on_limit, or let the headless answer of a human node leave it",
            )


def _unbounded(spec: GraphSpec, name: str) -> list[str]:
    node = spec.nodes.get(name)
    if node is None:
        return []
    if node.max_visits is not None and node.on_limit:
        return [node.on_limit]
    if (left := _unattended(spec, node)) is not None:
        return left
    return ways(spec, name)


def _unattended(spec: GraphSpec, node: NodeSpec) -> list[str] | None:
    """Return where a human node leads when nobody is there; None when that cannot be told."""
    route = spec.routes.get(node.name)
    headless = node.fields.get("headless")
    if node.type != "human" or headless is None or not isinstance(route, Switch) or route.expr != "output.choice":
        return None
    answers = [headless, *([node.skipped] if node.condition is not None and node.has_skipped else [])]
    targets = [route.cases.get(str(answer), route.default) for answer in answers]
    return [target for target in targets if target is not None]


def _cycle(start: str, following: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the shortest way from a node back to itself, without the return; [] when there is none."""
    before: dict[str, str] = {}
    waiting = [start]
    for name in waiting:
        for target in following(name):
            if target == start:
                return _way_back(before, name, start)
            if target not in before:
                before[target] = name
                waiting.append(target)
    return []


def _way_back(before: dict[str, str], name: str, start: str) -> list[str]:
    way = [name]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]
