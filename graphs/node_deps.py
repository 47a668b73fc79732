"""What a node is given, held to what its file says of it: rules, questions, and whether it may change anything."""

from __future__ import annotations

from dataclasses import replace

from ..nodes.deps import NodeDeps
from ..tools.reading_effects import ReadingEffects
from .own_tools import with_own_tools
from .spec import GraphSpec, NodeSpec, Rights


def held_to(deps: NodeDeps, rights: Rights) -> NodeDeps:
    """Return deps whose commands are held to these rules too."""
    if rights == Rights():
        return deps
    effects = deps.toolbox.effects.within(rights.permissions, rights.network)
    return replace(deps, toolbox=replace(deps.toolbox, effects=effects))


def deps_of(deps: NodeDeps, spec: GraphSpec, node: NodeSpec) -> NodeDeps:
    """Return the deps of one node of a graph, and of the graph that it runs.

    Raises:
        GraphInvalid: a tool of its own cannot be used.
    """
    deps = with_own_tools(held_to(deps, node.rights), spec, node)
    toolbox = deps.toolbox
    if node.approve == "tools":
        toolbox = replace(toolbox, effects=toolbox.effects.asking())
    if node.workspace == "readonly" and not toolbox.reads_only:
        effects = ReadingEffects(toolbox.effects, toolbox.workspace)
        toolbox = replace(toolbox, effects=effects, reads_only=True)
    return deps if toolbox is deps.toolbox else replace(deps, toolbox=toolbox)
