"""What a drawing of a graph shows: a box for each node, an arrow for each way on. Drawn by draw_*.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .spec import END, START, GraphSpec, NodeSpec, Switch, When, route_targets

ArrowKind = Literal["edge", "limit", "error"]
"""An edge of the file, the way at the end of `max_visits`, or the way after an error."""


@dataclass(frozen=True, slots=True)
class Box:
    """One node, or START and END (their `type` is ""). `note` is one short line about it; "" = none."""

    name: str
    type: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One way from a box to another, or back to itself. `label` tells when it is taken; "" = always."""

    source: str
    target: str
    label: str = ""
    kind: ArrowKind = "edge"


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph to draw. The boxes stand in the order of the file between START and END; arrows join boxes."""

    name: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def picture_of(spec: GraphSpec) -> Picture:
    """Return what a drawing of a checked graph shows. Two ways with the same ends and kind are one arrow."""
    boxes = [Box(START, ""), *map(_box, spec.nodes.values()), Box(END, "")]
    joined: dict[tuple[str, str, ArrowKind], list[str]] = {}
    for arrow in _arrows(spec):
        joined.setdefault((arrow.source, arrow.target, arrow.kind), []).append(arrow.label)
    arrows = (
        Arrow(source, target, ", ".join(dict.fromkeys(filter(None, labels))), kind)
        for (source, target, kind), labels in joined.items()
    )
    return Picture(spec.name, tuple(boxes), tuple(arrows))


def _box(node: NodeSpec) -> Box:
    facts = [node.type if node.type != "graph" else f"graph {node.fields['graph']}"]
    if node.each is not None:
        facts.append("each item" if node.each.parallel == 1 else f"each item, {node.each.parallel} at once")
    if node.condition is not None:
        facts.append("optional")
    if node.max_visits is not None:
        facts.append(f"max {node.max_visits}")
    return Box(node.name, node.type, ", ".join(facts))


def _arrows(spec: GraphSpec) -> Iterator[Arrow]:
    for source in (START, *spec.nodes):
        if source in spec.routes:
            yield from _route_arrows(spec, source)
        node = spec.nodes.get(source)
        if node is not None and node.on_limit:
            yield Arrow(source, node.on_limit, "at its limit", "limit")
        if node is not None and node.on_error in spec.nodes:
            yield Arrow(source, node.on_error, "on an error", "error")


def _route_arrows(spec: GraphSpec, source: str) -> Iterator[Arrow]:
    match spec.routes[source]:
        case When(expr, to, otherwise):
            yield Arrow(source, to, str(expr))
            yield Arrow(source, otherwise, "else")
        case Switch(expr, cases, default):
            for value, target in cases.items():
                # A graph written in Python decides in its code; where no values are known its ways go by their ends.
                yield Arrow(source, target, value if expr or value != target else "")
            if default is not None:
                yield Arrow(source, default, "default")
        case route:
            for target in route_targets(route):
                yield Arrow(source, target)
