"""What a graph file says, as plain data. Made by read.py, checked by validate.py, compiled by build.py.

Texts stay as they were written: an `Expr` is one bare expression; a template is a text, or JSON data made of texts,
whose `{{ }}` parts are filled when the node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NewType, get_args

from ..configs.rules import RuleDecision
from .beside import Beside
from .faults import Fault, Position

Expr = NewType("Expr", str)
"""One expression without braces; see expressions.py."""

START = "START"
END = "END"

NodeType = Literal[
    "planner",
    "coder",
    "reviewer",
    "sub_agent",
    "agent",
    "llm",
    "tool",
    "shell",
    "python",
    "retrieve",
    "human",
    "commit",
    "graph",
    "set",
    "fail",
]
Reduce = Literal["replace", "append", "union", "sum"]
ValueType = Literal["string", "int", "number", "bool", "list", "object", "path", "any"]
History = Literal["fresh", "continue"]
Workspace = Literal["inherit", "readonly", "worktree"]
Approve = Literal["before", "tools", "after"]
Schema = str | dict[str, Any]
"""A schema's name ("Plan"), an inline JSON Schema, or "KEY:Name" of a Python file beside the graph."""

NODE_TYPES: tuple[NodeType, ...] = get_args(NodeType)
MODEL_NODES = frozenset({"planner", "coder", "reviewer", "sub_agent", "agent", "llm"})
"""Types that talk to a model."""

OUTPUT_SCHEMAS: Mapping[str, str] = {"planner": "Plan", "coder": "Change", "reviewer": "Review"}
"""Schema that a role's output has when its node names none."""

OUTPUT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "shell": ("exit_code", "text"),
    "human": ("choice", "value", "reason"),
    "commit": ("commit", "files", "text"),
}
"""Fields of the value that a node of the type produces; a shell node with `parse: json` gives what was parsed."""

