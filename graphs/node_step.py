"""One node of a file as one LangGraph node: condition, items, templates, the call, and what is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import FlowError, LimitReached, ModelFault, ModelUnavailable, NodePaused, RunFailed, RunInterrupted
from ..core.events import Event, NodeEnded, NodeFailed, NodeStarted
from ..core.questions import Answer
from ..nodes.call import NodeCall, NodeResult, NodeType
from ..nodes.deps import NodeDeps
from ..nodes.steps import human_value
from .at_once import AtOnce, pause, require_wanted
from .channels import STATE_PREFIX, replaced, state_values, together, written
from .error_handlers import ERROR, error_of, seen, taken_out
from .expressions import as_text, evaluate, render
from .facts import Facts
from .items import item_names, item_node, ordered, seen_by_items
from .node_border import NodeBorder
from .node_calls import NodeCalls
from .spec import END, GraphSpec, NodeSpec
from .visit_bounds import bounded, in_time, is_tried_again, pause_before

if TYPE_CHECKING:
    from langgraph.types import Send

    from .routing import Router

State = dict[str, Any]
Update = dict[str, Any]
Complete = Callable[[Update, "Came"], Update]
"""Adds to what a visit writes what follows from it."""
Came = Literal["done", "diverted", "again"]
"""What a visit came to: it ended, it failed into its `on_error` node, or it failed and is tried again."""

_PAUSES = (RunInterrupted, LimitReached, ModelUnavailable, NodePaused)
"""What stops a visit without ending it: the visit goes on when the run does."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One visit that is to be made, of a node or of one of its items.

    Attributes:
        graph: prefix of the graph's paths, see `schema_of`.
        names: what its expressions see.
        item: None = it is of no item.
        attempt: which try it is, from 1; each one is a visit of its own.
        item_name: as paths have it; "" = it is of no item.
    """

    graph: str
    path: str
    visit: int
    names: dict[str, Any]
    item: Any
    attempt: int
    item_name: str = ""

    @property
    def label(self) -> str:
        return f"{self.path}#{self.visit}"


class NodeStep:
    """Runs one node; an `each` takes one item a superstep, so that each item has a checkpoint of its own, or all at
    once, each a task of its own whose writes are stored when it ends."""

    def __init__(
        self,
        spec: GraphSpec,
        node: NodeSpec,
        run: NodeType,
        router: Router,
        deps: NodeDeps,
        facts: Facts,
        at_once: AtOnce | None = None,
    ) -> None:
        self._spec = spec
        self._node = node
        self._run = run
        self._router = router
        self._deps = deps
        self._facts = facts
        self._calls = NodeCalls(spec, node)
        self._border = NodeBorder(spec, node)
        self._at_once = at_once
        self._handled = router.error_handlers.get(node.name, ())
        self._is_parallel = node.each is not None and node.each.parallel > 1
        self._slots = asyncio.Semaphore(node.each.parallel if node.each is not None else 1)

    async def run(self, state: State) -> Update:
        """Return what this superstep writes to the channels.

        Raises:
            RunFailed: the node failed, or no way leads on from what it gave. LangGraph keeps the writes of a node
                whose edge raises and would take the run for finished later, so the way is looked up here first.
        """
        if state.get("failed"):
            # A fail node of another branch ended the graph meanwhile.
            return self._routed(state, {})
        if self._at_once is None:
            return await self._update(state)
        async with self._at_once.working(state["path"]):
            return await self._update(state)

    async def run_item(self, state: State) -> Update:
        """Return what one of several items at once writes; `state` is what `follow` sent."""
        turn = self._item_turn(state)

        def complete(written: Update, came: Came) -> Update:
            # The other items do not see a mark, and the last one must not hide it.
            update = {key: value for key, value in written.items() if key != "diverted" or came == "diverted"}
            if self._node.retry is None:
                return update
            # An item before it in the list may end in a later superstep, so `gather` writes for all of them.
            return {"cursor": {turn.path: {"again": turn.attempt + 1} if came == "again" else {"wrote": update}}}

        if (kept := self._deps.ends.find(turn.label)) is not None:
            return kept
        await pause(pause_before(self._node.retry, turn.attempt))
        async with self._slots:
            if self._at_once is None:
                raise ValueError(f"{self._node.name} has no items at once")
            async with self._at_once.working(turn.graph):
                require_wanted()
                return await self._visit(turn, state, complete)

    async def gather(self, state: State) -> Update:
        """Return what follows after all items: those that failed and are tried again, or the way on."""
        name, cursors = self._node.name, state["cursor"]
        items = cursors[name]["items"]
        paths = [_path(name, state, each) for each in item_names(items)]
        marks = {path: mark for path in paths if (mark := cursors.get(path))}
        todo = [[place, marks[path]["again"]] for place, path in enumerate(paths) if "again" in marks.get(path, ())]
        if not todo:
            whole = together(self._spec, (mark["wrote"] for mark in marks.values()))
            return self._routed(state, {**whole, "cursor": {name: None, **dict.fromkeys(marks)}})
        done = {paths[place]: None for place, _ in todo}
        counted = self._counted(state, state["visits"][name] + 1, is_again=True)
        return {**counted, "cursor": {**done, name: {"items": items, "todo": todo}}}

    def follow(self, state: State) -> list[Any]:
        """Return the LangGraph nodes that follow this one, or a Send for each item to run at once."""
        cursor = (state.get("cursor") or {}).get(self._node.name)
        if not self._is_parallel or cursor is None or state.get("failed"):
            return self._router.after(self._node.name, state)
        return self._sends(state, cursor)

    def _sends(self, state: State, cursor: dict[str, Any]) -> list[Send]:
        from langgraph.types import Send

        name, items = self._node.name, cursor["items"]
        seen, names = seen_by_items(self._node, state), item_names(items)
        todo = cursor.get("todo") or [[place, 1] for place in range(cursor.get("at", 0), len(items))]
        return [
            Send(
                item_node(name),
                {
                    **seen,
                    "item": items[place],
                    "item_name": names[place],
                    "visit": state["visits"][name],
                    "attempt": attempt,
                },
            )
            for place, attempt in todo
        ]

    def first_call(self, state: State) -> NodeCall | None:
        """Return the call that the node begins the graph with, its start told; None = that is not known beforehand.

        Raises:
            FlowError: a limit is reached, or a template has a fault.
        """
        node = self._node
        if node.condition is not None or node.each is not None or node.approve == "before":
            return None
        if node.workspace == "worktree":
            return None
        path, visit = _path(node.name, state, ""), 1
        self._tell_start(f"{path}#{visit}", visit)
        names = self._names(state)
        call = self._calls.call(path, visit, self._calls.fields(names), None, state)
        return self._border.held(call, names)

    def call_with(self, fields: dict[str, Any], state: State) -> NodeCall:
        """Return the call of a first visit with these fields; nothing is told or counted of it."""
        return self._border.held(self._calls.call(_path(self._node.name, state, ""), 1, fields, None, state), {})

    async def _update(self, state: State) -> Update:
        name = self._node.name
        cursor = (state.get("cursor") or {}).get(name)
        attempt = cursor.get("again", 1) if cursor else 1
        visit = state["visits"].get(name, 0) + (cursor is None or attempt > 1)
        names = self._names(state)
        counted = self._counted(state, visit, is_again=attempt > 1)
        if cursor is None and self._node.condition is not None and not evaluate(self._node.condition, names):
            return self._routed(state, {**counted, **self._skip(state, visit, names)})
        if self._node.each is None:
            turn = Turn(state["path"], _path(name, state, ""), visit, names, None, attempt)
            return await self._visit(turn, state, self._completing(state, counted, cursor, attempt))
        return await self._next_item(state, counted, names, cursor)

    async def _next_item(self, state: State, counted: Update, names: dict[str, Any], cursor: Any) -> Update:
        each, name = self._node.each, self._node.name
        if each is None:
            raise ValueError(f"{name} has no each")
        if cursor is None:
            cursor = {"items": ordered(self._node, evaluate(each.items, names)), "at": 0}
        items, at = cursor["items"], cursor.get("at", 0)
        if not items:
            return self._routed(state, {**counted, **self._value_written(None, writes=False)})
        if self._is_parallel:
            begun = self._value_written(None, writes=False)
            return {**counted, **begun, "cursor": {name: {"items": items, "at": at}}}
        item_name = item_names(items)[at]
        turn = Turn(
            state["path"],
            _path(name, state, item_name),
            counted["visits"][name],
            {**names, "item": items[at], each.name: items[at]},
            items[at],
            cursor.get("again", 1),
            item_name,
        )
        return await self._visit(turn, state, self._completing(state, counted, cursor, turn.attempt))

    def _completing(self, state: State, counted: Update, cursor: Any, attempt: int) -> Complete:
        """Return what completes the update of a visit whose superstep is its own."""

        def complete(written: Update, came: Came) -> Update:
            update = {**counted, **written}
            left = _cursor_after(cursor, came, attempt)
            if left is not None or cursor is not None:
                update["cursor"] = {self._node.name: left}
            return self._routed(state, update)

        return complete

    def _item_turn(self, state: State) -> Turn:
        """Return the turn of one of several items at once."""
        each, item = self._node.each, state["item"]
        names = self._names(state)
        known = {**names, "item": item, **({each.name: item} if each else {})}
        path = _path(self._node.name, state, state["item_name"])
        return Turn(state["path"], path, state["visit"], known, item, state["attempt"], state["item_name"])

    def _names(self, state: State) -> dict[str, Any]:
        """Return what the node's expressions see."""
        names = self._facts.names(state["input"], state_values(self._spec, state))
        return {**names, ERROR: seen(state.get("errors"), self._handled)} if self._handled else names

    def _counted(self, state: State, visit: int, *, is_again: bool) -> Update:
        """Return the visit's number as an update; one more try does not count against the node's limit."""
        name = self._node.name
        update: Update = {"visits": {name: visit}}
        if is_again:
            update["forgiven"] = {name: (state.get("forgiven") or {}).get(name, 0) + 1}
        return update

    def _routed(self, state: State, update: Update) -> Update:
        """Return the update with what it says of the way on. Raises: RunFailed: no way leads on."""
        name, router = self._node.name, self._router
        left = (update.get("cursor") or {}).get(name)
        if left is None and (old := taken_out(state.get("errors"), self._handled)):
            update = {**update, "errors": {**old, **update.get("errors", {})}}
        fixed = router.fixed(name)
        if fixed is not None:
            return {**update, "ended": True} if fixed == END else update
        ways = router.decide(name, state, update)
        if router.has_branches:
            return {**update, "under_way": router.moves(name, ways)}
        return update if ways.targets else {**update, "ended": True}

    async def _visit(self, turn: Turn, state: State, complete: Complete) -> Update:
        deps, label = self._deps, turn.label
        if (kept := deps.ends.find(label)) is not None:
            return kept
        if not self._is_parallel and turn.attempt > 1:
            await pause(pause_before(self._node.retry, turn.attempt))
            require_wanted()
        self._tell_start(label, turn.visit)
        started = time.monotonic()
        came: Came = "done"
        end: Event
        try:
            with bounded(deps.gate, label, self._node):
                call = self._calls.call(turn.path, turn.visit, self._calls.fields(turn.names), turn.item, state)
                work = self._border.run(self._run, self._border.held(call, turn.names), deps, turn.names)
                result = await in_time(self._node, label, deps.gate, work)
            update = self._result_written(result, turn.path, state)
            end = NodeEnded(turn.visit, time.monotonic() - started, result.summary)
        except FlowError as err:
            came, end = self._failed(turn, err), NodeFailed(turn.visit, err.message)
            update = self._failure_written(turn, err, came)
        return self._ended(turn, lambda: complete(update, came), end)

    def _failed(self, turn: Turn, err: FlowError) -> Came:
        """Return what becomes of a visit that failed. Raises: FlowError: it stops or ends the run."""
        node, events = self._node, self._deps.events
        if is_tried_again(node.retry, turn.attempt, err):
            return "again"
        if isinstance(err, _PAUSES):
            raise err
        if node.on_error not in ("fail", "pause") and isinstance(err, (RunFailed, ModelFault)):
            return "diverted"
        events.emit(turn.label, NodeFailed(turn.visit, err.message))
        if node.on_error == "pause" and isinstance(err, (RunFailed, ModelFault)):
            raise NodePaused(
                f"{turn.label} failed, and the run waits: {err.message}",
                hint=f"{err.hint} When that is mended, `flow resume` tries it again.".strip(),
            ) from err
        raise err

    def _failure_written(self, turn: Turn, err: FlowError, came: Came) -> Update:
        if came == "again":
            return {}
        node = self._node
        update: Update = {"diverted": {node.name: True}}
        if self._router.error_handlers:
            error = error_of(err, node.name, turn.item_name)
            update["errors"] = {node.on_error: self._deps.toolbox.secrets.mask_data(error)}
        return update

    def _ended(self, turn: Turn, whole: Callable[[], Update], end: Event) -> Update:
        """Return the whole update of a visit; it is on disk together with the event of its end."""
        try:
            update = whole()
        except FlowError as err:
            self._deps.events.emit(turn.label, NodeFailed(turn.visit, err.message))
            raise
        with self._deps.ends.keeping(turn.label, turn.graph, update):
            self._deps.events.emit(turn.label, end)
        return update

    def _tell_start(self, label: str, visit: int) -> None:
        """Tell that a visit starts, once since the run was started or resumed; raises what the limits refuse."""
        if self._deps.gate.before_node(label):
            self._deps.events.emit(label, NodeStarted(self._node.type, visit))

    def _skip(self, state: State, visit: int, names: dict[str, Any]) -> Update:
        node = self._node
        label = f"{state['path']}/{node.name}#{visit}" if state.get("path") else f"{node.name}#{visit}"
        self._deps.events.emit(label, NodeEnded(visit, 0.0, skipped=True))
        if not node.has_skipped:
            return self._value_written(None, writes=False)
        value = render(node.skipped, names)
        if node.type == "human":
            value = human_value(Answer(as_text(value)))
        return self._value_written(self._border.fit(label, node.output.to, value) if node.output.to else value)

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
        if node.on_error not in ("fail", "pause"):
            update["diverted"] = {node.name: False}
        if self._router.needs_output(node.name):
            update["out"] = {node.name: value}
        if node.output.to and writes:
            update[STATE_PREFIX + node.output.to] = written(self._spec.state[node.output.to], value)
        return update


def _path(name: str, state: State, item_name: str) -> str:
    path = f"{state['path']}/{name}" if state.get("path") else name
    return f"{path}[{item_name}]" if item_name else path


def _cursor_after(cursor: Any, came: Came, attempt: int) -> dict[str, Any] | None:
    """Return where a node stands after a visit; None = nothing of it is left to do."""
    if came == "again":
        return {**(cursor or {}), "again": attempt + 1}
    if cursor is None or came == "diverted" or "items" not in cursor or cursor["at"] + 1 >= len(cursor["items"]):
        return None
    return {"items": cursor["items"], "at": cursor["at"] + 1}
