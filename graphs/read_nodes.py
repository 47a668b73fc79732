"""Reading the `nodes` of a graph file. Called by read.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from .fields import Fields, Reading
from .read_permissions import RIGHTS, read_rights
from .spec import MODEL_NODES, NODE_TYPES, OUTPUT_SCHEMAS, Each, History, Limits, NodeOutput, NodeSpec, NodeType
from .tree import Entry

LATER_TYPES = ("python", "retrieve")
BUDGET_PARTS = ("repo_map", "code", "docs", "memory", "mentions", "history")

_FLOW = ("type", "if", "skipped", "max_visits", "on_limit", "on_error", "each", "as", "parallel", "order")
_LATER = ("ensure", "retry", "use", "approve")
_MODEL = (*_FLOW, "output", "timeout", "limits", "workspace", "prompt", "model", "budget", "history")
_KEYS: Mapping[str, tuple[str, ...]] = {
    **{kind: (*_MODEL, *RIGHTS, "tools") for kind in MODEL_NODES},
    "llm": _MODEL,
    "tool": (*_FLOW, *RIGHTS, "output", "timeout", "workspace", "call", "with"),
    "shell": (*_FLOW, *RIGHTS, "output", "timeout", "workspace", "run", "env", "parse"),
    "human": (*_FLOW, "output", "show", "choices", "edits", "headless"),
    "commit": (*_FLOW, "output", "message", "changes", "files", "yours"),
    "graph": (*_FLOW, *RIGHTS, "output", "limits", "workspace", "graph", "with"),
    "set": (*_FLOW, "value"),
    "fail": ("type", "message", "exit"),
    "python": (*_FLOW, "output", "timeout", "workspace", "call", "with"),
    "retrieve": (*_FLOW, "output", "timeout", "index", "query", "k", "filter"),
}
_ALL_KEYS = frozenset(key for keys in _KEYS.values() for key in keys)


def read_node(reading: Reading, name: str, entry: Entry) -> NodeSpec:
    """Return the node. One that cannot be read becomes an empty `set`, so that the edges still find its name."""
    raw = reading.entries(entry.tree, f"node {name!r}")
    kind = _read_type(reading, name, entry, raw)
    if kind is None:
        return NodeSpec(name, "set", fields={"value": {}})
    fields = _known_fields(reading, name, kind, entry)
    if kind in LATER_TYPES:
        reading.later(fields.place("type"), f"a node of type {kind!r}")
        return _common(fields, NodeSpec(name, "set", fields={"value": {}}))
    own = _READERS[kind](fields)
    return _common(fields, NodeSpec(name, cast(NodeType, kind), fields=own))


def _read_type(reading: Reading, name: str, entry: Entry, raw: dict[str, Entry]) -> str | None:
    if "type" not in raw:
        if "use" in raw:
            reading.later(raw["use"].at, "'use'")
        elif isinstance(entry.tree.value, dict):
            reading.fault(entry.at, f"node {name!r} needs 'type'")
        return None
    fields = Fields(reading, f"node {name!r}", entry.at, {"type": raw["type"]})
    return fields.one_of("type", (*NODE_TYPES, *LATER_TYPES), "") or None


def _known_fields(reading: Reading, name: str, kind: str, entry: Entry) -> Fields:
    """Return the node's keys; one that belongs to other types only is told apart from an unknown one."""
    keys = _KEYS[kind]
    elsewhere = {key for key in _ALL_KEYS if key not in keys}
    entries = dict(entry.tree.value)
    for key in sorted(elsewhere & set(entries)):
        reading.fault(entries.pop(key).at, f"{key!r} does not belong to a node of type {kind!r} ({name!r})")
    tree = type(entry.tree)(entries, entry.at)
    return reading.fields(tree, f"node {name!r}", keys, _LATER)