RETRY_KINDS = ("failure", "timeout", "reply", "server")
"""What `retry_on` may name: the node failed, it took too long, a model's replies could not be used, there was no
server for it."""
RETRY_DEFAULT = ("failure", "timeout", "reply")
RETRY_BACKOFF_S = 1.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a graph stands: the path as the person knows it, and the whole text of the file."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input. It has a `type` or a `schema`, or both: then it is a list, and the schema is that of its items. An
    input that is not required, has no default and is not given is None. `positional`: it takes the plain argument of
    `flow run GRAPH ARGUMENT`."""

    type: ValueType | None = None
    schema: Schema | None = None
    required: bool = False
    default: Any = None
    has_default: bool = False
    positional: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class StateKey:
    """One state key, `type` and `schema` as of an input. `key`: the field by which `union` compares items."""

    type: ValueType | None = None
    schema: Schema | None = None
    reduce: Reduce = "replace"
    key: str = ""

    @property
    def kind(self) -> str | None:
        """The type of all that the key holds, which a reducer may tell; None = not known."""
        return self.type or {"append": "list", "union": "list", "sum": "number"}.get(self.reduce)

    def empty(self) -> Any:
        """Return the value before the first write: None, [] (append, union) or 0 (sum)."""
        return {"replace": None, "append": [], "union": [], "sum": 0}[self.reduce]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a graph or a node; None = no limit of its own.

    Attributes:
        tokens: prompt and completion together.
        wall_s: seconds of wall-clock time.
    """

    node_runs: int | None = None
    model_calls: int | None = None
    tool_calls: int | None = None
    tokens: int | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """What the commands of a graph or a node may do, beyond what the settings and the graph around it say.

    Attributes:
        permissions: rules as in the settings, each checked, with their decisions.
        network: whether commands have the network; None = nothing is said.
    """

    permissions: dict[str, RuleDecision] = field(default_factory=dict)
    network: bool | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """Runs the node once per item of a list; see `order_steps` of core for `order` ("" = as listed).

    Attributes:
        items: gives the list.
        name: under which the node's texts see the item.
        parallel: items at a time; 1 = one after the other.
        order: field of the items that lists the ids an item depends on.
    """

    items: Expr
    name: str = "item"
    parallel: int = 1
    order: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Trying a failed visit again.

    Attributes:
        max_attempts: tries in all.
        backoff_s: pause before the second try, doubled before each further one.
        on: kinds of failures that are tried again: some of RETRY_KINDS, and names of Python exceptions.
    """

    max_attempts: int
    backoff_s: float = RETRY_BACKOFF_S
    on: tuple[str, ...] = RETRY_DEFAULT


@dataclass(frozen=True, slots=True)
class NodeOutput:
    """`to`: state key that takes the node's value, "" = none. `schema`: what the value follows, None = the preset."""

    to: str = ""
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node.

    Attributes:
        model: a role or an exact tag; "" = the role of the type.
        tools: names; None = the type's preset, () = none.
        budget: tokens by part (repo_map, code, docs, memory, mentions, history); a missing part = the type's preset.
        history: whether a later visit goes on with the messages of the one before.
        max_visits, on_limit: both or neither; `on_limit` is the node that follows instead of one visit more.
        timeout_s: None = the type's preset.
        each: None = the node runs once a visit.
        condition: the `if`, evaluated once a visit, before the items; None = always.
        skipped: template for the node's value when the condition is false. A human node's is one of its choices.
        has_skipped: False = a skipped node has the value None and writes nothing.
        retry: None = a visit that failed is not tried again.
        on_error: "fail" ends the run, "pause" stops it until it is resumed, anything else is the node that follows.
        ensure: must be true of the node's value, its `output`; None = nothing must.
        approve: when a person is asked whether the node may go on; None = never.
        workspace: where it works: with the run ("inherit"), with it but without changing anything, or in a checkout
            of its own.
        rights: of its commands, and of the commands of the graph that it runs.
        below: of a graph written in Python: what runs graphs of flow inside a graph of LangGraph that the node is.
        fields: what belongs to the type (templates unless said otherwise):
            planner, coder, reviewer, sub_agent, agent, llm: prompt.
            tool: call (plain name), with (JSON object).
            shell: run (a list of texts, or {"command": Expr}), env (object, {} = none), parse ("text" | "json").
            python: call ("KEY:function", see GraphSpec.beside), with (JSON object, every argument in it).
            retrieve: index ("code" | "docs"), query, k, filter (list or template, [] = all), required (flag).
            human: show, choices (plain list), edits (state key or absent), headless (a choice or absent).
            commit: message, changes, files, yours (each of the last three may be absent).
            graph: graph (plain name), with (JSON object).
            set: value (object: state key -> value).
            fail: message, exit (number).
    """

    name: str
    type: NodeType
    model: str = ""
    tools: tuple[str, ...] | None = None
    budget: dict[str, int] = field(default_factory=dict)
    history: History = "fresh"
    output: NodeOutput = NodeOutput()
    limits: Limits = Limits()
    max_visits: int | None = None
    on_limit: str = ""
    timeout_s: float | None = None
    each: Each | None = None
    condition: Expr | None = None
    skipped: Any = None
    has_skipped: bool = False
    on_error: str = "fail"
    retry: Retry | None = None
    ensure: Expr | None = None
    approve: Approve | None = None
    workspace: Workspace = "inherit"
    rights: Rights = Rights()
    below: tuple[NodeSpec, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)

    def schema(self) -> Schema | None:
        """Return what the node's value follows: its own schema, else the role's; None = free."""
        return self.output.schema if self.output.schema is not None else OUTPUT_SCHEMAS.get(self.type)


@dataclass(frozen=True, slots=True)
class Always:
    """One way on. Every `target` is a node's name or END."""

    target: str


@dataclass(frozen=True, slots=True)
class When:
    """Two ways on: `to` when the expression is true, else `otherwise`."""

    expr: Expr
    to: str
    otherwise: str


@dataclass(frozen=True, slots=True)
class Switch:
    """One way per value of the expression (as text, true and false in small letters); None = no default."""

    expr: Expr
    cases: dict[str, str]
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Fan:
    """Several ways at once (`[a, [b, c], d]`); where they meet again, joins.py."""

    targets: tuple[str, ...]


Route = Always | When | Switch | Fan


