"""Reading the `nodes` of a graph file. Called by read.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from .faults import Position, near
from .fields import Fields, Path, Reading, is_name
from .keys import BUDGET_KEYS, NODE_KEYS, NODE_LIMITS, OUTPUT_KEYS, PRESET_KEYS, PROMPT_KEYS, TYPE_KEYS, TYPE_NEEDS
from .read_permissions import read_rights
from .read_retry import read_retry
from .spec import (
    MODEL_NODES,
    NODE_TYPES,
    OUTPUT_SCHEMAS,
    Approve,
    Each,
    History,
    Limits,
    NodeOutput,
    NodeSpec,
    NodeType,
    Workspace,
)
from .tree import BadYaml, Entry, Tree, lying_in, parse

_HITS = 8
"""Hits of a retrieve node that says nothing else."""


def read_node(reading: Reading, name: str, entry: Entry) -> NodeSpec:
    """Return the node. One that cannot be read becomes an empty `set`, so that the edges still find its name."""
    full = _with_preset(reading, name, entry)
    if full is None:
        return NodeSpec(name, "set", fields={"value": {}})
    entry = full
    raw = reading.entries(entry.tree, f"node {name!r}")
    kind = _read_type(reading, name, entry, raw)
    if kind is None:
        return NodeSpec(name, "set", fields={"value": {}})
    fields = _known_fields(reading, name, kind, entry)
    fields.need(*TYPE_NEEDS[kind])
    return _common(fields, NodeSpec(name, kind, fields=_READERS[kind](fields)))


def _with_preset(reading: Reading, name: str, entry: Entry) -> Entry | None:
    """Return the node with the keys that it takes from its preset, whose places are told to be of that file.

    None = the preset cannot be read.
    """
    if not isinstance(entry.tree.value, dict) or "use" not in entry.tree.value:
        return entry
    own = dict(entry.tree.value)
    use = Fields(reading, f"node {name!r}", entry.at, {"use": own.pop("use")})
    name_of = use.word("use", "the name of a preset")
    if name_of and not is_name(name_of):
        use.wrong("use", "the name of a preset")
        return None
    preset = _read_preset(reading, use) if name_of else None
    if preset is None:
        return None
    path: Path = ("nodes", name)
    for key, inner in preset.items():
        if key not in own:
            reading.remember(inner.tree, (*path, key))
    return Entry(entry.at, Tree({**preset, **own}, entry.tree.at))


def _read_preset(reading: Reading, use: Fields) -> dict[str, Entry] | None:
    file = reading.read_beside(f"agent:{use.plain('use')}", use.place("use"))
    if file is None:
        return None
    try:
        trees = [lying_in(tree, file.shown) for tree in parse(file.text, file.shown, reading.faults)]
    except BadYaml as err:
        reading.faults.append(err.fault)
        return None
    if len(trees) != 1:
        reading.fault(Position(path=file.shown), "a preset is one mapping of a node's keys")
        return None
    preset = reading.fields(trees[0], "a preset", PRESET_KEYS)
    return {key: entry for key, entry in preset.entries.items() if key != "description"}


def _read_type(reading: Reading, name: str, entry: Entry, raw: dict[str, Entry]) -> NodeType | None:
    if "type" not in raw:
        mistyped = next((key for key in raw if key not in NODE_KEYS and near(key, ["type"])), "")
        if mistyped:
            what = f"unknown key {mistyped!r} in node {name!r} (did you mean 'type'?)"
            reading.fault(raw[mistyped].at, what)
        elif isinstance(entry.tree.value, dict):
            reading.fault(entry.at, f"node {name!r} needs 'type'")
        return None
    fields = Fields(reading, f"node {name!r}", entry.at, {"type": raw["type"]})
    return cast("NodeType | None", fields.one_of("type", NODE_TYPES, "") or None)


def _known_fields(reading: Reading, name: str, kind: str, entry: Entry) -> Fields:
    """Return the node's keys; one that belongs to other types only is told apart from an unknown one."""
    entries = dict(entry.tree.value)
    for key in sorted(set(entries) & set(NODE_KEYS) - set(TYPE_KEYS[kind])):
        reading.fault(entries.pop(key).at, f"{key!r} does not belong to a node of type {kind!r} ({name!r})")
    fields = reading.fields(Tree(entries, entry.at), f"node {name!r}", TYPE_KEYS[kind])
    fields.path = ("nodes", name)
    return fields


