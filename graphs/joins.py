"""Where branches that run at once meet again: which nodes wait for others, and for which, told by the ways alone.

A node that several branches of one fan-out lead to is a join. It runs once nothing that is under way can still lead
to it, so it never waits for a branch that was not taken, or that ended elsewhere. Called by fan_checks.py and
routing.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from .spec import END, Fan, GraphSpec, route_targets


@dataclass(frozen=True, slots=True)
class Branches:
    """One fan-out.

    Attributes:
        source: the node that it begins at, or START.
        own: by target of the fan-out, the nodes that it alone leads to; they run beside those of the others.
        met: nodes that every branch may lead to.
        joins: nodes at which two branches or more meet.
        pairs: (a target, another one, what the first leads to but not the second, the other way round).
    """

    source: str
    own: Mapping[str, frozenset[str]]
    met: frozenset[str]
    joins: frozenset[str]
    pairs: tuple[tuple[str, str, frozenset[str], frozenset[str]], ...]


def ways(spec: GraphSpec, name: str) -> list[str]:
    """Return every node (or END) that may follow: by its edges, at its limit, after an error."""
    found = route_targets(spec.routes[name]) if name in spec.routes else []
    node = spec.nodes.get(name)
    extra = [] if node is None else [node.on_limit, "" if node.on_error in ("fail", "pause") else node.on_error]
    return [target for target in dict.fromkeys([*found, *extra]) if target]


def has_branches(spec: GraphSpec) -> bool:
    """Return whether nodes of the graph may run at once."""
    return any(isinstance(route, Fan) for route in spec.routes.values())


def runs_at_once(spec: GraphSpec) -> bool:
    """Return whether nodes of the graph, or items of one, may run at once."""
    return has_branches(spec) or any(node.each is not None and node.each.parallel > 1 for node in spec.nodes.values())


def reach(spec: GraphSpec, starts: Iterable[str], without: Iterable[str] = ()) -> frozenset[str]:
    """Return the nodes that can be reached from the starts, themselves among them, on ways past none of `without`."""
    shut = {*without, END}
    seen = set(starts) - shut
    waiting = list(seen)
    while waiting:
        for target in ways(spec, waiting.pop()):
            if target not in seen and target not in shut:
                seen.add(target)
                waiting.append(target)
    return frozenset(seen)


def fan_outs(spec: GraphSpec) -> list[Branches]:
    """Return every fan-out of the graph, in the order of the file; every target must exist."""
    return [_branches(spec, source, route.targets) for source, route in spec.routes.items() if isinstance(route, Fan)]


def _branches(spec: GraphSpec, source: str, targets: tuple[str, ...]) -> Branches:
    reached = {target: reach(spec, [target], [source]) for target in targets}
    pairs, joins = [], set[str]()
    for one, other in combinations(targets, 2):
        shared = reached[one] & reached[other]
        alone = reach(spec, [one], [source, *shared]), reach(spec, [other], [source, *shared])
        pairs.append((one, other, *alone))
        entered = {target for name in alone[0] | alone[1] for target in ways(spec, name)}
        joins |= shared & (entered | {one, other})
    met = frozenset.intersection(*reached.values())
    own = {target: reach(spec, [target], [source, *joins]) for target in targets}
    return Branches(source, own, met, frozenset(joins), tuple(pairs))


def awaited(spec: GraphSpec) -> dict[str, frozenset[str]]:
    """Return by join, in the order of the file's nodes, the nodes that may still lead to it; {} without a fan-out."""
    found: dict[str, set[str]] = {}
    for fan in fan_outs(spec):
        for join in fan.joins:
            before = reach(spec, route_targets(spec.routes[fan.source]), [fan.source, join])
            leading = {name for name in before if join in reach(spec, ways(spec, name), [fan.source])}
            found.setdefault(join, set()).update(leading)
    return {name: frozenset(found[name]) for name in spec.nodes if name in found}
