"""One node of a file as one LangGraph node: condition, items, templates, the call, and what is written."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core.errors import FlowError, LimitReached, ModelFault, ModelUnavailable, RunFailed, RunInterrupted
from ..core.events import NodeEnded, NodeFailed, NodeStarted
from ..core.messages import Message
from ..core.questions import Answer
from ..core.schemas import SCHEMAS, order_steps
from ..nodes.call import NodeCall, NodeResult, NodeType
from ..nodes.deps import NodeDeps
from ..nodes.steps import human_value
from ..nodes.values import fitted
from .channels import STATE_PREFIX, applied, replaced, state_values, written
from .expressions import as_text, evaluate, render, render_text
from .facts import Facts
from .spec import MODEL_NODES, GraphSpec, NodeSpec

if TYPE_CHECKING:
    from .routing import Router

State = dict[str, Any]
Update = dict[str, Any]

_PLAIN_FIELDS = frozenset({"call", "choices", "edits", "graph", "parse"})
"""Fields that are never templates."""
_TEXT_FIELDS = frozenset({"prompt", "show", "message"})
"""Fields that are read by a model or a person: always filled to a text."""
_ITEM_ID = re.compile(r"[\w.-]{1,40}")
"""An id that can stand in a path: no bracket, no slash, no blank."""
_PAUSES = (RunInterrupted, LimitReached, ModelUnavailable)
"""What stops a visit without ending it: the visit goes on when the run does."""


class NodeStep:
    """Runs one node; an `each` takes one item a superstep, so that each item has a checkpoint of its own."""

    def __init__(
        self, spec: GraphSpec, node: NodeSpec, run: NodeType, router: Router, deps: NodeDeps, facts: Facts
    ) -> None:
        self._spec = spec
        self._node = node
        self._run = run
        self._router = router
        self._deps = deps
        self._facts = facts

    async def run(self, state: State) -> Update:
        """Return what this superstep writes to the channels.

        Raises:
            RunFailed: the node failed, or no way leads on from what it gave. LangGraph keeps the writes of a node
                whose edge raises and would take the run for finished later, so the way is looked up here first.
        """
        update = await self._update(state)
        ended = self._router.is_last(self._node.name, applied(self._spec, state, update))
        return {**update, "ended": ended}

    def first_call(self, state: State) -> NodeCall | None:
        """Return the call that the node begins the graph with, its start told; None = that is not known beforehand.

        Raises:
            FlowError: a limit is reached, or a template has a fault.
        """
        node = self._node
        if node.condition is not None or node.each is not None:
            return None
        path, visit = _path(node.name, state, ""), 1
        self._tell_start(f"{path}#{visit}", visit)
        names = self._facts.names(state["input"], state_values(self._spec, state))
        return self._call(path, visit, self._fields(names), None, state)

    def call_with(self, fields: dict[str, Any], state: State) -> NodeCall:
        """Return the call of a first visit with these fields; nothing is told or counted of it."""
        return self._call(_path(self._node.name, state, ""), 1, fields, None, state)

    async def _update(self, state: State) -> Update:
        node = self._node
        cursor = state.get("cursor", {}).get(node.name)
        visit = state["visits"].get(node.name, 0) + (cursor is None)
        names = self._facts.names(state["input"], state_values(self._spec, state))
        update: Update = {"visits": {node.name: visit}}
        if cursor is None and node.condition is not None and not evaluate(node.condition, names):
            return {**update, **self._skip(state, visit, names)}
        if node.each is None:
            return {**update, **await self._visit(state, visit, names, None, "")}
        return {**update, **await self._next_item(state, visit, names, cursor)}

    async def _next_item(self, state: State, visit: int, names: dict[str, Any], cursor: Any) -> Update:
        each = self._node.each
        if each is None:
            raise ValueError(f"{self._node.name} has no each")
        if cursor is None:
            cursor = {"items": self._items(evaluate(each.items, names)), "at": 0}
        items, at = cursor["items"], cursor["at"]
        if not items:
            return self._value_written(None, writes=False)
        item = items[at]
        names = {**names, "item": item, each.name: item}
        update = await self._visit(state, visit, names, item, _item_names(items)[at])
        more = at + 1 < len(items) and not (update.get("diverted") or {}).get(self._node.name)
        return {**update, "cursor": {self._node.name: {"items": items, "at": at + 1} if more else None}}

    def _items(self, value: Any) -> list[Any]:
        name = self._node.name
        if not isinstance(value, list):
            raise RunFailed(f"{name}: each must give a list, got {type(value).__name__}.")
        order = self._node.each.order if self._node.each else ""
        if not order:
            return value
        try:
            return list(order_steps(value, order))
        except (ValueError, KeyError, TypeError) as err:
            raise RunFailed(f"{name}: the items cannot be put in order by {order!r}: {err}") from err

    async def _visit(self, state: State, visit: int, names: dict[str, Any], item: Any, item_name: str) -> Update:
        node, events = self._node, self._deps.events
        path = _path(node.name, state, item_name)
        label = f"{path}#{visit}"
        self._tell_start(label, visit)
        started = time.monotonic()
        try:
            call = self._call(path, visit, self._fields(names), item, state)
            result = self._fitted(path, await self._run(call, self._deps))
        except _PAUSES:
            raise
        except FlowError as err:
            events.emit(label, NodeFailed(visit, err.message))
            if node.on_error == "fail" or not isinstance(err, (RunFailed, ModelFault)):
                raise
            return {**self._value_written({"error": err.message}, writes=False), "diverted": {node.name: True}}
        events.emit(label, NodeEnded(visit, time.monotonic() - started, result.summary))
        return self._result_written(result, path, state)

    def _tell_start(self, label: str, visit: int) -> None:
        """Tell that a visit starts, once since the run was started or resumed; raises what the limits refuse."""
        if self._deps.gate.before_node(label):
            self._deps.events.emit(label, NodeStarted(self._node.type, visit))

    def _fitted(self, path: str, result: NodeResult) -> NodeResult:
        """Return the result with its values as their state keys take them.

        Raises:
            RunFailed: a value does not fit its key.
        """
        to = self._node.output.to
        value = self._fit(path, to, result.value) if to else result.value
        return replace(result, value=value, state={k: self._fit(path, k, v) for k, v in result.state.items()})

    def _fit(self, path: str, name: str, value: Any) -> Any:
        key = self._spec.state[name]
        if key.reduce in ("append", "union"):
            return value
        if key.reduce == "sum" and value is None:
            raise RunFailed(f"{path}: there is no number to add to state {name!r}.")
        try:
            return fitted(value, key.schema, key.kind)
        except ValueError as err:
            raise RunFailed(f"{path}: the value for state {name!r} {err}.") from err

    def _call(self, path: str, visit: int, fields: dict[str, Any], item: Any, state: State) -> NodeCall:
        node = self._node
        histories = state.get("histories", {}).get(path, []) if node.history == "continue" else []
        schema = node.output.schema
        return NodeCall(
            path=path,
            visit=visit,
            kind=node.type,
            fields=fields,
            tools=node.tools,
            model=node.model or None,
            budget=node.budget or None,
            schema=SCHEMAS[schema] if isinstance(schema, str) and node.type in MODEL_NODES else None,
            history=tuple(Message.from_dict(message) for message in histories),
            model_calls=node.limits.model_calls or 0,
            tokens=node.limits.tokens or 0,
            timeout_s=node.timeout_s,
            item=item if item is not None else state["input"].get("step"),
        )

    def _fields(self, names: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in self._node.fields.items():
            if key in _PLAIN_FIELDS:
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
            fields["edit_schema"] = edited.schema if edited.reduce == "replace" else None
            fields["edit_kind"] = edited.kind
        return fields

    def _skip(self, state: State, visit: int, names: dict[str, Any]) -> Update:
        node = self._node
        label = f"{state['path']}/{node.name}#{visit}" if state.get("path") else f"{node.name}#{visit}"
        self._deps.events.emit(label, NodeEnded(visit, 0.0, skipped=True))
        if not node.has_skipped:
            return self._value_written(None, writes=False)
        value = render(node.skipped, names)
        if node.type == "human":
            value = human_value(Answer(as_text(value)))
        return self._value_written(self._fit(label, node.output.to, value) if node.output.to else value)

    def _result_written(self, result: NodeResult, path: str, state: State) -> Update:
        update = self._value_written(result.value)
        for key, value in result.state.items():
            update[STATE_PREFIX + key] = written(self._spec.state[key], value)
        for key, value in result.edits.items():
            update[STATE_PREFIX + key] = replaced(self._spec.state[key], value)
        if self._node.history == "continue":
            update["histories"] = {path: [message.to_dict() for message in result.messages]}
        if result.resets:
            # The numbers themselves go on: they name journal entries and model calls, which must never come twice.
            cycle = sorted(self._router.cycle_of(self._node.name))
            update["forgiven"] = {name: state["visits"].get(name, 0) for name in cycle}
        if result.failure is not None:
            update["failed"] = {"message": result.failure.message, "exit": result.failure.exit_code}
        return update

    def _value_written(self, value: Any, *, writes: bool = True) -> Update:
        node = self._node
        update: Update = {}
        if node.on_error != "fail":
            update["diverted"] = {node.name: False}
        if self._router.needs_output(node.name):
            update["out"] = {node.name: value}
        if node.output.to and writes:
            update[STATE_PREFIX + node.output.to] = written(self._spec.state[node.output.to], value)
        return update


def _path(name: str, state: State, item_name: str) -> str:
    path = f"{state['path']}/{name}" if state.get("path") else name
    return f"{path}[{item_name}]" if item_name else path


def _item_names(items: list[Any]) -> list[str]:
    """Return a name for each item, all different: their ids where these can serve, else their places from 1."""
    ids = [item.get("id") if isinstance(item, Mapping) else None for item in items]
    names = [name for name in ids if isinstance(name, str) and _ITEM_ID.fullmatch(name)]
    return names if len(set(names)) == len(items) else [str(place + 1) for place in range(len(items))]
