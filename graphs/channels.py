"""The channels of a compiled graph: one per declared state key, and the few that the engine keeps for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from typing_extensions import TypedDict

from .spec import GraphSpec, StateKey

STATE_PREFIX = "state_"
"""Before a state key in its channel's name, so that no key can shadow a channel of the engine."""

OVERWRITE = "__overwrite__"
"""LangGraph's own mark, in plain data, for a write that passes a reducer by."""

Values = dict[str, Any]
Reducer = Callable[[Any, Any], Any]

_MERGED = ("visits", "forgiven", "cursor", "out", "diverted", "histories")
"""Channels of the engine that hold one value by node."""


def merge(old: Values | None, new: Values) -> Values:
    """Return both maps as one; the newer value of a key wins."""
    return {**(old or {}), **new}


def append(old: list[Any] | None, new: list[Any]) -> list[Any]:
    """Return the list with the new items behind the old ones."""
    return [*(old or []), *new]


def add(old: float | None, new: float) -> float:
    """Return the sum; nothing written yet counts as 0."""
    return (old or 0) + new


def union_by(key: str) -> Callable[[list[Any] | None, list[Any]], list[Any]]:
    """Return a reducer that keeps one item per value of `key` ("" = the whole item); the first one stays."""

    def union(old: list[Any] | None, new: list[Any]) -> list[Any]:
        kept = list(old or [])
        seen = [_identity(item, key) for item in kept]
        for item in new:
            if (identity := _identity(item, key)) not in seen:
                kept.append(item)
                seen.append(identity)
        return kept

    return union


def _identity(item: Any, key: str) -> Any:
    return item.get(key) if key and isinstance(item, Mapping) else item


def schema_of(spec: GraphSpec) -> Any:
    """Return the TypedDict of a graph's channels.

    The engine's own:
        input: the graph's inputs. path: prefix of its nodes' paths, "" at the top.
        visits: visits by node, the last one's number. forgiven: of these, how many no longer count against its limit,
            since a person answered. cursor: items and position of an `each` under way, None when it is done.
        out: last value of each node whose edges look at it. diverted: nodes that failed into their `on_error`.
        histories: conversations of nodes that continue them. failed: {message, exit} of a fail node.
        ended: whether the last node led to the end.
    """
    failed: Any = dict[str, Any] | None
    channels: dict[str, Any] = {"input": dict[str, Any], "path": str, "failed": failed, "ended": bool}
    for name in _MERGED:
        channels[name] = Annotated[dict[str, Any], merge]
    for name, key in spec.state.items():
        reducer = _reducer(key)
        empty: Any = float if key.reduce == "sum" else list[Any]
        channels[STATE_PREFIX + name] = Any if reducer is None else Annotated[empty, reducer]
    return TypedDict(f"State of {spec.name}", channels)  # type: ignore[operator]


def applied(spec: GraphSpec, channels: Mapping[str, Any], update: Mapping[str, Any]) -> Values:
    """Return the channels as they will be once LangGraph has written the update of one node."""
    reducers: dict[str, Reducer | None] = {STATE_PREFIX + name: _reducer(key) for name, key in spec.state.items()}
    reducers.update(dict.fromkeys(_MERGED, merge))
    new = dict(channels)
    for name, value in update.items():
        reducer = reducers.get(name)
        if reducer is None:
            new[name] = value
        elif isinstance(value, Mapping) and OVERWRITE in value:
            new[name] = value[OVERWRITE]
        else:
            new[name] = reducer(channels.get(name), value)
    return new


def _reducer(key: StateKey) -> Reducer | None:
    match key.reduce:
        case "append":
            return append
        case "union":
            return union_by(key.key)
        case "sum":
            return add
        case "replace":
            return None


def written(key: StateKey, value: Any) -> Any:
    """Return what a node's value is as a write to its key: one item for append, all of a list for union."""
    if key.reduce == "append":
        return [value]
    if key.reduce == "union":
        return list(value) if isinstance(value, list) else [value]
    return value


def replaced(key: StateKey, value: Any) -> Any:
    """Return a person's edit as a write that takes the place of all the key holds, past its reducer."""
    return value if key.reduce == "replace" else {OVERWRITE: value}


def state_values(spec: GraphSpec, channels: Mapping[str, Any]) -> Values:
    """Return the state as expressions see it: every declared key, with its empty value before the first write."""
    found: Values = {}
    for name, key in spec.state.items():
        value = channels.get(STATE_PREFIX + name)
        found[name] = key.empty() if value is None else value
    return found
