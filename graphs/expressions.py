"""The one expression language of graph files: bare expressions, and texts with `{{ }}`. Called by validate and build.

Jinja2 in its sandbox, narrowed further: no statements, no calls, no attributes of Python objects, our own filters
only, and a name that is missing is an error. Values go into a text as they are; they are never read as templates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..core.errors import RunFailed
from .faults import listed, near
from .filter_names import WithOwn, is_own, scope_name
from .filters import FILTERS, kind_of

MAX_EXPRESSION = 2_000
"""Characters of one expression."""
MAX_DEPTH = 60
"""Levels that an expression may be nested."""

TESTS = ("defined", "none")
_JSON_SCALARS = (str, int, float, bool, type(None))
_EXACT = frozenset({str, int, bool, type(None)})
"""What needs no further look; the most frequent by far."""

# What an expression may be made of; anything else of Jinja (calls, **, statements) is refused by name.
_ALLOWED = frozenset(
    {"Name", "Const", "List", "Tuple", "Dict", "Pair", "Getattr", "Getitem", "Slice", "Filter", "Test", "Compare"}
    | {
        "Operand",
        "And",
        "Or",
        "Not",
        "CondExpr",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "FloorDiv",
        "Mod",
        "Neg",
        "Pos",
        "Concat",
    }
)
_REFUSED = {
    "Call": "functions and methods cannot be called; use a filter or a key",
    "Pow": "** is not part of expressions",
    "NSRef": "namespaces are not part of expressions",
}


class ExpressionInvalid(ValueError):
    """The text is no expression (or template) of the language; the message says why, without place."""


class ExpressionFailed(RunFailed):
    """An expression could not be evaluated on the values of this run."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One expression ready to be evaluated.

    Attributes:
        text: as it is written in the file.
        paths: the names it uses with the keys that follow them, e.g. ("state", "plan", "steps").
    """

    text: str
    paths: frozenset[tuple[str, ...]]
    run: Any


def compile_expression(text: str) -> Compiled:
    """Return the expression, ready to be evaluated.

    Raises:
        ExpressionInvalid: it is empty, too long, no valid expression, or uses what the language does not have.
    """
    return _compile(text)


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """Return the expression's value as plain JSON data.

    Args:
        names: values by name (input, state, settings ...), plain JSON data.

    Raises:
        ExpressionInvalid: see `compile_expression`.
        ExpressionFailed: a name or key is missing, or the values do not fit the operation.
    """
    return _run(compile_expression(text), names)


def render(template: Any, names: Mapping[str, Any]) -> Any:
    """Return a template with its `{{ }}` parts filled.

    A text that is one `{{ }}` alone gives that value with its type; in a longer text a value stands as it is (text),
    as nothing (None) or as JSON. Lists and objects are filled item by item; other values stay.

    Raises:
        ExpressionInvalid: a text is no valid template.
        ExpressionFailed: see `evaluate`.
    """
    if isinstance(template, str):
        return _render_text(template, names)
    if isinstance(template, list):
        return [render(item, names) for item in template]
    if isinstance(template, dict):
        return {key: render(value, names) for key, value in template.items()}
    return template


def render_text(template: str, names: Mapping[str, Any]) -> str:
    """Return the filled template always as a text, for prompts and messages. Raises like `render`."""
    return as_text(_render_text(template, names))


def names_used(text: str) -> frozenset[tuple[str, ...]]:
    """Return the names an expression uses, each with the keys that follow it. Raises: ExpressionInvalid."""
    return compile_expression(text).paths


def names_in_template(template: Any) -> frozenset[tuple[str, ...]]:
    """Return the names that a template's `{{ }}` parts use. Raises: ExpressionInvalid."""
    used: set[tuple[str, ...]] = set()
    for text in _texts(template):
        for part in _parts(text):
            used |= part.paths if isinstance(part, Compiled) else frozenset()
    return frozenset(used)


