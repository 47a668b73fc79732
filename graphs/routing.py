"""Where a run goes from a node: routes, visit limits, `on_error`, branches and joins, the next item of an `each`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from langgraph.constants import END as LANGGRAPH_END

from ..core.errors import RunFailed
from .channels import applied, looks_at_output, reducers_of, state_values
from .error_handlers import error_handlers, lookers
from .expressions import ExpressionFailed, evaluate
from .facts import Facts
from .joins import awaited, has_branches, reach, ways
from .spec import END, Always, Fan, GraphSpec, Route, Switch, When, route_targets

State = dict[str, Any]

_JOIN = "join "


def room_of(join: str) -> str:
    """Return the LangGraph node in which a join waits; no node of a file has a blank in its name."""
    return f"{_JOIN}{join}"


class Ways(NamedTuple):
    """What follows a visit.

    Attributes:
        targets: nodes that run next, a join's room in place of the join; [] = this way ends here.
        looks: rooms in which it has to be looked whether the join still waits, since this way left it.
    """

    targets: list[str]
    looks: list[str]


NOWHERE = Ways([], [])


class Router:
    """The ways of one graph. Reads only the state, so the same state always goes the same way."""

    def __init__(self, spec: GraphSpec, facts: Facts) -> None:
        self._spec = spec
        self._facts = facts
        self._reducers = reducers_of(spec)
        self._decided: dict[tuple[str, str], Ways] = {}
        self._looking = frozenset(name for name in spec.nodes if looks_at_output(spec, name))
        self.has_branches = has_branches(spec)
        self.error_handlers = error_handlers(spec) if lookers(spec) else {}
        """What is kept of errors; {} = nothing, since no node looks at one."""
        self._awaited = awaited(spec) if self.has_branches else {}
        self._ranks = {join: rank for rank, join in enumerate(self._awaited)}
        self._fixed = {name: self._find_fixed(name) for name in spec.nodes}

    @property
    def joins(self) -> list[str]:
        """The nodes at which branches meet."""
        return list(self._awaited)

    def fixed(self, name: str) -> str | None:
        """Return the one node (or END) that follows `name` whatever the state is; None = that depends."""
        return self._fixed[name]

    def _find_fixed(self, name: str) -> str | None:
        node, route = self._spec.nodes[name], self._spec.routes.get(name)
        if self.has_branches or node.each is not None or node.retry is not None or _turns(node.on_error):
            return None
        if route is None:
            return END
        if not isinstance(route, Always):
            return None
        is_free = route.target == END or self._spec.nodes[route.target].max_visits is None
        return route.target if is_free else None

    def decide(self, name: str, state: State, update: Mapping[str, Any]) -> Ways:
        """Return what follows this visit of `name`, for the update and for the edge that LangGraph asks next.

        Raises:
            RunFailed: no way leads on.
        """
        found = self._found(name, applied(self._reducers, state, update))
        self._decided[name, state["path"]] = found
        return found

    def after(self, name: str, state: State) -> list[str]:
        """Return the LangGraph nodes that follow `name`, whose update the state holds; [] = none."""
        found = self._decided.pop((name, state["path"]), None) or self._found(name, state)
        return [*found.targets, *found.looks] or [LANGGRAPH_END]

    def released(self, join: str, state: State) -> Ways:
        """Return what runs now that was waiting at a join; NOWHERE = nothing was, or it waits on."""
        under_way = state.get("under_way") or {}
        if not under_way.get(room_of(join)) or any(
            self._blocks(name, join, under_way) for name in self._awaited[join]
        ):
            return NOWHERE
        targets = [self._within_limit(join, state, passed=join)]
        return Ways(targets, self._left(join, targets))

    def moves(self, name: str, found: Ways, count: int = 1) -> dict[str, int]:
        """Return what changes of what is under way, when `name` leads on.

        Args:
            count: how many times it had been led to.
        """
        changes = Counter(found.targets)
        changes[name] -= count
        return {each: change for each, change in changes.items() if change}

    def ends(self, name: str) -> list[str]:
        """Return every LangGraph node that may follow `name`, a node or a join, as LangGraph wants to know them."""
        route, node = self._spec.routes.get(name), self._spec.nodes[name]
        targets = [] if route is None else route_targets(route)
        targets += [node.on_error] if _turns(node.on_error) else []
        return [name, *self._rooms(name, targets)]

    def ends_of_join(self, join: str) -> list[str]:
        """Return every LangGraph node that may follow the room of a join."""
        node = self._spec.nodes[join]
        return [join, *self._rooms(join, [node.on_limit] if node.on_limit else [])]

    def _rooms(self, name: str, targets: list[str]) -> list[str]:
        found: dict[str, None] = {LANGGRAPH_END: None}
        waiting = [target for target in targets if target != END]
        while waiting:
            target = waiting.pop()
            led_to = room_of(target) if target in self._awaited else target
            if led_to in found:
                continue
            found[led_to] = None
            if led_to == target and self._spec.nodes[target].on_limit:
                waiting.append(self._spec.nodes[target].on_limit)
        found.update(dict.fromkeys(room_of(join) for join, before in self._awaited.items() if name in before))
        return [each for each in found if each != name]

    def needs_output(self, name: str) -> bool:
        """Return whether the node's edges look at the value it produced."""
        return name in self._looking

    def cycle_of(self, name: str) -> set[str]:
        """Return the other nodes that lie on a common cycle with `name`."""
        return {other for other in self._reached(name) if other != name and name in self._reached(other)}

    def _reached(self, start: str) -> frozenset[str]:
        return reach(self._spec, ways(self._spec, start))

    def _found(self, name: str, state: State) -> Ways:
        if state.get("failed"):
            return NOWHERE
        if state.get("cursor", {}).get(name) is not None:
            return Ways([name], [])
        targets = [self._within_limit(target, state) for target in self._targets(name, state) if target != END]
        return Ways(list(dict.fromkeys(targets)), self._left(name, targets))

    def _targets(self, name: str, state: State) -> list[str]:
        if state.get("diverted", {}).get(name):
            return [self._spec.nodes[name].on_error]
        route = self._spec.routes.get(name)
        return [] if route is None else self._routed(name, route, state)

    def _routed(self, name: str, route: Route, state: State) -> list[str]:
        match route:
            case Always(target):
                return [target]
            case When(expr, to, otherwise):
                return [to if self._value(name, expr, state) else otherwise]
            case Switch(expr, cases, default):
                return [self._case(name, self._value(name, expr, state), cases, default)]
            case Fan(targets):
                return list(targets)

    def _case(self, name: str, value: Any, cases: Mapping[str, str], default: str | None) -> str:
        key = str(value).lower() if isinstance(value, bool) else str(value)
        target = cases.get(key, default)
        if target is None:
            raise RunFailed(f"{name}: no case of its switch fits {key!r}; it has {', '.join(cases)}.")
        return target

    def _value(self, name: str, expr: str, state: State) -> Any:
        names = self._facts.names(state["input"], state_values(self._spec, state))
        try:
            return evaluate(expr, {**names, "output": state.get("out", {}).get(name)})
        except ExpressionFailed as err:
            raise RunFailed(f"{name}: {err.message}") from err

    def _within_limit(self, target: str, state: State, passed: str = "") -> str:
        """Return what really runs when a way leads to `target`: a join's room, or the node that its limit leads to.

        Args:
            passed: a join that waits no more.
        """
        for _ in self._spec.nodes:
            if target in self._awaited and target != passed:
                return room_of(target)
            node = self._spec.nodes[target]
            counted = state["visits"].get(target, 0) - state.get("forgiven", {}).get(target, 0)
            if node.max_visits is None or counted < node.max_visits:
                return target
            target = node.on_limit
        raise RunFailed(f"{target}: every node of its on_limit chain has used up its visits.")

    def _left(self, name: str, targets: list[str]) -> list[str]:
        """Return the rooms of the joins that `name` might have led to and does not any more."""
        if not self._awaited:
            return []
        nodes = [target.removeprefix(_JOIN) for target in targets]
        return [
            room_of(join)
            for join, before in self._awaited.items()
            if name in before and room_of(join) not in targets and not before.intersection(nodes)
        ]

    def _blocks(self, name: str, join: str, under_way: Mapping[str, int]) -> bool:
        """Return whether a node that may lead to the join is still to do so; of two joins that wait for each other
        the one that stands first in the file goes on."""
        if under_way.get(name, 0) > 0:
            return True
        waits = under_way.get(room_of(name), 0) > 0
        mutual = join in self._awaited.get(name, ())
        return waits and not (mutual and self._ranks[join] < self._ranks[name])


def _turns(on_error: str) -> bool:
    return on_error not in ("fail", "pause")
