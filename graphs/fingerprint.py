"""What counts of a graph, and its hash: two graphs of one fingerprint run alike. Used when a run is resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from .beside import Beside
from .spec import GraphSpec, NodeSpec, Rights, subgraphs_of

FINGERPRINT_VERSION = 1

# What counts of a node even where it says nothing. Any other word counts where it says something, so that a graph
# that does without it keeps the fingerprint it always had.
_ALWAYS_TOLD = frozenset(
    {"name", "type", "model", "tools", "budget", "history", "output", "limits", "max_visits", "on_limit"}
    | {"timeout_s", "each", "condition", "skipped", "has_skipped", "on_error", "fields"}
)


def fingerprint(spec: GraphSpec, library: Mapping[str, GraphSpec]) -> str:
    """Return the SHA-256 hex of what the graph and the graphs below it say.

    Comments, layout, descriptions, the order of keys and the spelling of edges do not change it. A subgraph that is
    not in the library counts by its name alone.
    """
    found: dict[str, Any] = {}
    waiting = [spec]
    while waiting:
        graph = waiting.pop()
        if graph.name in found:
            continue
        found[graph.name] = content(graph)
        waiting.extend(library[name] for name in subgraphs_of(graph) if name in library)
    text = json.dumps([FINGERPRINT_VERSION, spec.name, found], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def content(spec: GraphSpec) -> dict[str, Any]:
    """Return what counts of one graph, as plain data; two graphs with the same content run alike."""
    inputs = {name: asdict(value) for name, value in spec.inputs.items()}
    for value in inputs.values():
        del value["description"]
    return {
        "inputs": inputs,
        "state": {name: asdict(value) for name, value in spec.state.items()},
        "output": spec.output,
        "limits": asdict(spec.limits),
        "nodes": {name: _node_content(value) for name, value in spec.nodes.items()},
        "routes": {name: [type(route).__name__, asdict(route)] for name, route in spec.routes.items()},
        **_rights_content(spec.rights),
        **_code_content(spec.beside),
        **({"python": spec.code} if spec.code else {}),
        **({"filters": dict(spec.filters)} if spec.filters else {}),
    }


def _node_content(node: NodeSpec) -> dict[str, Any]:
    said = asdict(node)
    del said["rights"]
    unsaid = {each.name for each in fields(NodeSpec) if getattr(node, each.name) == each.default} - _ALWAYS_TOLD
    return {**{name: value for name, value in said.items() if name not in unsaid}, **_rights_content(node.rights)}


def _code_content(beside: Mapping[str, Beside]) -> dict[str, Any]:
    """Return the Python code that the graph runs; prompts and presets count in the nodes that they are a part of."""
    code = {key: file.text for key, file in beside.items() if file.is_code}
    return {"code": code} if code else {}


def _rights_content(rights: Rights) -> dict[str, Any]:
    """Return what is said; nothing else, so that graphs that say nothing keep the fingerprint they always had."""
    said: dict[str, Any] = {"permissions": dict(rights.permissions)} if rights.permissions else {}
    return said if rights.network is None else {**said, "network": rights.network}
