"""What a node's type is called with. Called by node_step.py; what comes back passes node_border.py."""

from __future__ import annotations

from typing import Any

from ..core.messages import Message
from ..nodes.call import NodeCall
from .expressions import as_text, evaluate, render, render_text
from .own_tools import tool_name
from .schemas import data_schema
from .spec import GraphSpec, NodeSpec

State = dict[str, Any]

_PLAIN_FIELDS = frozenset({"choices", "edits", "graph", "parse", "index", "k"})
"""Fields that are never templates."""
_TEXT_FIELDS = frozenset({"prompt", "show", "message", "query"})
"""Fields that are read by a model or a person: always filled to a text."""


class NodeCalls:
    """Makes the calls of one node."""

    def __init__(self, spec: GraphSpec, node: NodeSpec) -> None:
        self._spec = spec
        self._node = node

    def call(self, path: str, visit: int, fields: dict[str, Any], item: Any, state: State) -> NodeCall:
        node = self._node
        histories = state.get("histories", {}).get(path, []) if node.history == "continue" else []
        return NodeCall(
            path=path,
            visit=visit,
            kind=node.type,
            fields=fields,
            tools=None if node.tools is None else tuple(map(tool_name, node.tools)),
            model=node.model or None,
            budget=node.budget or None,
            history=tuple(Message.from_dict(message) for message in histories),
            model_calls=node.limits.model_calls or 0,
            tokens=node.limits.tokens or 0,
            timeout_s=node.timeout_s,
            item=item if item is not None else state["input"].get("step"),
        )

    def fields(self, names: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in self._node.fields.items():
            if key == "call":
                fields[key] = tool_name(value)
            elif key in _PLAIN_FIELDS:
                fields[key] = value
            elif key == "run" and isinstance(value, dict):
                fields[key] = {"command": evaluate(value["command"], names)}
            elif key == "run":
                fields[key] = [as_text(render(word, names)) for word in value]
            elif key == "env":
                fields[key] = {name: as_text(render(word, names)) for name, word in value.items()}
            elif key in _TEXT_FIELDS:
                fields[key] = render_text(value, names)
            else:
                fields[key] = render(value, names)
        if edits := fields.get("edits"):
            fields["edit_value"] = names["state"][edits]
            edited = self._spec.state[edits]
            fields["edit_schema"] = data_schema(self._spec, edited) if edited.reduce == "replace" else None
            fields["edit_kind"] = edited.kind
        return fields
