"""The items of an `each`: their order and names, and what one of several at once is given. Called by node_step.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..core.errors import RunFailed
from ..core.schemas import order_steps
from .channels import STATE_PREFIX
from .error_handlers import ERROR
from .names_in_node import Names, names_in_visit
from .spec import NodeSpec

_ITEM_ID = re.compile(r"[\w.-]{1,40}")
"""An id that can stand in a path: no bracket, no slash, no blank."""


def item_node(name: str) -> str:
    """Return the LangGraph node that runs one item of `name`; no node of a file has a bracket in its name."""
    return f"{name}[]"


def gather_node(name: str) -> str:
    """Return the LangGraph node that comes after all items of `name`."""
    return f"{name}[end]"


def ordered(node: NodeSpec, value: Any) -> list[Any]:
    """Return the items in the order in which they run.

    Raises:
        RunFailed: it is no list, or the items cannot be put in order.
    """
    if not isinstance(value, list):
        raise RunFailed(f"{node.name}: each must give a list, got {type(value).__name__}.")
    order = node.each.order if node.each else ""
    if not order:
        return value
    try:
        return list(order_steps(value, order))
    except (ValueError, KeyError, TypeError) as err:
        raise RunFailed(f"{node.name}: the items cannot be put in order by {order!r}: {err}") from err


def item_names(items: list[Any]) -> list[str]:
    """Return a name for each item, all different: their ids where these can serve, else their places from 1."""
    ids = [item.get("id") if isinstance(item, Mapping) else None for item in items]
    names = [name for name in ids if isinstance(name, str) and _ITEM_ID.fullmatch(name)]
    return names if len(set(names)) == len(items) else [str(place + 1) for place in range(len(items))]


def seen_by_items(node: NodeSpec, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the channels that the items of a node look at, and of these no more than their expressions name.

    It is stored once an item.
    """
    # A coder's Change is named by its step.
    used = names_in_visit(node) | {("input", "step")}
    seen: dict[str, Any] = {name: state[name] for name in ("path", "visits") if name in state}
    seen["input"] = _named("input", used, state["input"])
    values = {name.removeprefix(STATE_PREFIX): name for name in state if name.startswith(STATE_PREFIX)}
    seen.update({values[name]: state[values[name]] for name in _named("state", used, values)})
    if node.history == "continue":
        seen["histories"] = state.get("histories") or {}
    if state.get("errors") and any(path[0] == ERROR for path in used):
        seen["errors"] = state["errors"]
    return seen


def _named(root: str, used: Names, values: Mapping[str, Any]) -> dict[str, Any]:
    if any(path == (root,) for path in used):
        return dict(values)
    wanted = {path[1] for path in used if path[0] == root}
    return {name: value for name, value in values.items() if name in wanted}
