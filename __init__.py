"""Flowloom: graph-orchestrated coding agents on your own machine and your own models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .graphs.graph_node import graph_node as graph_node

_PLACES = {
    "graph_node": "graphs.graph_node",
}


def __getattr__(name: str) -> Any:
    # Late, so that `import flowloom` stays as cheap as it is.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
