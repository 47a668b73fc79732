"""Checks of every expression and template of a graph: does it compile, are its names known. Called by validate.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from .error_handlers import ERROR, ERROR_FIELDS, error_handlers
from .expressions import ExpressionInvalid, names_in_template, names_used
from .faults import Fault, Position, listed, near
from .fields import Path, is_identifier
from .filter_names import own_name
from .spec import OUTPUT_FIELDS, GraphSpec, NodeSpec, Schema, Switch, When

BASE_NAMES = ("input", "state", "settings", "run", "git")
RESERVED = (*BASE_NAMES, "output")
_WORDS = ("and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None")
_PIECE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_PLAIN_FIELDS = frozenset({"call", "graph", "choices", "edits", "headless", "parse", "exit", "index", "k"})


@dataclass(frozen=True, slots=True)
class _Scope:
    """What an expression may name: item names, and the fields of `output` (None = `output` is not there)."""

    items: tuple[str, ...] = ()
    output: tuple[str, ...] | None = None
    """() = its fields are not known."""
    error: bool = False
    """Whether it may name the error that led to its node."""


@dataclass(frozen=True, slots=True)
class NameChecks:
    """The checks of one graph. `settings`: known top-level settings, None = not checked."""

    spec: GraphSpec
    library: Mapping[str, GraphSpec]
    settings: Collection[str] | None = None

    def faults(self) -> Iterator[Fault]:
        spec, handlers = self.spec, error_handlers(self.spec)
        for node in spec.nodes.values():
            yield from self._node(node, _Scope(error=node.name in handlers))
        for source, route in spec.routes.items():
            if isinstance(route, (When, Switch)):
                key = "when" if isinstance(route, When) else "switch"
                scope = _Scope(output=self._output_fields(spec.nodes.get(source)))
                yield from self._expr(route.expr, (*spec.route_paths[source], key), scope)
        if isinstance(spec.output, dict):
            for name, expr in spec.output.items():
                yield from self._expr(expr, ("output", name), _Scope())
        elif spec.output is not None:
            yield from self._expr(spec.output, ("output",), _Scope())
        returned = _Scope(output=tuple(spec.output) if isinstance(spec.output, dict) else ())
        for test in spec.tests:
            for at, expr in enumerate(test.expect):
                yield from self._expr(expr, (*test.path, "expect", at), returned)

    def _node(self, node: NodeSpec, before: _Scope) -> Iterator[Fault]:
        """Find the faults of a node; `before` is what it may name apart from its item and its value."""
        path: Path = ("nodes", node.name)
        scope = before
        if node.condition is not None:
            yield from self._expr(node.condition, (*path, "if"), before)
        if node.each is not None:
            yield from self._expr(node.each.items, (*path, "each"), before)
            yield from self._item_name(node.each.name, (*path, "as"), before)
            scope = replace(before, items=("item", node.each.name))
        yield from self._template(node.skipped, (*path, "skipped"), before)
        if node.ensure is not None:
            seen = replace(scope, output=self._output_fields(node))
            yield from self._expr(node.ensure, (*path, "ensure"), seen)
        for key, value in node.fields.items():
            if key == "run" and isinstance(value, dict):
                yield from self._expr(value["command"], (*path, "run", "command"), scope)
            elif key not in _PLAIN_FIELDS:
                yield from self._template(value, (*path, key), scope)

    def _item_name(self, name: str, path: Path, before: _Scope) -> Iterator[Fault]:
        if name in RESERVED or (before.error and name == ERROR):
            yield self.spec.fault(path, f"an item cannot be named {name!r}, which expressions use already")
        elif not is_identifier(name) or name in _WORDS:
            yield self.spec.fault(path, f"an item cannot be named {name!r}: letters, digits and '_', and no keyword")

    def _expr(self, expr: str, path: Path, scope: _Scope) -> Iterator[Fault]:
        yield from self._names(names_used, expr, path, scope)

    def _template(self, value: Any, path: Path, scope: _Scope) -> Iterator[Fault]:
        if isinstance(value, str) and self.spec.at(*path).path and path[-1] == "prompt":
            yield from self._prompt_file(value, self.spec.at(*path), scope)
        elif isinstance(value, str):
            yield from self._names(names_in_template, value, path, scope)
        elif isinstance(value, (dict, list)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in items:
                yield from self._template(inner, (*path, key), scope)

    def _names(
        self, used: Callable[[str], frozenset[tuple[str, ...]]], text: str, path: Path, scope: _Scope
    ) -> Iterator[Fault]:
        for message in self._problems(used, text, scope):
            yield self.spec.fault(path, message)

    def _prompt_file(self, text: str, at: Position, scope: _Scope) -> Iterator[Fault]:
        """Find the faults of a template that is a file of its own, each at its place there."""
        found = False
        for piece in _PIECE.finditer(text):
            before = text[: piece.start()]
            place = Position(before.count("\n") + 1, piece.start() - before.rfind("\n"), at.path)
            for message in self._problems(names_in_template, piece[0], scope):
                found = True
                yield Fault(at.path, place, message)
        if not found:
            for message in self._problems(names_in_template, text, scope):
                yield Fault(at.path, at, message)

    def _problems(self, used: Callable[[str], frozenset[tuple[str, ...]]], text: str, scope: _Scope) -> Iterator[str]:
        try:
            paths = sorted(used(text))
        except ExpressionInvalid as err:
            yield str(err)
            return
        for keys in paths:
            if message := self._unknown(keys, scope):
                yield message

    def _unknown(self, keys: tuple[str, ...], scope: _Scope) -> str:
        """Return what is wrong with a name and the keys behind it; "" when nothing is."""
        root = keys[0]
        if name := own_name(root):
            hint = f"{near(name, self.spec.filters)}; there are: {listed(self.spec.filters)}"
            return "" if name in self.spec.filters else f"unknown filter {name!r}{hint}"
        if root == "output":
            return self._unknown_output(keys, scope)
        if root == ERROR and root not in scope.items:
            return _unknown_error(keys, scope)
        if root not in (*BASE_NAMES, *scope.items):
            known = [*BASE_NAMES, *scope.items, *([ERROR] if scope.error else [])]
            return f"unknown name {root!r}{near(root, known)}; known here: {listed(known)}"
        if len(keys) == 1 or root in scope.items:
            return ""
        if root in ("input", "state"):
            return self._undeclared(root, keys)
        if root == "settings" and self.settings is not None and keys[1] not in self.settings:
            return f"there is no setting {keys[1]!r}{near(keys[1], self.settings)}"
        return ""

    def _unknown_output(self, keys: tuple[str, ...], scope: _Scope) -> str:
        if scope.output is None:
            return "'output' is known in when, switch and ensure only"
        if len(keys) > 1 and scope.output and keys[1] not in scope.output:
            return (
                f"this node's output has no {keys[1]!r}{near(keys[1], scope.output)}; it has: {listed(scope.output)}"
            )
        return ""

    def _undeclared(self, root: str, keys: tuple[str, ...]) -> str:
        declared: Mapping[str, Any] = self.spec.inputs if root == "input" else self.spec.state
        name = keys[1]
        if name not in declared:
            return f"{root} {name!r} is not declared{near(name, declared)}; declared: {listed(declared)}"
        fields = schema_fields(None if declared[name].type else declared[name].schema)
        if len(keys) > 2 and fields and keys[2] not in fields:
            known = f"{near(keys[2], fields)}; it has: {listed(fields)}"
            kind = declared[name].schema if isinstance(declared[name].schema, str) else "value of its schema"
            return f"{root}.{name} is a {kind}, which has no {keys[2]!r}{known}"
        return ""

    def _output_fields(self, node: NodeSpec | None) -> tuple[str, ...]:
        if node is None or (node.type == "shell" and node.fields["parse"] == "json"):
            return ()
        if node.type == "graph":
            below = self.library.get(node.fields["graph"])
            return tuple(below.output) if below is not None and isinstance(below.output, dict) else ()
        return OUTPUT_FIELDS.get(node.type) or tuple(schema_fields(node.schema()))


def _unknown_error(keys: tuple[str, ...], scope: _Scope) -> str:
    if not scope.error:
        return "'error' is known in the nodes that an 'on_error' leads to only, not in others, edges and outputs"
    if len(keys) > 1 and keys[1] not in ERROR_FIELDS:
        return f"'error' has no {keys[1]!r}{near(keys[1], ERROR_FIELDS)}; it has: {listed(ERROR_FIELDS)}"
    return ""


def schema_fields(schema: Schema | None) -> Mapping[str, Mapping[str, Any]]:
    """Return the JSON Schemas of the fields that a value of the schema has; {} when it may have others."""
    if isinstance(schema, dict) and schema.get("additionalProperties") is False:
        fields = schema.get("properties")
        return fields if isinstance(fields, dict) else {}
    return _named_fields(schema) if isinstance(schema, str) else {}


@lru_cache(maxsize=16)
def _named_fields(name: str) -> Mapping[str, Mapping[str, Any]]:
    from ..core.schemas import SCHEMAS

    return dict(SCHEMAS[name].model_json_schema()["properties"]) if name in SCHEMAS else {}
