"""Where a run goes from a node: routes, visit limits, `on_error`, and the next item of an `each`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langgraph.constants import END as LANGGRAPH_END

from ..core.errors import RunFailed
from .channels import state_values
from .expressions import ExpressionFailed, evaluate
from .facts import Facts
from .spec import END, Always, Fan, GraphSpec, Route, Switch, When, route_targets

State = dict[str, Any]


class Router:
    """The ways of one graph. Reads only the state, so the same state always goes the same way."""

    def __init__(self, spec: GraphSpec, facts: Facts) -> None:
        self._spec = spec
        self._facts = facts

    def after(self, name: str) -> Callable[[State], str]:
        """Return the function that LangGraph asks for the node that follows `name`."""

        def follow(state: State) -> str:
            if state.get("failed"):
                return LANGGRAPH_END
            if state.get("cursor", {}).get(name) is not None:
                return name
            target = self._target(name, state)
            return LANGGRAPH_END if target == END else self._within_limit(target, state)

        return follow

    def is_last(self, name: str, state: State) -> bool:
        """Return whether the graph ends after this visit of `name`. Raises: RunFailed: no way leads on."""
        return self.after(name)(state) == LANGGRAPH_END

    def ends(self, name: str) -> list[str]:
        """Return every node that may follow `name`, as LangGraph wants to know them."""
        node = self._spec.nodes[name]
        targets = set(route_targets(self._spec.routes[name])) if name in self._spec.routes else set()
        if node.on_error != "fail":
            targets.add(node.on_error)
        for _ in self._spec.nodes:  # an on_limit node may have a limit of its own
            targets |= {self._spec.nodes[t].on_limit for t in targets if t in self._spec.nodes} - {""}
        return [name, LANGGRAPH_END, *sorted(targets - {END, name})]

    def needs_output(self, name: str) -> bool:
        """Return whether the node's edges look at the value it produced."""
        return isinstance(self._spec.routes.get(name), When | Switch)

    def cycle_of(self, name: str) -> set[str]:
        """Return the other nodes that lie on a common cycle with `name`."""
        return {other for other in self._reached(name) if other != name and name in self._reached(other)}

    def _reached(self, start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in self.ends(waiting.pop())[1:]:
                if target != LANGGRAPH_END and target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return seen

    def _target(self, name: str, state: State) -> str:
        if state.get("diverted", {}).get(name):
            return self._spec.nodes[name].on_error
        return self._routed(name, self._spec.routes[name], state)

    def _routed(self, name: str, route: Route, state: State) -> str:
        match route:
            case Always(target):
                return target
            case When(expr, to, otherwise):
                return to if self._value(name, expr, state) else otherwise
            case Switch(expr, cases, default):
                return self._case(name, self._value(name, expr, state), cases, default)
            case Fan():
                raise RunFailed(f"{name}: several ways at once are not supported yet.")

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

    def _within_limit(self, target: str, state: State) -> str:
        for _ in self._spec.nodes:
            node = self._spec.nodes[target]
            counted = state["visits"].get(target, 0) - state.get("forgiven", {}).get(target, 0)
            if node.max_visits is None or counted < node.max_visits:
                return target
            target = node.on_limit
        raise RunFailed(f"{target}: every node of its on_limit chain has used up its visits.")
