"""The channels of a compiled graph: one per declared state key, and the few that the engine keeps for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from typing_extensions import TypedDict

from .error_handlers import lookers
from .expressions import names_used
from .joins import has_branches
from .spec import GraphSpec, StateKey, Switch, When

STATE_PREFIX = "state_"
"""Before a state key in its channel's name, so that no key can shadow a channel of the engine."""

OVERWRITE = "__overwrite__"
"""LangGraph's own mark, in plain data, for a write that passes a reducer by."""

Values = dict[str, Any]
Reducer = Callable[[Any, Any], Any]

_MERGED = ("visits", "forgiven", "out", "diverted", "errors", "histories")
"""Channels of the engine that hold one value by node."""


def merge(old: Values | None, new: Values) -> Values:
    """Return both maps as one; the newer value of a key wins."""
    return {**(old or {}), **new}


def standing(old: Values | None, new: Values) -> Values:
    """Return both maps as one, as `merge` does, but for the keys whose newest value is None."""
    return {key: value for key, value in merge(old, new).items() if value is not None}


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


def first(old: Values | None, new: Values) -> Values:
    """Return what was written first; of two nodes that fail at once one ends the graph."""
    return old or new


def moved(old: Values | None, new: Values) -> Values:
    """Return the counts with these added, those that came to nothing left out."""
    counts = dict(old or {})
    for name, change in new.items():
        counts[name] = counts.get(name, 0) + change
    return {name: count for name, count in counts.items() if count}


def schema_of(spec: GraphSpec) -> Any:
    """Return the TypedDict of a graph's channels. Of the engine's own a graph has those that it needs:

    input: the graph's inputs. path: prefix of its nodes' paths, "" at the top.
    visits: visits by node, the last one's number; with branches also how often each join was looked at.
    forgiven: of these, how many do not count against a limit: since a person answered, or as they are tried again.
    cursor: by node an `each` under way {items, at}; `todo` in it lists those of items at once that are tried again,
        [[place, try]]; `again` is the number of the next try. By path of an item at once that may be tried again:
        {again}, or {wrote} once it has ended, which `gather` writes. By join when it was passed last, and to what.
        None takes out what is done.
    out: last value of each node whose edges look at it. diverted: nodes that failed into their `on_error`.
    errors: by a node that an `on_error` leads to, the error that led there; None once that node has ended.
    histories: conversations of nodes that continue them. failed: {message, exit} of a fail node.
    ended: whether the last node led to the end.
    under_way: in a graph with branches, in place of `ended`: how many times each node is still to run or running,
        and each join was arrived at.
    """
    channels: dict[str, Any] = {"input": dict[str, Any], "path": str}
    for name in needed_channels(spec):
        reducer = _OWN[name]
        channels[name] = Any if reducer is None else Annotated[dict[str, Any], reducer]
    for name, key in spec.state.items():
        reducer = _reducer(key)
        empty: Any = float if key.reduce == "sum" else list[Any]
        channels[STATE_PREFIX + name] = Any if reducer is None else Annotated[empty, reducer]
    return TypedDict(f"State of {spec.name}", channels)  # type: ignore[operator]


_OWN: Mapping[str, Reducer | None] = {
    **dict.fromkeys(_MERGED, merge),
    "cursor": standing,
    "failed": first,
    "ended": None,
    "under_way": moved,
}


def needed_channels(spec: GraphSpec) -> list[str]:
    """Return the engine's own channels that the graph needs beside `input` and `path`: each one costs every step."""
    nodes, branches = spec.nodes.values(), has_branches(spec)
    again = any(node.retry is not None for node in nodes)
    wanted = {
        "visits": True,
        "forgiven": again or any(node.type == "human" for node in nodes),
        "cursor": again or branches or any(node.each is not None for node in nodes),
        "out": any(looks_at_output(spec, name) for name in spec.routes),
        "diverted": any(node.on_error not in ("fail", "pause") for node in nodes),
        "errors": bool(lookers(spec)),
        "histories": any(node.history == "continue" for node in nodes),
        "failed": any(node.type == "fail" for node in nodes),
        "ended": not branches,
        "under_way": branches,
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]


def looks_at_output(spec: GraphSpec, name: str) -> bool:
    """Return whether the edges of a node look at the value that it produced."""
    route = spec.routes.get(name)
    return isinstance(route, When | Switch) and any(path[0] == "output" for path in names_used(route.expr))


def reducers_of(spec: GraphSpec) -> dict[str, Reducer]:
    """Return the reducers of the graph's channels, by channel; a channel without one keeps what was written last."""
    found: dict[str, Reducer] = {name: reducer for name, reducer in _OWN.items() if reducer is not None}
    for name, key in spec.state.items():
        if (reducer := _reducer(key)) is not None:
            found[STATE_PREFIX + name] = reducer
    return found


def applied(reducers: Mapping[str, Reducer], channels: Mapping[str, Any], update: Mapping[str, Any]) -> Values:
    """Return the channels as they will be once LangGraph has written the update of one node."""
    new = dict(channels)
    for name, value in update.items():
        reducer = reducers.get(name)
        if reducer is None:
            new[name] = value
        elif type(value) is dict and OVERWRITE in value:
            new[name] = value[OVERWRITE]
        else:
            new[name] = reducer(channels.get(name), value)
    return new


def together(spec: GraphSpec, updates: Iterable[Mapping[str, Any]]) -> Values:
    """Return several updates as the one that writes what they would one after the other."""
    reducers = reducers_of(spec)
    whole: Values = {}
    for update in updates:
        whole = applied(reducers, whole, update)
    return whole


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