def _common(fields: Fields, node: NodeSpec) -> NodeSpec:
    return NodeSpec(
        name=node.name,
        type=node.type,
        model=fields.word("model", "a role or a model's tag"),
        tools=fields.words_or_code("tools"),
        budget=_read_budget(fields),
        history=cast(History, fields.one_of("history", NODE_KEYS["history"].options, "fresh")),
        output=_read_output(fields, node.type),
        limits=read_limits(fields, tuple(NODE_LIMITS)),
        max_visits=fields.count("max_visits"),
        on_limit=fields.word("on_limit", "a node's name"),
        timeout_s=fields.duration("timeout"),
        each=_read_each(fields),
        condition=fields.expr("if"),
        skipped=fields.plain("skipped"),
        has_skipped="skipped" in fields,
        on_error=fields.word("on_error", "'fail', 'pause' or a node's name") or "fail",
        retry=read_retry(fields),
        ensure=fields.expr("ensure"),
        approve=cast("Approve | None", fields.one_of("approve", NODE_KEYS["approve"].options, "") or None),
        workspace=cast(Workspace, fields.one_of("workspace", NODE_KEYS["workspace"].options, "inherit")),
        rights=read_rights(fields),
        fields=node.fields,
    )


def _read_each(fields: Fields) -> Each | None:
    items = fields.expr("each")
    if items is None:
        for key in ("as", "parallel", "order"):
            if key in fields:
                fields.reading.fault(fields.place(key), f"{key!r} belongs to 'each', which {fields.what} has not")
        return None
    name = fields.word("as", "a name") or "item"
    return Each(items, name, fields.count("parallel") or 1, fields.word("order", "the name of a field"))


def _read_budget(fields: Fields) -> dict[str, int]:
    if "budget" not in fields:
        return {}
    parts = fields.reading.fields(fields.entries["budget"].tree, "'budget'", BUDGET_KEYS)
    counts = {part: parts.count(part, least=0) for part in BUDGET_KEYS if part in parts}
    return {part: count for part, count in counts.items() if count is not None}


def _read_output(fields: Fields, kind: str) -> NodeOutput:
    if "output" not in fields:
        return NodeOutput()
    inner = fields.reading.fields(fields.entries["output"].tree, "'output'", OUTPUT_KEYS)
    schema = inner.schema() or None
    return NodeOutput(
        inner.word("to", "the name of a state key"), None if schema == OUTPUT_SCHEMAS.get(kind) else schema
    )


def read_limits(fields: Fields, keys: tuple[str, ...]) -> Limits:
    """Return the `limits` of a graph or a node, of which only the given ones are known."""
    if "limits" not in fields:
        return Limits()
    inner = fields.reading.fields(fields.entries["limits"].tree, "'limits'", keys)
    return Limits(
        node_runs=inner.count("node_runs"),
        model_calls=inner.count("model_calls"),
        tool_calls=inner.count("tool_calls"),
        tokens=inner.count("tokens"),
        wall_s=inner.duration("wall"),
    )


def _read_prompt(fields: Fields) -> dict[str, Any]:
    if not isinstance(fields.plain("prompt"), dict):
        return {"prompt": fields.word("prompt", "a text that is not empty, or {file: NAME}")}
    inner = fields.reading.fields(fields.entries["prompt"].tree, "'prompt'", PROMPT_KEYS)
    inner.need("file")
    name = inner.word("file", "a file's name")
    file = fields.reading.read_beside(name, inner.place("file")) if name else None
    if file is None:
        return {"prompt": ""}
    fields.reading.positions[*fields.path, "prompt"] = place = Position(path=file.shown)
    if not file.text.strip():
        fields.reading.fault(place, "the file is empty")
    return {"prompt": file.text}


def _read_python(fields: Fields) -> dict[str, Any]:
    return {"call": fields.code("call", "file.py:function or pkg.mod:function"), "with": fields.mapping("with")}


