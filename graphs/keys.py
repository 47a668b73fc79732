"""The keys of graph files: which there are, what each takes, what it means. The one table of the format.

The reader takes the known names from it; the JSON Schema and the format's page are made of it and checked against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Form = Literal[
    "text",
    "template",
    "data",
    "expr",
    "flag",
    "count",
    "time",
    "choice",
    "name",
    "names",
    "map",
    "exprs",
    "schema",
    "rules",
    "object",
    "value",
]
"""What a key takes:

text: a text as it stands. template: a text with `{{ }}`. data: JSON data whose texts are templates. expr: a bare
expression, or true, false, a number. flag: true or false. count: a number, or a text such as 600k or 2M. time: a text
such as 30s or 10m. choice: one of `options`. name: the name of something. names: a list of texts. map: name -> data.
exprs: name -> expression. schema: a schema's name, a JSON Schema, or "file.py:Model". rules: permission rules.
object: a mapping with `keys`. value: JSON data as it stands.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `forms`: it takes any of them. `least`: the smallest count. `meaning`: one line for people."""

    forms: tuple[Form, ...]
    meaning: str
    options: tuple[str, ...] = ()
    keys: Mapping[str, Key] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    least: int = 1


def _key(forms: str, meaning: str, *options: str, least: int = 1) -> Key:
    return Key(tuple(forms.split()), meaning, options, least=least)  # type: ignore[arg-type]


def _object(meaning: str, keys: Mapping[str, Key], *needs: str, also: str = "") -> Key:
    return Key((*also.split(), "object"), meaning, keys=keys, needs=needs)  # type: ignore[arg-type]


VALUE_TYPES = ("string", "int", "number", "bool", "list", "object", "path", "any")
REDUCES = ("replace", "append", "union", "sum")

BUDGET_KEYS: Mapping[str, Key] = {
    "repo_map": _key("count", "tokens of the outline of the repository", least=0),
    "code": _key("count", "tokens of code that fits the task", least=0),
    "docs": _key("count", "tokens of documents that fit the task", least=0),
    "memory": _key("count", "tokens of the memory files", least=0),
    "mentions": _key("count", "tokens of what the task mentions", least=0),
    "history": _key("count", "tokens of the earlier conversation", least=0),
}
GRAPH_LIMITS: Mapping[str, Key] = {
    "node_runs": _key("count", "visits of all nodes together"),
    "model_calls": _key("count", "calls of models"),
    "tokens": _key("count", "tokens, prompt and completion together"),
    "wall": _key("time", "time from the start, a person's thinking left out"),
}
NODE_LIMITS: Mapping[str, Key] = {
    "tokens": _key("count", "tokens of one visit, sub-agents included"),
    "wall": _key("time", "time of one visit"),
    "tool_calls": _key("count", "tool calls of one visit"),
    "model_calls": _key("count", "model calls of one visit"),
}
OUTPUT_KEYS: Mapping[str, Key] = {
    "to": _key("name", "state key that takes the node's value"),
    "schema": _key("schema", "what the value must follow"),
}
RETRY_KEYS: Mapping[str, Key] = {
    "max_attempts": _key("count", "tries in all, the first one included"),
    "backoff": _key("time", "pause before the second try; doubled before each further one"),
    "retry_on": _key("names", "kinds of failures that are tried again"),
}
PROMPT_KEYS: Mapping[str, Key] = {
    "file": _key("text", "a text file beside the graph, read as if it stood here"),
}
RUN_KEYS: Mapping[str, Key] = {"command": _key("expr", "a command from the settings or an input")}

INPUT_KEYS: Mapping[str, Key] = {
    "type": _key("choice", "what the value is", *VALUE_TYPES),
    "schema": _key("schema", "what the value must follow; of each item, beside `type: list`"),
    "required": _key("flag", "whether it must be given"),
    "default": _key("value", "the value when none is given"),
    "positional": _key("flag", "whether it takes the plain argument of `flow run NAME ARGUMENT`"),
    "description": _key("text", "what `flow run NAME --help` says of it"),
}
STATE_KEYS: Mapping[str, Key] = {
    "type": _key("choice", "what the value is", *VALUE_TYPES),
    "schema": _key("schema", "what the value must follow; of each item, beside `type: list`"),
    "reduce": _key("choice", "how a new value joins the old one", *REDUCES),
    "key": _key("name", "for `reduce: union`: the field that tells items apart"),
}

TEST_KEYS: Mapping[str, Key] = {
    "name": _key("text", "what the test is called"),
    "input": _key("map", "the graph's inputs by name"),
    "replay": _key("text", "recorded answers of the models, a file beside the graph"),
    "answers": _key("map", "answers of people by node; else each question's own headless one"),
    "files": _key("text", "a folder beside the graph that the test works on a copy of"),
    "documents": _key("names", "paths in `files` that are indexed as documents"),
    "settings": _key("map", "verify and check as the graph's expressions see them"),
    "mode": _key(
        "choice", "what commands may do unasked, auto-edit unless it is set", "plan", "ask", "auto-edit", "auto"
    ),
    "exit": _key("count", "exit code that the run must end with, 0 unless it is set", least=0),
    "expect": _key("names", "expressions that must be true at the end; `output` is what the graph returned"),
}
EDGE_KEYS: Mapping[str, Key] = {
    "from": _key("name", "the node that the ways begin at"),
    "when": _key("expr", "decides; `output` is what the node just gave"),
    "to": _key("name", "the node that follows when it is true, or END"),
    "else": _key("name", "the node that follows when it is not, or END"),
}
SWITCH_KEYS: Mapping[str, Key] = {
    "from": _key("name", "the node that the ways begin at"),
    "switch": _key("expr", "its value chooses a case; `output` is what the node just gave"),
    "cases": _key("map", "value -> the node that follows, or END"),
    "default": _key("name", "the node that follows where no case fits"),
}

NODE_KEYS: Mapping[str, Key] = {
    "type": _key("name", "what the node does"),
    "use": _key("name", "a preset of keys, agents/NAME.yaml; what stands in the node wins"),
    # flow
    "if": _key("expr", "the node runs only when this is true"),
    "skipped": _key("data", "the node's value when it does not run"),
    "each": _key("expr", "a list; the node runs once per item"),
    "as": _key("name", "name of the item in the node's texts; item = always"),
    "parallel": _key("count", "items at a time"),
    "order": _key("name", "field of the items that lists the ids an item waits for"),
    "max_visits": _key("count", "visits in one run of the graph, for a node on a cycle"),
    "on_limit": _key("name", "the node that follows instead of one visit more"),
    "on_error": _key("name", "what follows a failure: fail, pause or a node"),
    "retry": _object("trying a failed visit again", RETRY_KEYS),
    "timeout": _key("time", "longest time of one visit"),
    "limits": _object("bounds of one visit", NODE_LIMITS),
    # value
    "output": _object("where the value goes, and what it must follow", OUTPUT_KEYS),
    "ensure": _key("expr", "must be true of the value, which it sees as `output`"),
    "approve": _key(
        "choice", "a person is asked before the node runs, at each tool call, or after", "before", "tools", "after"
    ),
    # rights
    "workspace": _key("choice", "where the node works", "inherit", "readonly", "worktree"),
    "permissions": _key("rules", "rules about the node's commands"),
    "network": _key("flag", "whether the node's commands have the network"),
    # agents
    "prompt": _object("the task", PROMPT_KEYS, "file", also="template"),
    "model": _key("name", "a role (main, planner, coder, ...) or an exact model"),
    "tools": _key("names", "the tools that the agent has, in place of its type's"),
    "budget": _object("tokens of the parts of the first message", BUDGET_KEYS),
    "history": _key("choice", "whether a later visit goes on with the conversation before", "fresh", "continue"),
    # of single types
    "call": _key("name", "tool: a tool's name. python: file.py:function or pkg.mod:function"),
    "with": _key("map", "values by name, for the tool, the function or the graph"),
    "run": _object("a command as a list of words, or {command: expr}", RUN_KEYS, "command", also="data"),
    "env": _key("map", "environment variables of the command"),
    "parse": _key("choice", "what the output is; lines: the value has them all", "text", "json", "lines"),
    "show": _key("template", "what the person reads"),
    "choices": _key("names", "the answers, the first one being the default"),
    "edits": _key("name", "state key whose value the person may edit"),
    "headless": _key("text", "the answer where nobody can be asked"),
    "message": _key("template", "subject of the commit; what the failed graph says"),
    "changes": _key("data", "Changes whose files and summaries the commit takes"),
    "files": _key("data", "files that the commit takes"),
    "yours": _key("template", "what to do with files the user had changed: leave-out or include"),
    "graph": _key("name", "the graph that the node runs"),
    "value": _key("map", "state key -> the value it is set to"),
    "exit": _key("count", "exit code of the failed graph", least=0),
    "index": _key("choice", "what is searched", "code", "docs"),
    "query": _key("template", "what is searched for"),
    "k": _key("count", "hits at most"),
    "filter": _key("data", "path globs or names of collections; a hit fits one of them"),
    "required": _key("flag", "whether a run is refused, before a model is asked, where no documents are indexed"),
}
"""Every key that a node of some type may have."""

_FLOW = ("type", "use", "if", "skipped", "max_visits", "on_limit", "on_error", "each", "as", "parallel", "order")
_BOUNDS = ("retry", "timeout", "limits")
_VALUE = ("output", "ensure", *_BOUNDS, "approve")
_RIGHTS = ("permissions", "network")
_LLM = (*_FLOW, *_VALUE, "workspace", "prompt", "model", "budget", "history")
_AGENT = (*_LLM, *_RIGHTS, "tools")

TYPE_KEYS: Mapping[str, tuple[str, ...]] = {
    "planner": _AGENT,
    "coder": _AGENT,
    "reviewer": _AGENT,
    "sub_agent": _AGENT,
    "agent": _AGENT,
    "llm": _LLM,
    "tool": (*_FLOW, *_VALUE, *_RIGHTS, "workspace", "call", "with"),
    "shell": (*_FLOW, *_VALUE, *_RIGHTS, "workspace", "run", "env", "parse"),
    "python": (*_FLOW, *_VALUE, *_RIGHTS, "workspace", "call", "with"),
    "retrieve": (*_FLOW, *_VALUE, "index", "query", "k", "filter", "required"),
    "human": (*_FLOW, "output", "ensure", "show", "choices", "edits", "headless"),
    "commit": (*_FLOW, *_VALUE, "message", "changes", "files", "yours"),
    "graph": (*_FLOW, *_VALUE, *_RIGHTS, "workspace", "graph", "with"),
    "set": (*_FLOW, *_BOUNDS, "value"),
    "fail": ("type", "use", "message", "exit"),
}
"""The keys of a node by its type."""

TYPE_NEEDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("planner", "coder", "reviewer", "sub_agent", "agent", "llm"), ("prompt",)),
    "tool": ("call",),
    "shell": ("run",),
    "python": ("call",),
    "retrieve": ("index", "query"),
    "human": ("show", "choices"),
    "commit": ("message",),
    "graph": ("graph",),
    "set": ("value",),
    "fail": ("message",),
}
"""The keys that a node must have by its type."""

GRAPH_KEYS: Mapping[str, Key] = {
    "flow": _key("count", "version of the format, 1"),
    "name": _key("name", "what `flow run NAME` and lists call it"),
    "description": _key("text", "one line for lists"),
    "input": Key(("object",), "what is given when it runs: name -> what it is", keys=INPUT_KEYS),
    "state": Key(("object",), "what the nodes share: name -> what it is", keys=STATE_KEYS),
    "output": _key("expr exprs", "what it returns: an expression, or name -> expression"),
    "limits": _object("bounds of the whole run", GRAPH_LIMITS),
    "permissions": _key("rules", "rules about the commands of all nodes"),
    "network": _key("flag", "whether the commands of all nodes have the network"),
    "nodes": Key(("object",), "what it does: name -> node", keys=NODE_KEYS),
    "edges": _key("value", "the ways from node to node"),
    "filters": _key("text names", "Python files beside the graph whose filters its expressions use"),
    "tests": _key("value", "what `flow graphs test` runs"),
}
"""The keys at the top of a graph. Those of `input`, `state` and `nodes` stand below names of the file's own."""

PRESET_KEYS: Mapping[str, Key] = {
    "description": _key("text", "one line for lists"),
    **{name: key for name, key in NODE_KEYS.items() if name != "use"},
}
"""The keys of agents/NAME.yaml."""
