"""The names that the expressions of one node use. Called by items.py and error_handlers.py."""

from __future__ import annotations

from collections.abc import Mapping

from .expressions import names_in_template, names_used
from .spec import NodeSpec

Names = frozenset[tuple[str, ...]]


def names_in_visit(node: NodeSpec) -> Names:
    """Return the names that one visit, or one item, uses, each with the keys that follow it.

    Raises:
        ExpressionInvalid: an expression of an unchecked node is none.
    """
    used: set[tuple[str, ...]] = set()
    for key, value in node.fields.items():
        if key == "run" and isinstance(value, Mapping):
            used |= names_used(value["command"])
        elif key == "edits":
            used.add(("state", value))
        else:
            used |= names_in_template(value)
    if node.ensure is not None:
        used |= names_used(node.ensure)
    return frozenset(used)


def names_in_node(node: NodeSpec) -> Names:
    """Return the names that any expression of the node uses. Raises: as `names_in_visit`."""
    used = names_in_visit(node) | names_in_template(node.skipped)
    if node.condition is not None:
        used |= names_used(node.condition)
    if node.each is not None:
        used |= names_used(node.each.items)
    return used
