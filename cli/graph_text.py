"""Graphs as text: their inputs as options of `flow run`, their nodes, their limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..graphs.find import GraphEntry, Loaded
from ..graphs.spec import GraphSpec, InputSpec, Limits, StateKey
from .amounts import counted, duration
from .printing import visible
from .runs import columns

WHERE = {"project": "this project", "user": "your own", "shipped": "shipped", "file": "file"}


def input_form(name: str, given: InputSpec) -> str:
    """Return how an input is given to `flow run`."""
    option = name.replace("_", "-")
    if given.positional:
        return name.upper()
    return f"--[no-]{option}" if given.type == "bool" else f"--{option}=VALUE"


def input_type(given: InputSpec | StateKey) -> str:
    """Return what the value is: a type, or the name of its schema."""
    schema = given.schema if isinstance(given.schema, str) else "object" if given.schema else ""
    return f"list of {schema}" if given.type and schema else given.type or schema or "any"


def input_lines(spec: GraphSpec) -> list[str]:
    """Return the inputs one a line: form, type, whether it is required or what it is else, description."""
    rows = [
        (f"  {input_form(name, given)}", input_type(given), _default(given), given.description)
        for name, given in spec.inputs.items()
    ]
    return columns(rows) if rows else ["  none"]


def _default(given: InputSpec) -> str:
    if given.required:
        return "required"
    if not given.has_default or given.default is None:
        return "optional"
    return f"default: {json.dumps(given.default, ensure_ascii=False)}"


def usage_line(spec: GraphSpec) -> str:
    """Return how the graph is run."""
    plain = next((name for name, given in spec.inputs.items() if given.positional), "")
    needed = "".join(
        f" --{name.replace('_', '-')}=VALUE"
        for name, given in spec.inputs.items()
        if given.required and name != plain
    )
    return f"flow run {spec.to_run}" + (f' "{plain.upper()}"' if plain else "") + needed


def list_lines(entries: list[GraphEntry]) -> list[str]:
    """Return the table of `flow graphs list`."""
    rows = [("NAME", "FROM", "INPUTS", "DESCRIPTION")]
    for entry in entries:
        if not entry.trusted:
            told = f"not trusted, not read: flow trust {entry.path}"
        else:
            told = f"cannot be read: {entry.fault}" if entry.fault else entry.description
        inputs = " ".join(input_form(name, given) for name, given in entry.spec.inputs.items()) if entry.spec else ""
        rows.append((entry.name, WHERE[entry.origin], inputs or "-", told))
    return columns(rows)


def entry_data(entry: GraphEntry) -> dict[str, Any]:
    """Return one graph of the list as JSON data."""
    return {
        "name": entry.name,
        "from": entry.origin,
        "path": entry.path,
        "description": entry.description,
        "trusted": entry.trusted,
        "fault": entry.fault,
        "inputs": inputs_data(entry.spec) if entry.spec else {},
    }


def inputs_data(spec: GraphSpec) -> dict[str, Any]:
    """Return the inputs as JSON data by name."""
    return {
        name: {
            "type": input_type(given),
            "required": given.required,
            "default": given.default,
            "positional": given.positional,
            "description": given.description,
        }
        for name, given in spec.inputs.items()
    }


def show_lines(loaded: Loaded) -> list[str]:
    """Return what `flow graphs show` tells of a graph."""
    spec = loaded.spec
    parts = [
        [f"{spec.name}: {spec.description}" if spec.description else spec.name, f"File: {spec.source.path}"],
        [f"Run it: {usage_line(spec)}", "Inputs:", *input_lines(spec)],
        ["Nodes:", *columns([("  NODE", "TYPE", "GIVES", "THEN"), *(_node_row(spec, name) for name in spec.nodes)])],
        _facts(loaded),
    ]
    return [visible(line) for at, part in enumerate(filter(None, parts)) for line in ([""] if at else []) + part]


def _node_row(spec: GraphSpec, name: str) -> tuple[str, ...]:
    from ..graphs.picture import picture_of

    node = spec.nodes[name]
    kind = node.type if node.type != "graph" else f"graph {node.fields['graph']}"
    arrows = [arrow for arrow in picture_of(spec).arrows if arrow.source == name]
    then = ", ".join(f"{arrow.target} ({arrow.label})" if arrow.label else arrow.target for arrow in arrows)
    return f"  {name}", kind, f"state.{node.output.to}" if node.output.to else "-", then or "the run fails"


def _facts(loaded: Loaded) -> list[str]:
    from ..graphs.error_handlers import ERROR, ERROR_FIELDS, lookers

    spec = loaded.spec
    errors = [f"{name} sees {ERROR} ({', '.join(ERROR_FIELDS)}: string)" for name in lookers(spec)]
    state = ", ".join(f"{name} ({input_type(key)})" for name, key in spec.state.items())
    returns = ", ".join(spec.output) if isinstance(spec.output, Mapping) else str(spec.output or "")
    facts = [
        ("State", state),
        ("Returns", returns),
        ("Errors", "; ".join(errors)),
        ("Limits", ", ".join(limit_texts(spec.limits))),
        ("Graphs below", ", ".join(loaded.library)),
        ("Tests", ", ".join(test.name for test in spec.tests)),
    ]
    return columns([(f"{name}:", value) for name, value in facts if value])


def limit_texts(limits: Limits) -> list[str]:
    """Return the limits that are set, each with its unit."""
    texts = [counted(limits.node_runs, "node run")] if limits.node_runs else []
    texts += [counted(limits.model_calls, "model call")] if limits.model_calls else []
    texts += [counted(limits.tool_calls, "tool call")] if limits.tool_calls else []
    texts += [f"{_round(limits.tokens)} tokens"] if limits.tokens else []
    # A limit is most often a round one: 20 min, not 20 min 0 s.
    return texts + ([duration(limits.wall_s).removesuffix(" 0 s").removesuffix(" 0 min")] if limits.wall_s else [])


def _round(number: int) -> str:
    """Return a count as one writes it: 600k, 2M, 1.5M; exactly, where that is not round."""
    for factor, sign in ((1_000_000, "M"), (1_000, "k")):
        if number >= factor and number * 10 % factor == 0:
            return f"{number / factor:g}{sign}"
    return f"{number:,}"


def show_data(loaded: Loaded) -> dict[str, Any]:
    """Return what `flow graphs show -o json` tells of a graph."""
    from dataclasses import asdict

    from ..graphs.picture import picture_of

    spec = loaded.spec
    picture = picture_of(spec)
    return {
        "name": spec.name,
        "description": spec.description,
        "path": spec.source.path,
        "inputs": inputs_data(spec),
        "state": {name: {"type": input_type(key), "reduce": key.reduce} for name, key in spec.state.items()},
        "output": spec.output,
        "limits": asdict(spec.limits),
        "nodes": {name: {"type": node.type} for name, node in spec.nodes.items()},
        "edges": [asdict(arrow) for arrow in picture.arrows],
        "graphs": list(loaded.library),
        "tests": [test.name for test in spec.tests],
    }
