"""The tools of a node that stand in Python code beside the graph, `tools: [file.py:function]`."""

from __future__ import annotations

from dataclasses import replace

from ..core.errors import GraphInvalid
from ..nodes.deps import NodeDeps
from ..nodes.user_tool import user_tool
from .code import load_ref, referred
from .spec import GraphSpec, NodeSpec


def tool_name(text: str) -> str:
    """Return the name that a tool has in front of a model: of "KEY:function" the function's."""
    return text.rpartition(":")[2]


def with_own_tools(deps: NodeDeps, spec: GraphSpec, node: NodeSpec) -> NodeDeps:
    """Return deps that also have the node's own tools.

    Raises:
        GraphInvalid: one is no tool, or has the name of another one.
    """
    named = [*(node.tools or ()), *([node.fields["call"]] if node.type == "tool" else ())]
    refs = [text for text in named if ":" in text]
    if not refs:
        return deps
    specs = dict(deps.toolbox.specs)
    for ref in refs:
        code, name = referred(spec, ref)
        if name in specs:
            raise GraphInvalid(
                f"{code.shown}: there is a tool {name!r} already.", hint="Give the function another name."
            )
        specs[name] = user_tool(load_ref(spec, ref), name, code)
    return replace(deps, toolbox=replace(deps.toolbox, specs=specs))
