"""Checks of what a GraphSpec means, before anything runs. Called by find.py; the form was checked by read.py."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..configs.rules import STRICTNESS
from .check_tests import check_tests
from .faults import Fault, invalid, listed, near
from .fields import Path
from .flow_checks import check_flow
from .name_checks import NameChecks, schema_fields
from .spec import OUTPUT_SCHEMAS, GraphSpec, InputSpec, NodeSpec, Schema, Switch, graph_nodes, subgraphs_of

_CALLING = frozenset({"planner", "coder", "reviewer", "sub_agent", "agent", "tool", "graph"})
"""Types of nodes that call tools, or run nodes that do."""


def check(
    spec: GraphSpec,
    library: Mapping[str, GraphSpec],
    *,
    tools: Collection[str] | None = None,
    settings: Collection[str] | None = None,
    graphs: Collection[str] = (),
) -> list[Fault]:
    """Return everything that is wrong with one graph, [] when it can run.

    Args:
        library: the graphs that its nodes may run, by name.
        tools: names of the known tools; None = not checked.
        settings: names that `settings` has in expressions; None = not checked.
        graphs: names of further graphs that a wrong one may have meant.
    """
    # What a graph written in Python says was read off it, and checked by LangGraph.
    faults = [] if spec.code else [*own_faults(spec, library, settings), *check_flow(spec)]
    for node in spec.nodes.values():
        faults += _check_tools(spec, node, tools)
    for node in graph_nodes(spec):
        faults += _check_subgraph(spec, node, library, graphs)
    return sorted(set(faults))


def own_faults(
    spec: GraphSpec, library: Mapping[str, GraphSpec], settings: Collection[str] | None
) -> Iterator[Fault]:
    """Yield what is wrong with the single parts of a graph; how they hang together is left out. Args: as `check`."""
    yield from _check_declared(spec)
    yield from NameChecks(spec, library, settings).faults()
    yield from check_tests(spec)
    for node in spec.nodes.values():
        yield from _check_node(spec, node)


def require_valid(
    spec: GraphSpec,
    library: Mapping[str, GraphSpec],
    *,
    tools: Collection[str] | None = None,
    settings: Collection[str] | None = None,
    graphs: Collection[str] = (),
) -> None:
    """Check a graph and all graphs below it.

    Raises:
        GraphInvalid: with one line per fault.
    """
    faults: list[Fault] = []
    for graph in {**library, spec.name: spec}.values():
        faults += check(graph, library, tools=tools, settings=settings, graphs=graphs)
    if faults:
        raise invalid(faults)


def _check_declared(spec: GraphSpec) -> Iterator[Fault]:
    for part, declared in (("input", spec.inputs), ("state", spec.state)):
        for name, value in declared.items():
            yield from _check_schema(spec, (part, name, "schema"), value.schema)
    for name, given in spec.inputs.items():
        if not given.has_default:
            continue
        if not _fits(given, given.default):
            message = f"the default of input {name!r} must be of type {given.type}, not {given.default!r}"
            yield spec.fault(("input", name, "default"), message)
        elif message := _misfit(given):
            yield spec.fault(("input", name, "default"), f"the default of input {name!r} {message}")
    positional = [name for name, given in spec.inputs.items() if given.positional]
    for name in positional[1:]:
        yield spec.fault(
            ("input", name, "positional"), f"only one input can be positional; {positional[0]!r} is already"
        )


def _misfit(declared: InputSpec) -> str:
    """Return how a default misses its schema; "" = it does not, or its schema stands in Python or is broken."""
    from ..core.json_models import schema_faults
    from ..nodes.values import fitted

    schema = declared.schema
    if isinstance(schema, dict) and any(schema_faults(schema)):
        return ""
    try:
        fitted(declared.default, schema, declared.type)
    except ValueError as err:
        return str(err)
    return ""


def _check_schema(spec: GraphSpec, path: Path, schema: Schema | None) -> Iterator[Fault]:
    from ..core.json_models import schema_faults, words
    from ..core.schemas import SCHEMAS

    if isinstance(schema, dict) and schema:
        for below, message in schema_faults(schema):
            hint = near(str(below[-1]), words()) if message.startswith("unknown") else ""
            yield spec.fault((*path, *below), message + hint)
    elif isinstance(schema, str) and ":" not in schema and schema not in SCHEMAS:
        message = f"unknown schema {schema!r}{near(schema, SCHEMAS)}; there are: {listed(SCHEMAS)}"
        yield spec.fault(path, message)


def _fits(declared: InputSpec, value: Any) -> bool:
    """Return whether a literal can be the value of an input; a text with `{{ }}` is not known yet."""
    from ..nodes.values import is_of

    return value is None or (isinstance(value, str) and "{{" in value) or is_of(value, declared.type)


def _check_node(spec: GraphSpec, node: NodeSpec) -> Iterator[Fault]:
    path: Path = ("nodes", node.name)
    if (node.max_visits is None) != (not node.on_limit):
        has, needs = ("max_visits", "on_limit") if node.on_limit == "" else ("on_limit", "max_visits")
        yield spec.fault((*path, has), f"{has!r} of {node.name!r} needs {needs!r} beside it")
    if node.has_skipped and node.condition is None:
        yield spec.fault((*path, "skipped"), f"'skipped' of {node.name!r} needs an 'if' that can skip it")
    yield from _check_output(spec, node, path)
    yield from _check_route(spec, node)
    yield from _check_rights(spec, node, path)
    if "history" in node.budget and node.history != "continue":
        message = f"the budget part 'history' of {node.name!r} needs 'history: continue'"
        yield spec.fault((*path, "budget", "history"), message)
    if node.workspace == "readonly" and node.type == "python":
        message = f"'workspace: readonly' cannot hold the function of {node.name!r}, which does what it wants"
        yield spec.fault((*path, "workspace"), message)
    if node.approve == "tools" and node.type not in _CALLING:
        yield spec.fault((*path, "approve"), f"'approve: tools' of {node.name!r} needs a node that calls tools")
    if node.type == "human":
        yield from _check_human(spec, node, path)
    if node.type == "set":
        for key in node.fields["value"]:
            if key not in spec.state:
                yield spec.fault((*path, "value", key), _undeclared(spec, key))


def _undeclared(spec: GraphSpec, key: str) -> str:
    return f"state {key!r} is not declared{near(key, spec.state)}; declared: {listed(spec.state)}"


def _check_output(spec: GraphSpec, node: NodeSpec, path: Path) -> Iterator[Fault]:
    schema, preset = node.output.schema, OUTPUT_SCHEMAS.get(node.type)
    yield from _check_schema(spec, (*path, "output", "schema"), schema)
    if schema is not None and node.type == "coder" and schema != preset:
        yield spec.fault(
            (*path, "output", "schema"), "a coder always gives a Change, so it cannot have another schema"
        )
    if not node.output.to:
        return
    place = (*path, "output", "to")
    key = spec.state.get(node.output.to)
    if key is None:
        yield spec.fault(place, _undeclared(spec, node.output.to))
        return
    if node.each is not None and key.reduce == "replace":
        message = f"{node.name!r} runs once per item, but state {node.output.to!r} keeps only one value"
        yield spec.fault(place, f"{message}; give it 'reduce: append'")
    if key.reduce == "replace" and isinstance(key.schema, str) and node.schema() not in (None, key.schema):
        yield spec.fault(
            place, f"state {node.output.to!r} is a {key.schema}, but {node.name!r} gives a {node.schema()}"
        )


def _check_route(spec: GraphSpec, node: NodeSpec) -> Iterator[Fault]:
    route = spec.routes.get(node.name)
    expr = getattr(route, "expr", "")
    if node.condition is not None and not node.has_skipped and "output" in expr:
        message = f"{node.name!r} can be skipped and its edge looks at 'output'; give it a 'skipped' value"
        yield spec.fault(("nodes", node.name), message)
    if not isinstance(route, Switch):
        return
    choices = _choices(node, route)
    place = spec.route_paths[node.name]
    for value in route.cases:
        if choices and value not in choices:
            message = f"{route.expr} is never {value!r}{near(value, choices)}; it can be: {listed(choices)}"
            yield spec.fault((*place, "cases", value), message)
    mistyped = [value for value in route.cases if value not in choices]
    missing = [
        choice
        for choice in choices
        if choice not in route.cases and not any(near(value, [choice]) for value in mistyped)
    ]
    if missing and route.default is None:
        yield spec.fault((*place, "cases"), f"no case for {listed(missing)}, and no default")


def _choices(node: NodeSpec, route: Switch) -> tuple[str, ...]:
    """Return every value that the switch can see; () when that is not known."""
    if node.type == "human":
        return tuple(node.fields["choices"]) if route.expr == "output.choice" else ()
    root, _, field = route.expr.partition(".")
    known = schema_fields(node.schema()).get(field, {}) if root == "output" else {}
    return tuple(known.get("enum", ()))


def _check_rights(spec: GraphSpec, node: NodeSpec, path: Path) -> Iterator[Fault]:
    """Find what can have no effect, since a node only adds to what its graph says."""
    if node.rights.network and spec.rights.network is False:
        message = f"the graph has 'network: false', which {node.name!r} cannot lift; leave it out there"
        yield spec.fault((*path, "network"), message)
    for text, decision in node.rights.permissions.items():
        above = spec.rights.permissions.get(text)
        if above is not None and STRICTNESS.index(decision) < STRICTNESS.index(above):
            message = f"the graph has {above!r} for {text!r}, which {node.name!r} cannot lift to {decision!r}"
            yield spec.fault((*path, "permissions", text), message)


def _check_human(spec: GraphSpec, node: NodeSpec, path: Path) -> Iterator[Fault]:
    choices = node.fields["choices"]
    if not choices:
        yield spec.fault((*path, "choices"), f"{node.name!r} needs at least one choice")
        return
    answers = {"headless": node.fields.get("headless"), "skipped": node.skipped if node.has_skipped else None}
    for key, answer in answers.items():
        if answer is not None and answer not in choices:
            hint = near(str(answer), choices)
            message = f"{key!r} must be one of the choices {listed(choices)}, not {answer!r}{hint}"
            yield spec.fault((*path, key), message)
    edits = node.fields.get("edits")
    if edits and edits not in spec.state:
        yield spec.fault((*path, "edits"), _undeclared(spec, edits))


def _check_tools(spec: GraphSpec, node: NodeSpec, tools: Collection[str] | None) -> Iterator[Fault]:
    if tools is None:
        return
    named: list[tuple[Path, str]] = [
        (("nodes", node.name, "tools", index), name) for index, name in enumerate(node.tools or ())
    ]
    if node.type == "tool":
        named.append((("nodes", node.name, "call"), node.fields["call"]))
    for place, name in named:
        if name and ":" not in name and name not in tools:
            yield spec.fault(place, f"unknown tool {name!r}{near(name, tools)}; there are: {listed(tools)}")


def _check_subgraph(
    spec: GraphSpec, node: NodeSpec, library: Mapping[str, GraphSpec], graphs: Collection[str]
) -> Iterator[Fault]:
    name = node.fields["graph"]
    path: Path = ("nodes", node.name)
    below = library.get(name)
    if spec.name == name or (below is not None and _runs(below, spec.name, library)):
        yield spec.fault((*path, "graph"), f"{spec.name!r} would run itself by {name!r}; a graph cannot")
    if below is None:
        if name not in ("", spec.name):
            yield spec.fault((*path, "graph"), f"there is no graph {name!r} here{near(name, [*library, *graphs])}")
        return
    given: Mapping[str, Any] = node.fields["with"]
    for key, value in given.items():
        if key not in below.inputs:
            hint = near(key, below.inputs)
            message = f"graph {name!r} has no input {key!r}{hint}; its inputs: {listed(below.inputs)}"
            yield spec.fault((*path, "with", key), message)
        elif not _fits(below.inputs[key], value):
            message = f"input {key!r} of graph {name!r} must be of type {below.inputs[key].type}, not {value!r}"
            yield spec.fault((*path, "with", key), message)
    missing = [key for key, declared in below.inputs.items() if declared.required and key not in given]
    if missing:
        yield spec.fault((*path, "with"), f"graph {name!r} needs the input {listed(missing)} in 'with'")


def _runs(spec: GraphSpec, name: str, library: Mapping[str, GraphSpec]) -> bool:
    """Return whether a graph runs another one, directly or further below."""
    seen: set[str] = set()
    waiting = [spec]
    while waiting:
        for below in subgraphs_of(waiting.pop()):
            if below == name:
                return True
            if below in library and below not in seen:
                seen.add(below)
                waiting.append(library[below])
    return False
