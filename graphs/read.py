"""Graph files (YAML, `flow: 1`) to GraphSpecs. Called by find.py; checks the form, validate.py checks the meaning."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import cast

from .beside import Files, NoFiles
from .code import with_imports
from .faults import Fault, Position, invalid
from .fields import Fields, Reading, is_identifier, is_name, read_expr
from .keys import GRAPH_KEYS, GRAPH_LIMITS, INPUT_KEYS, REDUCES, STATE_KEYS, VALUE_TYPES
from .partly_read import sure_faults
from .python_calls import checked_calls
from .read_edges import Edges
from .read_nodes import read_limits, read_node
from .read_permissions import read_rights
from .read_tests import read_tests
from .spec import END, START, Expr, GraphSpec, InputSpec, NodeSpec, Reduce, Source, StateKey, ValueType
from .tree import MAX_BYTES, BadYaml, Tree, parse

FORMAT = 1

_NAME_RULE = "made of letters, digits, '_', '-' and '.'"


def read_file(path: Path, shown: str = "") -> dict[str, GraphSpec]:
    """Return the graphs of a file by name, in the order of the file. See `read_text`.

    Args:
        shown: how messages name the file; "" = its path.

    Raises:
        GraphInvalid: also when the file is too large, cannot be opened, or is not UTF-8.
    """
    return read_data(file_data(path, shown), shown or str(path))


def file_data(path: Path, shown: str = "") -> bytes:
    """Return the bytes of a graph file for `read_data`; of a file that is too large, so many that it refuses them.

    Raises:
        GraphInvalid: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as err:
        raise invalid([Fault(shown or str(path), Position(), f"cannot be read: {err.strerror or err}")]) from err


def read_data(data: bytes, shown: str, files: Files | None = None) -> dict[str, GraphSpec]:
    """Return the graphs of a file's bytes by name. See `read_text`.

    Raises:
        GraphInvalid: also when it is too large or not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise invalid([Fault(shown, Position(), "not UTF-8 text")]) from err
    return read_text(text, shown, files)


def read_text(text: str, path: str, files: Files | None = None) -> dict[str, GraphSpec]:
    """Return the graphs of a text by name, in its order; there is at least one.

    Args:
        path: how messages name the text.
        files: gives the files that the text names; None = there are none.

    Raises:
        GraphInvalid: with one line per fault of the whole text.
        Denied: a file that it names is not trusted.
    """
    faults: list[Fault] = []
    source = Source(path, text)
    graphs: dict[str, GraphSpec] = {}
    try:
        documents = parse(text, path, faults)
    except BadYaml as err:
        raise invalid([*faults, err.fault]) from err
    filled = [tree for tree in documents if tree.value is not None]
    if not filled:
        raise invalid([Fault(path, Position(), "the file holds no graph")])
    read: list[tuple[GraphSpec, list[Fault]]] = []
    repeated = list(faults)
    for tree in filled:
        before = len(faults)
        spec = _read_graph(tree, source, faults, files or NoFiles())
        if spec.name in graphs:
            faults.append(spec.fault(("name",), f"a second graph of the name {spec.name!r} in one file"))
        graphs[spec.name] = spec
        read.append((spec, [*repeated, *faults[before:]]))
    if faults:
        raise invalid([*faults, *(fault for spec, own in read for fault in sure_faults(spec, own))])
    return graphs


def _read_graph(tree: Tree, source: Source, faults: list[Fault], files: Files) -> GraphSpec:
    reading = Reading(source.path, faults, files=files)
    reading.remember(tree)
    fields = reading.fields(tree, "a graph", GRAPH_KEYS)
    if isinstance(tree.value, dict):
        fields.need("flow", "name", "nodes", "edges")
    _check_version(fields)
    nodes = _read_nodes(fields)
    edges = Edges(reading)
    if "edges" in fields:
        edges.read(fields.entries["edges"].tree)
    spec = GraphSpec(
        name=_read_name(fields),
        source=source,
        nodes=nodes,
        routes=edges.routes,
        description=fields.text("description"),
        inputs=_read_inputs(fields),
        state=_read_state(fields),
        output=_read_output(fields),
        limits=read_limits(fields, tuple(GRAPH_LIMITS)),
        rights=read_rights(fields),
        positions=reading.positions,
        route_paths=edges.paths,
        beside=reading.beside,
        tests=read_tests(fields),
    )
    filters = _read_filters(fields)
    reading.beside.update(with_imports(list(reading.beside.values()), reading.files))
    return checked_calls(reading, replace(spec, filters=filters))


def _read_filters(fields: Fields) -> dict[str, str]:
    """Return the files of a graph's filters, as "FILE" -> key; which filters they hold is found with the code."""
    if "filters" not in fields:
        return {}
    tree = fields.entries["filters"].tree
    items = [tree] if isinstance(tree.value, str) else fields.reading.items(tree, "'filters'")
    found: dict[str, str] = {}
    for item in items:
        if not isinstance(item.value, str) or not item.value.endswith(".py"):
            fields.reading.fault(item.at, "'filters' takes Python files beside the graph, such as texts.py")
        elif (file := fields.reading.read_beside(item.value, item.at)) is not None:
            found[PurePosixPath(file.key).stem] = file.key
    return found