def _read_retrieve(fields: Fields) -> dict[str, Any]:
    wanted = fields.plain("filter")
    if "filter" in fields and not isinstance(wanted, (str, list)):
        fields.wrong(
            "filter", "a list of path globs or names of collections, or an expression in {{ }} that gives one"
        )
    index, required = fields.one_of("index", NODE_KEYS["index"].options, ""), fields.flag("required")
    if required and index == "code":
        fields.reading.fault(fields.place("required"), "'required' goes with 'index: docs'; code is always indexed")
    return {
        "index": index,
        "query": fields.word("query", "a text that is not empty"),
        "k": fields.count("k") or _HITS,
        "filter": wanted if isinstance(wanted, (str, list)) else [],
        "required": required,
    }


def _read_tool(fields: Fields) -> dict[str, Any]:
    name = fields.word("call", "a tool's name or file.py:function")
    call = fields.code("call", "a tool's name or file.py:function") if ":" in name else name
    return {"call": call, "with": fields.mapping("with")}


def _read_shell(fields: Fields) -> dict[str, Any]:
    env = fields.mapping("env")
    for name, value in env.items():
        if isinstance(value, (list, dict)) or value is None:
            fields.reading.fault(fields.place("env"), f"the value of {name!r} in 'env' must be a text")
    return {"run": _read_run(fields), "env": env, "parse": fields.one_of("parse", NODE_KEYS["parse"].options, "text")}


def _read_run(fields: Fields) -> Any:
    if "run" not in fields:
        return []
    tree = fields.entries["run"].tree
    if isinstance(tree.value, dict):
        inner = fields.reading.fields(tree, "'run'", ("command",))
        inner.need("command")
        return {"command": inner.expr("command") or "none"}
    if not isinstance(tree.value, list) or not tree.value:
        fields.wrong("run", "a list of arguments, or {command: EXPRESSION} for a command from the settings")
        return []
    for item in tree.value:
        if isinstance(item.value, (list, dict)) or item.value is None:
            fields.reading.fault(item.at, "an argument in 'run' must be a text")
    return [item.plain() if isinstance(item.value, str) else _argument(item.plain()) for item in tree.value]


def _argument(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_human(fields: Fields) -> dict[str, Any]:
    own: dict[str, Any] = {"show": fields.text("show"), "choices": list(fields.words("choices") or ())}
    for key, must in (("edits", "the name of a state key"), ("headless", "one of the choices")):
        if key in fields:
            own[key] = fields.word(key, must)
    return own


def _read_commit(fields: Fields) -> dict[str, Any]:
    for key in ("changes", "files"):
        if key in fields and not isinstance(fields.plain(key), (str, list)):
            fields.wrong(key, "a list, or an expression in {{ }} that gives one")
    if "changes" in fields and "files" in fields:
        fields.reading.fault(fields.place("files"), f"{fields.what} takes 'changes' or 'files', not both")
    own = {key: fields.plain(key) for key in ("changes", "files") if key in fields}
    if "yours" in fields:
        own["yours"] = fields.word("yours", "leave-out or include")
    return {"message": fields.word("message", "a text that is not empty"), **own}


def _read_graph(fields: Fields) -> dict[str, Any]:
    return {"graph": fields.word("graph", "a graph's name or file.py:graph"), "with": fields.mapping("with")}


def _read_set(fields: Fields) -> dict[str, Any]:
    return {"value": fields.mapping("value")}


def _read_fail(fields: Fields) -> dict[str, Any]:
    code = fields.plain("exit") if "exit" in fields else 1
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 125:
        fields.wrong("exit", "an exit code from 0 to 125")
        code = 1
    return {"message": fields.text("message"), "exit": code}


_READERS: Mapping[str, Callable[[Fields], dict[str, Any]]] = {
    **{kind: _read_prompt for kind in MODEL_NODES},
    "tool": _read_tool,
    "shell": _read_shell,
    "python": _read_python,
    "retrieve": _read_retrieve,
    "human": _read_human,
    "commit": _read_commit,
    "graph": _read_graph,
    "set": _read_set,
    "fail": _read_fail,
}
