"""Arguments of a tool call set right by the tool's JSON Schema: names models know instead of ours, and types.

Called where a reply is read (llm/) and where a call is checked (tools/args.py). Nothing is invented: what has no one
meaning stays as it came, for the check to refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

Schema = Mapping[str, Any]

# Ours first, then what other agents' tools call it, so what models were trained on. Only equal meanings: `end_line`
# is no `limit`, and `timeout` does not say its unit. Source: the tool schemas of Aider, Cline, Claude Code, Codex,
# Gemini CLI and OpenCode, and the reports in tests/llm/replies.jsonl.
ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "path": ("file_path", "file", "filename", "target_file", "absolute_path", "relative_path", "dir_path"),
        "old_text": ("old_string", "old_str", "old", "search", "original_text"),
        "new_text": ("new_string", "new_str", "new", "replace", "replacement"),
        "content": ("contents", "file_text", "file_content", "text"),
        "command": ("cmd", "command_line", "shell_command", "bash_command"),
        "pattern": ("regex", "regexp", "query", "glob_pattern", "search_pattern"),
        "query": ("q", "search_query", "search_term"),
        "offset": ("start_line", "line_start", "from_line"),
        "limit": ("max_lines", "num_lines", "line_count"),
        "include": ("glob", "file_pattern", "include_pattern"),
        "ignore_case": ("case_insensitive", "-i"),
        "task": ("prompt", "instructions", "description"),
        "patch": ("diff",),
        "edits": ("changes", "replacements"),
        "todos": ("todo_list", "items", "tasks"),
    }
)


def plain_name(name: str) -> str:
    """Return a name without case and punctuation: "oldText", "old-text" and "old_text" are one."""
    return re.sub(r"[\W_]", "", name).casefold()


def only_match(name: str, known: Iterable[str]) -> str | None:
    """Return the one known name that is this one, or differs from it in case and punctuation only.

    None = there is no such name, or more than one.
    """
    names = list(known)
    if name in names:
        return name
    plain = plain_name(name)
    near = [other for other in names if plain and plain_name(other) == plain]
    return near[0] if len(near) == 1 else None


def renamed(args: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the arguments under the schema's names, those inside lists of objects too.

    A name stays as it is when the schema knows it, when no one argument is meant, or when that argument is given as
    well.
    """
    properties: Schema = schema.get("properties") or {}
    meant = {name: name if name in properties else _meant(name, properties) for name in args}
    wanted = list(meant.values())
    told: dict[str, Any] = {}
    for name, value in args.items():
        ours = meant[name]
        # Two names of one argument, with one value or two: which counts is not ours to say.
        key = ours if ours is not None and wanted.count(ours) == 1 else name
        told[key] = _renamed_inside(value, properties.get(key) or {})
    return told


def coerced(args: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the arguments in the schema's types, where the value can be read as one and in one way.

    Text becomes a number, a boolean, a list or an object where only that is wanted; null for an optional argument
    counts as absent. Text for a text argument is never touched.
    """
    properties: Schema = schema.get("properties") or {}
    required = schema.get("required") or ()
    return {
        name: _coerced(value, properties.get(name) or {})
        for name, value in args.items()
        if not (value is None and name in properties and name not in required)
    }


def missing(args: Mapping[str, Any], schema: Schema) -> list[str]:
    """Return the required arguments that are not given, in the schema's order."""
    return [name for name in schema.get("required") or () if name not in args]


def _meant(name: str, properties: Schema) -> str | None:
    if near := only_match(name, properties):
        return near
    plain = plain_name(name)
    for ours, others in ALIASES.items():
        known = (ours, *others)
        if (name in known or (plain and plain in map(plain_name, known))) and (shown := _shown(known, properties)):
            return shown
    return None


def _shown(known: Sequence[str], properties: Schema) -> str:
    """Return under which of an argument's names a tool has it; "" = it does not.

    Ours first; a tool shown under another agent's names has one of the others, which is ours of no other argument.
    """
    found = [name for name in known if name in properties]
    if known[0] in found:
        return known[0]
    others = [name for name in found if name not in ALIASES]
    return others[0] if len(others) == 1 else ""


def _renamed_inside(value: Any, schema: Schema) -> Any:
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, Mapping) and items.get("properties"):
        return [renamed(item, items) if isinstance(item, dict) else item for item in value]
    return value


def _coerced(value: Any, schema: Schema) -> Any:
    wanted = schema.get("type")
    if isinstance(value, str):
        value = _from_text(value, wanted)
    items = schema.get("items")
    if wanted == "array" and isinstance(value, list) and isinstance(items, Mapping):
        return [_coerced(item, items) for item in value]
    if wanted == "object" and isinstance(value, dict) and schema.get("properties"):
        return coerced(value, schema)
    return value


def _from_text(text: str, wanted: Any) -> Any:
    bare = text.strip()
    if wanted in ("integer", "number") and re.fullmatch(r"[+-]?\d{1,18}", bare, re.ASCII):
        return int(bare)
    if wanted == "number" and re.fullmatch(r"[+-]?\d{1,18}\.\d{1,18}", bare, re.ASCII):
        return float(bare)
    if wanted == "boolean" and bare.casefold() in ("true", "false"):
        return bare.casefold() == "true"
    if wanted in ("array", "object"):
        return _from_json(text, list if wanted == "array" else dict)
    return text


def _from_json(text: str, wanted: type) -> Any:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return read if isinstance(read, wanted) else text