def _check_version(fields: Fields) -> None:
    version = fields.plain("flow")
    if "flow" in fields and (version != FORMAT or isinstance(version, bool)):
        fields.wrong("flow", f"{FORMAT}, the version of the format that is known here")


def _read_name(fields: Fields) -> str:
    name = fields.word("name", "a text that is not empty")
    if name and not is_name(name):
        fields.wrong("name", _NAME_RULE)
    return name


def _read_nodes(fields: Fields) -> dict[str, NodeSpec]:
    reading = fields.reading
    nodes: dict[str, NodeSpec] = {}
    if "nodes" not in fields:
        return nodes
    for name, entry in reading.entries(fields.entries["nodes"].tree, "'nodes'").items():
        if name in (START, END):
            reading.fault(entry.at, f"{name} is the graph's own and cannot name a node")
        elif name in ("fail", "pause"):
            reading.fault(entry.at, f"{name!r} cannot name a node, since 'on_error: {name}' means something else")
        elif not is_name(name):
            reading.fault(entry.at, f"the name of a node must be {_NAME_RULE}, not {name!r}")
        reading.positions["nodes", name] = entry.at
        nodes[name] = read_node(reading, name, entry)
    return nodes


def _read_inputs(fields: Fields) -> dict[str, InputSpec]:
    inputs: dict[str, InputSpec] = {}
    for name, one in _declared(fields, "input", INPUT_KEYS).items():
        inputs[name] = InputSpec(
            type=_read_type(one),
            schema=one.schema(),
            required=one.flag("required"),
            default=one.plain("default"),
            has_default="default" in one,
            positional=one.flag("positional"),
            description=one.text("description"),
        )
        if inputs[name].required and inputs[name].has_default:
            fields.reading.fault(one.place("default"), f"input {name!r} is required, so it cannot have a default")
    return inputs


def _read_state(fields: Fields) -> dict[str, StateKey]:
    state: dict[str, StateKey] = {}
    for name, one in _declared(fields, "state", STATE_KEYS).items():
        reduce = cast(Reduce, one.one_of("reduce", REDUCES, "replace"))
        state[name] = StateKey(_read_type(one), one.schema(), reduce, one.word("key", "the name of a field"))
        _check_reduce(one, name, state[name])
    return state


def _check_reduce(one: Fields, name: str, key: StateKey) -> None:
    if key.reduce in ("append", "union") and key.type not in ("list", None):
        one.reading.fault(one.place("reduce"), f"'reduce: {key.reduce}' needs 'type: list' (state key {name!r})")
    if key.reduce == "sum" and key.type not in ("int", "number", None):
        one.reading.fault(one.place("reduce"), f"'reduce: sum' needs 'type: number' or int (state key {name!r})")
    if (key.reduce == "union") != bool(key.key) and "reduce" in one:
        message = "needs 'key', the field that tells items apart" if key.reduce == "union" else "takes no 'key'"
        one.reading.fault(one.place("reduce"), f"'reduce: {key.reduce}' {message} (state key {name!r})")


def _declared(fields: Fields, part: str, keys: Collection[str]) -> dict[str, Fields]:
    """Return the declarations under `input` or `state`; each has either a type or a schema."""
    if part not in fields:
        return {}
    reading = fields.reading
    declared: dict[str, Fields] = {}
    for name, entry in reading.entries(fields.entries[part].tree, f"'{part}'").items():
        reading.positions[part, name] = entry.at
        if not is_identifier(name):
            reading.fault(entry.at, f"{part} {name!r} must be made of letters, digits and '_', to stand after a dot")
        one = reading.fields(entry.tree, f"{part} {name!r}", keys)
        if isinstance(entry.tree.value, dict) and not {"type", "schema"} & set(one.entries):
            reading.fault(entry.at, f"{part} {name!r} needs one of 'type' and 'schema'")
        if "schema" in one and one.plain("type") not in (None, "list"):
            reading.fault(one.place("type"), f"beside a schema only 'type: list' can stand ({part} {name!r})")
        declared[name] = one
    return declared


def _read_type(one: Fields) -> ValueType | None:
    return cast("ValueType | None", one.one_of("type", VALUE_TYPES, "") or None)


def _read_output(fields: Fields) -> dict[str, Expr] | Expr | None:
    if "output" not in fields:
        return None
    tree = fields.entries["output"].tree
    if not isinstance(tree.value, dict):
        return read_expr(fields.reading, tree, "'output'")
    named = {name: read_expr(fields.reading, entry.tree, repr(name)) for name, entry in tree.value.items()}
    if not named:
        fields.wrong("output", "an expression or {name: expression}")
    return named