def as_text(value: Any) -> str:
    """Return how a value stands in a text: itself, nothing for None, else JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, (list, dict)):
        for value in template.values() if isinstance(template, dict) else template:
            yield from _texts(value)


def _render_text(template: str, names: Mapping[str, Any]) -> Any:
    parts = _parts(template)
    alone = [part for part in parts if isinstance(part, Compiled) or part.strip()]
    if len(alone) == 1 and isinstance(alone[0], Compiled):
        return _run(alone[0], names)
    return "".join(part if isinstance(part, str) else as_text(_run(part, names)) for part in parts)


def _run(compiled: Compiled, names: Mapping[str, Any]) -> Any:
    from jinja2 import TemplateError

    if missing := [path[0] for path in compiled.paths if path[0] not in names]:
        raise _failed(compiled, f"{min(missing)!r} is not known here{near(min(missing), names)}")
    try:
        return _plain(compiled.run(**names))
    except (TemplateError, TypeError, ValueError, KeyError, IndexError, ArithmeticError) as err:
        reason = str(err) or type(err).__name__
        raise _failed(compiled, reason) from err


def _failed(compiled: Compiled, reason: str) -> ExpressionFailed:
    return ExpressionFailed(f"the expression {compiled.text!r} has no value: {reason}")


def _plain(value: Any) -> Any:
    """Return JSON data without what only Jinja knows (undefined values, tuples); refuse anything else."""
    if type(value) in _EXACT:
        return value
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        str(value)  # raises, with the name of what is missing
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("the result is not a finite number")
    if isinstance(value, _JSON_SCALARS):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    raise TypeError(f"a value of the kind {type(value).__name__} cannot be used")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key of an object must be a text, not {key!r}")
    return key


@lru_cache(maxsize=512)
def _compile(text: str) -> Compiled:
    if text.strip().startswith("{{"):
        raise ExpressionInvalid(f"an expression stands here bare, without {{{{ }}}}: {text.strip(' {}')!r}")
    node = _parse(text)
    return _from_node(node, text.strip())


@lru_cache(maxsize=512)
def _parts(text: str) -> tuple[str | Compiled, ...]:
    from jinja2 import TemplateSyntaxError, nodes

    if "{" not in text:
        return (text,)
    parts: list[str | Compiled] = []
    try:
        body = _environment().parse(text).body
    except TemplateSyntaxError as err:
        raise ExpressionInvalid(_statement(text) or f"{_short(text)}: {_told(err)}") from err
    except RecursionError as err:
        raise ExpressionInvalid("nested too deeply") from err
    for node in body:
        if not isinstance(node, nodes.Output):
            raise ExpressionInvalid(_statement(text) or f"{type(node).__name__} is not part of texts")
        for child in node.nodes:
            literal = isinstance(child, nodes.TemplateData)
            parts.append(child.data if literal else _from_node(child, _short(text)))  # type: ignore[attr-defined]
    return tuple(parts)


def _statement(text: str) -> str:
    return "statements ({% %}) are not part of graph files; use a filter or a node" if "{%" in text else ""


def _told(err: Any) -> str:
    """Return what is wrong with an expression in the words of a person who sees no template."""
    return str(err.message).replace("'end of template'", "end")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:117]}..."


def _parse(text: str) -> Any:
    from jinja2 import TemplateSyntaxError
    from jinja2.parser import Parser

    if not text.strip():
        raise ExpressionInvalid("an expression is missing")
    if len(text) > MAX_EXPRESSION:
        raise ExpressionInvalid(f"an expression of more than {MAX_EXPRESSION} characters")
    try:
        parser = Parser(_environment(), text, state="variable")
        node = parser.parse_expression()
    except TemplateSyntaxError as err:
        raise ExpressionInvalid(f"{_short(text)!r}: {_told(err)}") from err
    except RecursionError as err:
        raise ExpressionInvalid("nested too deeply") from err
    if not parser.stream.eos:
        extra = str(parser.stream.current)
        hint = " (write == to compare)" if extra == "=" else ""
        raise ExpressionInvalid(f"{_short(text)!r}: did not expect {extra!r}{hint}")
    return node


def _from_node(node: Any, text: str) -> Compiled:
    """Compile one checked expression node; its value comes back as it is, not as a text."""
    from jinja2 import TemplateError, nodes

    _check(node, 0)
    environment = _environment()
    paths = frozenset(_paths(node))
    body: list[Any] = [nodes.Assign(nodes.Name("result", "store"), node, lineno=1)]
    try:
        template = environment.from_string(nodes.Template(body, lineno=1))
    except (TemplateError, SyntaxError, RecursionError, MemoryError, ValueError) as err:
        raise ExpressionInvalid(f"{text!r}: {err}") from err

    def run(**names: Any) -> Any:
        context = template.new_context(names)
        for _ in template.root_render_func(context):
            pass
        return context.vars["result"]

    return Compiled(text, paths, run)


def _check(node: Any, depth: int) -> None:
    kind = type(node).__name__
    if depth > MAX_DEPTH:
        raise ExpressionInvalid("nested too deeply")
    if kind not in _ALLOWED:
        raise ExpressionInvalid(_REFUSED.get(kind, f"{kind} is not part of expressions"))
    if kind == "Filter" and not is_own(node.name):
        _check_word("filter", node.name, FILTERS)
    if kind == "Test":
        _check_word("test", node.name, TESTS)
    if kind == "CondExpr" and node.expr2 is None:
        raise ExpressionInvalid("'a if b' needs an else")
    if kind == "Const" and isinstance(node.value, float) and not math.isfinite(node.value):
        raise ExpressionInvalid("a number that is too large")
    for child in node.iter_child_nodes():
        _check(child, depth + 1)


def _check_word(what: str, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> None:
    if name not in known:
        raise ExpressionInvalid(f"unknown {what} {name!r}{near(name, known)}; there are: {listed(known)}")


def _paths(node: Any) -> Iterator[tuple[str, ...]]:
    if (path := _path(node)) is not None:
        yield path
        return
    if type(node).__name__ == "Filter" and is_own(node.name):
        yield (scope_name(node.name),)
    for child in node.iter_child_nodes():
        yield from _paths(child)


def _path(node: Any) -> tuple[str, ...] | None:
    """Return the name and keys of `a.b["c"]`; None for anything else."""
    from jinja2 import nodes

    keys: list[str] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        elif (
            isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
        ):
            keys.append(node.arg.value)
        else:
            return None
        node = node.node
    return (node.name, *reversed(keys))


@lru_cache(maxsize=1)
def _environment() -> Any:
    """Return the sandbox; it holds no state of a run."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class KeysOnly(ImmutableSandboxedEnvironment):
        """Reads keys and positions of JSON data; attributes of objects do not exist."""

        intercepted_binops = frozenset({"*", "%"})

        def getattr(self, obj: Any, attribute: str) -> Any:
            return self.getitem(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
                return obj[argument]
            if isinstance(obj, (list, str)) and type(argument) is int and -len(obj) <= argument < len(obj):
                return obj[argument]
            return self.undefined(hint=_missing(obj, argument))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            # "text" * n and "%9999999d" % n would make texts of any size.
            if not all(isinstance(value, (int, float)) for value in (left, right)):
                raise TypeError(f"{operator} takes two numbers")
            return super().call_binop(context, operator, left, right)

    environment = KeysOnly(undefined=StrictUndefined, optimized=False, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters = WithOwn({**FILTERS, "default": _default})
    environment.tests = {"defined": _is_defined, "none": lambda value: value is None}
    return environment


def _default(value: Any, instead: Any = "") -> Any:
    return FILTERS["default"](value if _is_defined(value) else None, instead)


def _is_defined(value: Any) -> bool:
    from jinja2 import Undefined

    return not isinstance(value, Undefined)


def _missing(obj: Any, argument: Any) -> str:
    from jinja2 import Undefined

    if isinstance(obj, Undefined):
        str(obj)  # raises, with the name of what is missing
    if obj is None:
        return f"there is no {argument!r} in an empty value (nothing was written to it yet)"
    if isinstance(obj, Mapping):
        names = [key for key in obj if isinstance(key, str)]
        return f"there is no {argument!r}{near(str(argument), names)}; there are: {listed(names)}"
    if isinstance(obj, list):
        return f"there is no item {argument!r} in a list of {len(obj)}"
    return f"there is no {argument!r} in {kind_of(obj)}"
