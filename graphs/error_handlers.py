"""What a node that an `on_error` leads to sees of the failure, under the name `error`.

It is kept in a channel of the engine by the node that it leads to, written together with the end of the visit that
failed, and taken out when the node that sees it has ended: a later visit that comes by an edge sees none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import FlowError
from .names_in_node import names_in_node
from .spec import GraphSpec
from .visit_bounds import kind_of_failure

ERROR = "error"
"""The name in expressions."""
ERROR_FIELDS = ("node", "item", "kind", "message")
"""The node that failed, the item of its `each` ("" = none), the kind that `retry_on` calls it or "denied", and what
was wrong."""
NO_ERROR: Mapping[str, str] = dict.fromkeys(ERROR_FIELDS, "")
"""What is seen by a node that was led to by an edge."""

Errors = dict[str, Any]


def error_handlers(spec: GraphSpec) -> dict[str, tuple[str, ...]]:
    """Return by node that an `on_error` leads to the nodes that are named there: itself, and those that it runs in
    place of at their `on_limit`."""
    named = {node.on_error for node in spec.nodes.values()}
    found: dict[str, list[str]] = {}
    for target in spec.nodes:
        for name in _stand_ins(spec, target) if target in named else ():
            found.setdefault(name, []).append(target)
    return {name: tuple(sorted(targets, key=lambda each: each != name)) for name, targets in found.items()}


def lookers(spec: GraphSpec) -> list[str]:
    """Return the nodes that an `on_error` leads to and that look at the error."""
    return [
        name for name in error_handlers(spec) if any(path[0] == ERROR for path in names_in_node(spec.nodes[name]))
    ]


def error_of(err: FlowError, node: str, item: str) -> dict[str, str]:
    """Return an error as expressions see it.

    Args:
        item: name of the item that failed; "" = the node has none.
    """
    return {"node": node, "item": item, "kind": kind_of_failure(err), "message": err.message}


def seen(errors: Errors | None, handled: tuple[str, ...]) -> Mapping[str, str]:
    """Return the error that led to a node.

    Args:
        errors: the channel.
        handled: what `error_handlers` gives for the node.
    """
    return next((errors[each] for each in handled if errors and errors.get(each)), NO_ERROR)


def taken_out(errors: Errors | None, handled: tuple[str, ...]) -> Errors:
    """Return what the channel is written when the node has ended; {} = it had led to nothing. Args: as `seen`."""
    return {each: None for each in handled if errors and errors.get(each)}


def _stand_ins(spec: GraphSpec, name: str) -> list[str]:
    """Return the node and those that run in its place, one after the other, when it has used up its visits."""
    found: list[str] = []
    while name in spec.nodes and name not in found:
        found.append(name)
        name = spec.nodes[name].on_limit
    return found
