"""The functions that python nodes call, looked at without running anything: are they there, what do they take.

Called by read.py, once a graph's inputs and state are known. Arguments become templates of the node, so that they are
checked, shown and filled like every other text of the file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .beside import Beside
from .error_handlers import ERROR, error_handlers
from .faults import Position, listed, near
from .fields import Reading, is_identifier
from .marked import marked, takes_what_it_says
from .spec import GraphSpec, NodeSpec

CONTEXT = "ctx"
"""The parameter that takes the NodeContext, see nodes/python_call.py."""

_WHOLE = ("input", "state", "settings", "run", "git")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameters of a function by name, True where one must be given. `more`: it takes any other name too."""

    parameters: Mapping[str, bool]
    more: bool


def checked_calls(reading: Reading, spec: GraphSpec) -> GraphSpec:
    """Return the graph with every argument of its python nodes; faults of them, and of Python schemas, are noted."""
    modules = {key: _parse(reading, file) for key, file in spec.beside.items() if file.path is not None or file.text}
    nodes = dict(spec.nodes)
    for node in spec.nodes.values():
        if node.type == "python" and node.fields["call"]:
            nodes[node.name] = _checked(reading, spec, node, modules)
    _check_tools(reading, spec, modules)
    for path, schema in _schemas(spec):
        if isinstance(schema, str) and ":" in schema:
            _definition(reading, spec.beside, modules, schema, spec.at(*path))
    return replace(spec, nodes=nodes, filters=dict(_filters(reading, spec, modules)))


def _check_tools(reading: Reading, spec: GraphSpec, modules: Mapping[str, ast.Module | None]) -> None:
    for node in spec.nodes.values():
        places: list[tuple[str, tuple[str | int, ...]]]
        places = [(text, ("nodes", node.name, "tools", at)) for at, text in enumerate(node.tools or ())]
        places += [(node.fields["call"], ("nodes", node.name, "call"))] if node.type == "tool" else []
        for text, path in places:
            if ":" in text and _definition(reading, spec.beside, modules, text, spec.at(*path)) is not None:
                key, _, name = text.rpartition(":")
                module = modules[key]
                if module is not None and marked(module).get(name, "tool") != "tool":
                    reading.fault(spec.at(*path), f"{name!r} of {key} is no tool; put @tool of flowloom above it")


def _filters(
    reading: Reading, spec: GraphSpec, modules: Mapping[str, ast.Module | None]
) -> Iterator[tuple[str, str]]:
    for stem, key in spec.filters.items():
        module = modules.get(key)
        found = [name for name, kind in marked(module).items() if kind == "filter"] if module is not None else []
        if module is not None and not found:
            reading.fault(spec.at("filters"), f"{key} has no filter; put @filter of flowloom above a function")
        yield from ((f"{stem}.{name}", f"{key}:{name}") for name in found)


def _schemas(spec: GraphSpec) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, given in spec.inputs.items():
        yield ("input", name, "schema"), given.schema
    for name, key in spec.state.items():
        yield ("state", name, "schema"), key.schema
    for node in spec.nodes.values():
        yield ("nodes", node.name, "output", "schema"), node.output.schema


def _parse(reading: Reading, file: Beside) -> ast.Module | None:
    """Return the code of a file; None = it is none, or it cannot be read as such."""
    if not file.is_code and (file.path is None or file.path.suffix != ".py"):
        return None
    try:
        return ast.parse(file.text)
    except SyntaxError as err:
        at = Position(err.lineno or 1, err.offset or 1, file.shown)
        reading.fault(at, f"not readable as Python: {err.msg}")
    except (ValueError, RecursionError, MemoryError) as err:
        reading.fault(Position(path=file.shown), f"not readable as Python: {err}")
    return None


def _definition(
    reading: Reading, beside: Mapping[str, Beside], modules: Mapping[str, ast.Module | None], ref: str, at: Position
) -> ast.stmt | None:
    """Return what defines a name in a file's code; None = that is not known, and a fault when nothing does."""
    key, _, name = ref.rpartition(":")
    module = modules.get(key)
    if module is None:
        return None
    defined = dict(_defined(module.body))
    if name in defined:
        return defined[name]
    if "*" not in defined and "__getattr__" not in defined:
        public = [each for each in defined if not each.startswith("_")]
        reading.fault(at, f"{beside[key].shown} has no {name!r}{near(name, public)}; it has: {listed(public)}")
    return None


def _defined(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that a module's own statements define, the last definition of a name last."""
    for each in body:
        match each:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield each.name, each
            case ast.Import() | ast.ImportFrom():
                for alias in each.names:
                    yield alias.asname or alias.name.partition(".")[0], each
            case ast.If() | ast.Try() | ast.With():
                blocks = [each.body, getattr(each, "orelse", []), getattr(each, "finalbody", [])]
                blocks += [handler.body for handler in getattr(each, "handlers", [])]
                for block in blocks:
                    yield from _defined(block)
            case _:
                for node in ast.walk(each):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        yield node.id, each


def _checked(reading: Reading, spec: GraphSpec, node: NodeSpec, modules: Mapping[str, ast.Module | None]) -> NodeSpec:
    path = ("nodes", node.name)
    at = spec.at(*path, "call")
    found = _definition(reading, spec.beside, modules, node.fields["call"], at)
    given = dict(node.fields["with"])
    module = modules.get(node.fields["call"].rpartition(":")[0])
    if module is None or not isinstance(found, _Function) or not takes_what_it_says(module, found):
        # A class, an imported name, a decorated function: only running it tells what it takes.
        return node
    signature = _signature(found)
    for name in given:
        if name not in signature.parameters and not signature.more:
            message = f"{found.name!r} takes no {name!r}{near(name, signature.parameters)}"
            reading.fault(spec.at(*path, "with", name), f"{message}; it takes: {listed(signature.parameters)}")
    for name, needed in signature.parameters.items():
        if name in given or name == CONTEXT:
            continue
        sources = _sources(spec, node, name)
        if len(sources) == 1:
            given[name] = f"{{{{ {sources[0]} }}}}"
        elif sources:
            reading.fault(at, f"{name!r} of {found.name!r} could be {' or '.join(sources)}; say which in 'with'")
        elif needed:
            known = [*_WHOLE, *spec.state, *spec.inputs, *([node.each.name] if node.each else [])]
            reading.fault(at, f"nothing gives {name!r} of {found.name!r}{near(name, known)}; give it in 'with'")
    return replace(node, fields={**node.fields, "with": given})


def _signature(function: _Function) -> Signature:
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    needed = len(plain) - len(arguments.defaults)
    parameters = {each.arg: place < needed for place, each in enumerate(plain)}
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parameters[each.arg] = default is None
    return Signature(parameters, arguments.kwarg is not None)


def _sources(spec: GraphSpec, node: NodeSpec, name: str) -> list[str]:
    """Return the expressions that a parameter of this name may mean: the item, else a whole part, else keys."""
    if node.each is not None and name in ("item", node.each.name):
        return [name]
    if name in _WHOLE:
        return [name]
    parts: dict[str, Mapping[str, object]] = {"state": spec.state, "input": spec.inputs}
    found = [f"{part}.{name}" for part, keys in parts.items() if name in keys and is_identifier(name)]
    return [ERROR, *found] if name == ERROR and node.name in error_handlers(spec) else found