@dataclass(frozen=True, slots=True)
class GraphTest:
    """One test of a graph, run against recorded answers.

    Attributes:
        replay: a cassette beside the graph's file; "" = no model is asked.
        answers: of people by node, one for each time it asks, the last one for all further times; a node that is not
            here takes its headless answer.
        files: a folder beside the graph's file, on a copy of which the test works; "" = on an empty repository.
        documents: paths in `files` that are indexed as documents.
        settings: verify and check as expressions see them; what is missing is None.
        exit: exit code that the run must end with.
        expect: must be true at the end.
        path: where it stands in the file.
    """

    name: str
    input: dict[str, Any] = field(default_factory=dict)
    replay: str = ""
    answers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    files: str = ""
    documents: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    mode: str = "auto-edit"
    exit: int = 0
    expect: tuple[Expr, ...] = ()
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One graph.

    Attributes:
        output: what it returns: expressions by name, or one expression; None = nothing.
        routes: the way on from each node, and from START; `fail` nodes have none.
        rights: of the commands of its nodes.
        positions: places by path, e.g. ("nodes", "plan", "prompt") or ("edges", 0, "when"); a node's own is its name.
        route_paths: where in `positions` each node's route stands.
        beside: the files that the graph's file names, by key; see beside.py.
        tests: what `flow graphs test` runs; they change nothing of the graph itself.
        filters: those of its own Python code, "FILE.function" -> "KEY:function".
        code: "KEY:name" of a graph written in Python, of which all else here was read off; "" = it is a file's.
    """

    name: str
    source: Source
    nodes: dict[str, NodeSpec]
    routes: dict[str, Route]
    description: str = ""
    inputs: dict[str, InputSpec] = field(default_factory=dict)
    state: dict[str, StateKey] = field(default_factory=dict)
    output: dict[str, Expr] | Expr | None = None
    limits: Limits = Limits()
    rights: Rights = Rights()
    positions: dict[tuple[str | int, ...], Position] = field(default_factory=dict)
    route_paths: dict[str, tuple[str | int, ...]] = field(default_factory=dict)
    beside: Mapping[str, Beside] = field(default_factory=dict)
    tests: tuple[GraphTest, ...] = ()
    code: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)

    @property
    def to_run(self) -> str:
        """What a command line names it by: a graph in Python by its file."""
        return f"{self.source.path}:{self.code.rpartition(':')[2]}" if self.code else self.name

    @property
    def entries(self) -> list[str]:
        """The nodes that START leads to; [] in a graph that has none (validation refuses it)."""
        return route_targets(self.routes[START]) if START in self.routes else []

    @property
    def entry(self) -> str:
        """The one node that START leads to; "" when there is none, or several."""
        return self.entries[0] if len(self.entries) == 1 else ""

    def at(self, *path: str | int) -> Position:
        """Return the place of the deepest known part of the path; the file's beginning when none is known."""
        for end in range(len(path), -1, -1):
            if (position := self.positions.get(path[:end])) is not None:
                return position
        return Position()

    def fault(self, path: tuple[str | int, ...], message: str) -> Fault:
        """Return a fault at the path's place."""
        at = self.at(*path)
        return Fault(at.path or self.source.path, at, message)


def route_targets(route: Route) -> list[str]:
    """Return where a route may lead, each target once, in the order of the file."""
    match route:
        case Always(target):
            targets = [target]
        case When(_, to, otherwise):
            targets = [to, otherwise]
        case Switch(_, cases, default):
            targets = [*cases.values(), *([] if default is None else [default])]
        case Fan(names):
            targets = list(names)
    return list(dict.fromkeys(targets))


def graph_nodes(spec: GraphSpec) -> list[NodeSpec]:
    """Return the nodes of a graph that run graphs of flow, those `below` its own ones among them."""
    nodes = [each for node in spec.nodes.values() for each in (node, *node.below)]
    return [node for node in nodes if node.type == "graph"]


def subgraphs_of(spec: GraphSpec) -> list[str]:
    """Return the names of the graphs that the graph's nodes run, each once."""
    return list(dict.fromkeys(node.fields["graph"] for node in graph_nodes(spec)))
