"""What stands between a node's type and the graph: schemas, `ensure`, a person's approval. Called by node_step.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from ..core.errors import RunFailed
from ..core.questions import Question
from ..core.texts import shortened
from ..nodes.asking import ask_person
from ..nodes.call import NodeCall, NodeResult, NodeType
from ..nodes.deps import NodeDeps
from ..nodes.held import run_held
from ..nodes.values import by_model, fitted
from ..tools.asking import answer_to
from ..tools.masked import masked_question
from .beside import MODULE
from .channels import Values
from .expressions import ExpressionFailed, as_text, evaluate, names_used
from .schemas import key_model, model_of
from .spec import MODEL_NODES, GraphSpec, NodeSpec

CHOICES = ("yes", "no")
"""Answers to the question whether a node may run, or its value may be used."""
DECLINED = 7
"""Exit code of a run that ends because a person declined."""

_MOST_SHOWN = 4_000
"""Characters of a call or a value in a question."""


class NodeBorder:
    """The border of one node of a graph."""

    def __init__(self, spec: GraphSpec, node: NodeSpec) -> None:
        self._spec = spec
        self._node = node
        self._keys: dict[str, type[BaseModel] | None] = {}

    @cached_property
    def schema(self) -> type[BaseModel] | None:
        """What the node's value must follow, where the file says it; None = what its type gives anyway.

        Raises:
            GraphInvalid: it stands in Python code that cannot be run.
        """
        return model_of(self._spec, self._node.output.schema)

    def held(self, call: NodeCall, names: Mapping[str, Any]) -> NodeCall:
        """Return the call with what its model's answer is held to."""
        if self._node.type not in MODEL_NODES:
            return call
        check = (lambda value: self.unmet(value, names)) if self._node.ensure is not None else None
        return replace(call, schema=self.schema, check=check)

    async def run(self, run: NodeType, call: NodeCall, deps: NodeDeps, names: Mapping[str, Any]) -> NodeResult:
        """Return what a visit gave, its values as the graph takes them.

        Raises:
            RunFailed: a value does not fit its schema or its key, the `ensure` is not met, or a person declined.
        """
        approve = self._node.approve
        if approve == "before":
            self._ask(call, deps, f"May {call.label} run?", _call_text(call))
        result = await (run_held(run, call, deps) if approve == "after" else run(call, deps))
        value = self._checked(call, result.value, names)
        if approve == "after":
            self._ask(call, deps, f"May the value of {call.label} be used?", as_text(value))
        return self._fitted(call, result, value)

    def unmet(self, value: Any, names: Mapping[str, Any]) -> str:
        """Return why a value does not meet the node's `ensure`; "" = it does, or there is none."""
        ensure = self._node.ensure
        if ensure is None:
            return ""
        try:
            if evaluate(ensure, {**names, "output": value}):
                return ""
        except ExpressionFailed as err:
            return err.message
        shown = sorted({".".join(path) for path in names_used(ensure) if path[0] == "output"})
        values = "; ".join(f"{path} is {shortened(evaluate(path, {'output': value}))}" for path in shown)
        return f"it must hold that {ensure}{f', but {values}' if values else ''}"

    def fit(self, path: str, name: str, value: Any) -> Any:
        """Return a value as a state key takes it.

        Raises:
            RunFailed: it does not fit.
        """
        key = self._spec.state.get(name)
        if key is None:
            raise RunFailed(f"{path}: state {name!r} is not declared, so nothing can be written to it.")
        if key.reduce == "sum" and value is None:
            raise RunFailed(f"{path}: there is no number to add to state {name!r}.")
        try:
            if key.reduce in ("append", "union"):
                return self._fit_items(name, value)
            model = self._model(name)
            return fitted(value, None, key.kind) if model is None or value is None else by_model(value, model)
        except ValueError as err:
            raise RunFailed(f"{path}: the value for state {name!r} {err}.") from err

    def _fit_items(self, name: str, value: Any) -> Any:
        """Return what is added to a list: one item, or for `union` a list of them."""
        model = self._model(name)
        if model is None or value is None:
            return value
        if self._spec.state[name].reduce == "union" and isinstance(value, list):
            return [by_model(item, model) for item in value]
        return by_model(value, model)

    def _model(self, name: str) -> type[BaseModel] | None:
        """Return the model of a key's value; of an item's where values are added."""
        if name not in self._keys:
            key = self._spec.state[name]
            adds = key.reduce in ("append", "union")
            self._keys[name] = model_of(self._spec, key.schema) if adds else key_model(self._spec, key)
        return self._keys[name]

    def _checked(self, call: NodeCall, value: Any, names: Mapping[str, Any]) -> Any:
        if self.schema is not None:
            try:
                value = by_model(value, self.schema)
            except ValueError as err:
                raise RunFailed(f"{call.path}: its value {err}.") from err
        if unmet := self.unmet(value, names):
            raise RunFailed(f"{call.path}: its value will not do: {unmet.rstrip('.')}.")
        return value

    def _fitted(self, call: NodeCall, result: NodeResult, value: Any) -> NodeResult:
        """Return the result with its values as their state keys take them; `value` takes the place of its own."""
        to = self._node.output.to
        value = self.fit(call.path, to, value) if to else value
        state: Values = {name: self.fit(call.path, name, each) for name, each in result.state.items()}
        return replace(result, value=value, state=state)

    def _ask(self, call: NodeCall, deps: NodeDeps, asked: str, shown: str) -> None:
        """Return when a person says yes. Raises: RunFailed: no."""
        shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}\n... ({len(shown):,} characters)"
        question = Question("approval", call.label, f"{asked}\n\n{shown}".strip(), CHOICES)
        answer = answer_to(masked_question(question, deps.toolbox.secrets), ask_person)
        if answer.choice != "yes":
            reason = f": {answer.reason}" if answer.reason else ""
            raise RunFailed(f"{call.path}: it was declined{reason}.", exit_code=DECLINED)


def _call_text(call: NodeCall) -> str:
    """Return what a node is about to do, for a person."""
    lines = []
    for name, value in call.fields.items():
        if value not in (None, "", [], {}) and not name.startswith("edit_"):
            lines.append(f"{name}: {as_text(value).removeprefix(MODULE)}")
    return "\n".join(lines)
