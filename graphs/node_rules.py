"""What the commands of one node are held to. Called for `flow permissions check`; build.py does it for a run."""

from __future__ import annotations

from ..configs.rules import CommandRules
from ..core.errors import UsageError
from .faults import listed, near
from .find import Loaded
from .spec import GraphSpec


def node_rules(loaded: Loaded, node: str, held: CommandRules) -> CommandRules:
    """Return the rules with those of a graph and of one of its nodes added.

    Args:
        node: its name, or for one of a graph that a node runs the way there: "implement/code". "" = the graph's own.
        held: those of the settings.

    Raises:
        UsageError: there is no such node.
    """
    spec = loaded.spec
    held = _adding(held, spec)
    for place, name in enumerate(names := node.split("/") if node else []):
        if name not in spec.nodes:
            raise UsageError(
                f"The graph {spec.name!r} has no node {name!r}{near(name, spec.nodes)}.",
                hint=f"Its nodes: {listed(spec.nodes)}.",
            )
        rights = spec.nodes[name].rights
        held = held.adding(rights.permissions, rights.network)
        if place + 1 < len(names):
            spec = _below(loaded, spec, name)
            held = _adding(held, spec)
    return held


def _adding(held: CommandRules, spec: GraphSpec) -> CommandRules:
    return held.adding(spec.rights.permissions, spec.rights.network)


def _below(loaded: Loaded, spec: GraphSpec, name: str) -> GraphSpec:
    node = spec.nodes[name]
    if node.type != "graph":
        raise UsageError(f"The node {name!r} of the graph {spec.name!r} runs no graph, so there is no node below it.")
    return loaded.library[node.fields["graph"]]