def _common(fields: Fields, node: NodeSpec) -> NodeSpec:
    _note_later(fields)
    return NodeSpec(
        name=node.name,
        type=node.type,
        model=fields.word("model", "a role or a model's tag"),
        tools=fields.words("tools"),
        budget=_read_budget(fields),
        history=cast(History, fields.one_of("history", ("fresh", "continue"), "fresh")),
        output=_read_output(fields, node.type),
        limits=read_limits(fields, ("tokens", "wall", "tool_calls", "model_calls")),
        max_visits=fields.count("max_visits"),
        on_limit=fields.word("on_limit", "a node's name"),
        timeout_s=fields.duration("timeout"),
        each=_read_each(fields),
        condition=fields.expr("if"),
        skipped=fields.plain("skipped"),
        has_skipped="skipped" in fields,
        on_error=fields.word("on_error", "'fail' or a node's name") or "fail",
        rights=read_rights(fields),
        fields=node.fields,
    )


def _note_later(fields: Fields) -> None:
    if fields.plain("on_error") == "pause":
        fields.reading.later(fields.place("on_error"), "'on_error: pause'")
    if "workspace" in fields:
        choice = fields.one_of("workspace", ("inherit", "readonly", "worktree"), "inherit")
        if choice != "inherit":
            fields.reading.later(fields.place("workspace"), f"'workspace: {choice}'")


def _read_each(fields: Fields) -> Each | None:
    items = fields.expr("each")
    if items is None:
        for key in ("as", "parallel", "order"):
            if key in fields:
                fields.reading.fault(fields.place(key), f"{key!r} belongs to 'each', which {fields.what} has not")
        return None
    parallel = fields.count("parallel") or 1
    if parallel > 1:
        fields.reading.later(fields.place("parallel"), "'parallel' above 1")
    name = fields.word("as", "a name") or "item"
    return Each(items, name, parallel, fields.word("order", "the name of a field"))


def _read_budget(fields: Fields) -> dict[str, int]:
    if "budget" not in fields:
        return {}
    parts = fields.reading.fields(fields.entries["budget"].tree, "'budget'", BUDGET_PARTS)
    counts = {part: parts.count(part, least=0) for part in BUDGET_PARTS if part in parts}
    return {part: count for part, count in counts.items() if count is not None}


def _read_output(fields: Fields, kind: str) -> NodeOutput:
    if "output" not in fields:
        return NodeOutput()
    inner = fields.reading.fields(fields.entries["output"].tree, "'output'", ("to", "schema"))
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
    fields.need("prompt")
    return {"prompt": fields.word("prompt", "a text that is not empty")}


def _read_tool(fields: Fields) -> dict[str, Any]:
    fields.need("call")
    return {"call": fields.word("call", "a tool's name"), "with": fields.mapping("with")}


def _read_shell(fields: Fields) -> dict[str, Any]:
    fields.need("run")
    env = fields.mapping("env")
    for name, value in env.items():
        if isinstance(value, (list, dict)) or value is None:
            fields.reading.fault(fields.place("env"), f"the value of {name!r} in 'env' must be a text")
    return {"run": _read_run(fields), "env": env, "parse": fields.one_of("parse", ("text", "json"), "text")}


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
    fields.need("show", "choices")
    own: dict[str, Any] = {"show": fields.text("show"), "choices": list(fields.words("choices") or ())}
    for key, must in (("edits", "the name of a state key"), ("headless", "one of the choices")):
        if key in fields:
            own[key] = fields.word(key, must)
    return own


def _read_commit(fields: Fields) -> dict[str, Any]:
    fields.need("message")
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
    fields.need("graph")
    return {"graph": fields.word("graph", "a graph's name"), "with": fields.mapping("with")}


def _read_set(fields: Fields) -> dict[str, Any]:
    fields.need("value")
    return {"value": fields.mapping("value")}


def _read_fail(fields: Fields) -> dict[str, Any]:
    fields.need("message")
    code = fields.plain("exit") if "exit" in fields else 1
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 125:
        fields.wrong("exit", "an exit code from 0 to 125")
        code = 1
    return {"message": fields.text("message"), "exit": code}


_READERS: Mapping[str, Callable[[Fields], dict[str, Any]]] = {
    **{kind: _read_prompt for kind in MODEL_NODES},
    "tool": _read_tool,
    "shell": _read_shell,
    "human": _read_human,
    "commit": _read_commit,
    "graph": _read_graph,
    "set": _read_set,
    "fail": _read_fail,
}
