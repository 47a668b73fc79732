"""Checks of branches that run at once: what they write, and where they may lead. Called by flow_checks.py."""

from __future__ import annotations

from collections.abc import Iterator

from .faults import Fault, listed
from .joins import Branches, fan_outs, reach, ways
from .spec import START, GraphSpec, NodeSpec


def check_fan_outs(spec: GraphSpec) -> Iterator[Fault]:
    """Yield what is wrong with the graph's fan-outs and with items that run at once; every target must exist."""
    for fan in fan_outs(spec):
        yield from _check_ways_back(spec, fan)
        yield from _check_writes(spec, fan)
    for node in spec.nodes.values():
        if node.each is not None and node.each.parallel > 1:
            yield from _check_items(spec, node)


def _check_ways_back(spec: GraphSpec, fan: Branches) -> Iterator[Fault]:
    """Find branches that would begin once more while they, or others, still run."""
    if fan.source == START:
        return
    for target in fan.own:
        alone = reach(spec, [target], fan.met)
        if fan.source in alone:
            yield spec.fault(
                spec.route_paths[fan.source],
                f"the branch {target!r} leads back to {fan.source!r} past the other branches; lead it back from a "
                "node at which all of them meet",
            )
    if fan.source not in reach(spec, fan.met):
        return
    for target, own in fan.own.items():
        for name in spec.nodes:
            if name in own and spec.nodes[name].type != "fail" and not _meets(spec, name, fan):
                yield spec.fault(
                    ("nodes", name),
                    f"{name!r} ends the branch {target!r} of {fan.source!r} apart from the others, which may lead "
                    f"back there and begin it again; lead it to where they meet ({listed(sorted(fan.met))})",
                )


def _meets(spec: GraphSpec, name: str, fan: Branches) -> bool:
    return name in fan.met or bool(reach(spec, ways(spec, name), [fan.source]) & fan.met)


def _check_writes(spec: GraphSpec, fan: Branches) -> Iterator[Fault]:
    told: set[tuple[str, str]] = set()
    beside = [(one, other) for _, _, first, second in fan.pairs for one in first for other in second]
    ranks = {name: rank for rank, name in enumerate(spec.nodes)}
    for one, other in sorted(beside, key=lambda pair: [ranks[name] for name in pair]):
        for key in _clashes(spec, spec.nodes[one], spec.nodes[other]):
            if (other, key) not in told:
                told.add((other, key))
                yield _clash(spec, spec.nodes[other], key, f"{one!r}, which may run at the same time, writes")


def _clashes(spec: GraphSpec, one: NodeSpec, other: NodeSpec) -> list[str]:
    """Return the state keys that both nodes write and that cannot take two values at once."""
    first, second = written_keys(one), written_keys(other)
    return [
        key
        for key in first
        if key in second
        and key in spec.state
        and (spec.state[key].reduce == "replace" or key in (one.fields.get("edits"), other.fields.get("edits")))
    ]


def written_keys(node: NodeSpec) -> dict[str, tuple[str, ...]]:
    """Return the state keys that a node may write, each with the place in the node that says so."""
    found: dict[str, tuple[str, ...]] = {}
    if node.output.to:
        found[node.output.to] = ("output", "to")
    if node.fields.get("edits"):
        found[node.fields["edits"]] = ("edits",)
    if node.type == "set":
        found.update({key: ("value", key) for key in node.fields["value"]})
    return found


def _check_items(spec: GraphSpec, node: NodeSpec) -> Iterator[Fault]:
    for key in written_keys(node):
        if key not in spec.state or key == node.output.to:
            continue
        if spec.state[key].reduce == "replace" or key == node.fields.get("edits"):
            yield _clash(spec, node, key, "its items, which run at the same time, write")


def _clash(spec: GraphSpec, node: NodeSpec, key: str, who: str) -> Fault:
    advice = "give it 'reduce: append', or keys of their own"
    if key == node.fields.get("edits"):
        advice = "a person's edit takes the place of all it holds, so nothing else may write it then"
    return spec.fault(("nodes", node.name, *written_keys(node)[key]), f"{who} state {key!r} as well; {advice}")
