from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowloom.core.errors import GraphInvalid
from flowloom.graphs.fields import parse_count, parse_duration
from flowloom.graphs.read import read_file, read_text
from flowloom.graphs.spec import Always, Fan, GraphSpec, Limits, Switch, When
from flowloom.graphs.tree import MAX_BYTES, plain_scalar

SMALL = """\
flow: 1
name: small
nodes:
  a: {type: set, value: {}}
edges:
  - [START, a, END]
"""


def one(text: str) -> GraphSpec:
    return next(iter(read_text(text, "g.yaml").values()))


def faults(text: str) -> list[str]:
    with pytest.raises(GraphInvalid) as caught:
        read_text(text, "g.yaml")
    assert caught.value.exit_code == 6
    return str(caught.value).splitlines()


def with_node(node: str) -> str:
    return SMALL.replace("{type: set, value: {}}", node)


def with_edge(edge: str) -> str:
    return SMALL.replace("[START, a, END]", edge)


def test_smallest_graph_is_read() -> None:
    spec = one(SMALL)
    assert (spec.name, spec.entry, list(spec.nodes)) == ("small", "a", ["a"])
    assert spec.routes["a"] == Always("END")


def test_several_documents_give_several_graphs() -> None:
    assert list(read_text(SMALL + "---\n" + SMALL.replace("small", "次"), "g.yaml")) == ["small", "次"]


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert list(read_file(path)) == ["small"]


def test_yes_and_on_stay_texts() -> None:
    spec = one(with_node("{type: human, show: 続けますか, choices: [yes, no, on]}"))
    assert spec.nodes["a"].fields["choices"] == ["yes", "no", "on"]
    assert spec.nodes["a"].fields["show"] == "続けますか"


def test_every_attribute_of_an_agent_is_read() -> None:
    spec = one(
        with_node(
            "{type: coder, prompt: p, model: light, tools: [grep], budget: {repo_map: 1k, code: 0}, "
            "history: continue, output: {to: x}, limits: {model_calls: 5}, max_visits: 3, on_limit: b, "
            "each: state.xs, as: x, order: deps, if: input.y, skipped: {n: 1}, on_error: b}"
        )
    )
    node = spec.nodes["a"]
    assert (node.model, node.tools, node.budget, node.history) == (
        "light",
        ("grep",),
        {"repo_map": 1000, "code": 0},
        "continue",
    )
    assert (node.output.to, node.limits, node.max_visits, node.on_limit) == ("x", Limits(model_calls=5), 3, "b")
    assert node.each is not None
    assert (node.each.items, node.each.name, node.each.order) == ("state.xs", "x", "deps")
    assert (node.condition, node.skipped, node.on_error) == ("input.y", {"n": 1}, "b")


def test_limits_of_a_graph_are_read_with_units() -> None:
    assert one(SMALL + "limits: {node_runs: 200, tokens: 600k, wall: 60m, model_calls: 9}\n").limits == Limits(
        node_runs=200, tokens=600_000, wall_s=3600.0, model_calls=9
    )


def test_shell_arguments_keep_their_templates() -> None:
    node = one(with_node('{type: shell, run: [cat, "{{ input.file }}", 3], parse: json, timeout: 500ms}')).nodes["a"]
    assert node.fields == {"run": ["cat", "{{ input.file }}", "3"], "env": {}, "parse": "json"}
    assert node.timeout_s == 0.5


def test_routes_of_every_form_are_read() -> None:
    text = SMALL.replace(
        "[START, a, END]",
        "[START, a, [b, c], d]\n  - {from: d, when: output.x, to: e, else: END}\n"
        "  - {from: e, switch: output.y, cases: {1: a, true: b}, default: END}",
    )
    routes = one(text).routes
    assert routes["a"] == Fan(("b", "c"))
    assert routes["b"] == routes["c"] == Always("d")
    assert routes["d"] == When("output.x", "e", "END")  # type: ignore[arg-type]
    assert routes["e"] == Switch("output.y", {"1": "a", "true": "b"}, "END")  # type: ignore[arg-type]


def test_a_schema_that_the_role_has_anyway_is_no_schema_of_its_own() -> None:
    assert (
        one(with_node("{type: coder, prompt: p, output: {to: x, schema: Change}}")).nodes["a"].output.schema is None
    )


# The mark « stands where the fault must be found.
BROKEN = [
    ("«", "the file holds no graph"),
    ("«- a", "a graph must be a mapping (name: value), not a list"),
    (
        "flow: «2\nname: small\nnodes:\n  a: {type: set, value: {}}\nedges:\n  - [START, a, END]\n",
        "'flow' must be 1, the version of the format that is known here, not 2",
    ),
    (
        "flow: 1\n«nam: small\nnodes:\n  a: {type: set, value: {}}\nedges:\n  - [START, a, END]\n",
        "unknown key 'nam' in a graph (did you mean 'name'?)",
    ),
    ("«flow: 1\nnodes:\n  a: {type: set, value: {}}\nedges:\n  - [START, a, END]\n", "a graph needs 'name'"),
    (
        "flow: 1\nname: «a:b\nnodes:\n  a: {type: set, value: {}}\nedges:\n  - [START, a, END]\n",
        "'name' must be made of letters, digits, '_', '-' and '.', not 'a:b'",
    ),
    (SMALL + "«name: twice\n", "'name' stands here a second time; the first is on line 2"),
    (
        SMALL + "---\nflow: 1\nname: «small\nnodes:\n  a: {type: set, value: {}}\nedges:\n  - [START, a, END]\n",
        "a second graph of the name 'small' in one file",
    ),
    (with_node("{type: «codr}"), "'type' must be one of agent, coder, commit, fail, graph, human, llm, planner, "),
    ("flow: 1\nname: small\nnodes:\n  «a: {value: {}}\nedges:\n  - [START, a, END]\n", "node 'a' needs 'type'"),
    (with_node("«set"), "node 'a' must be a mapping (name: value), not a text"),
    ("flow: 1\nname: small\nnodes:\n  «a: {type: set}\nedges:\n  - [START, a, END]\n", "node 'a' needs 'value'"),
    (with_node("{type: set, value: {}, «valu: 1}"), "unknown key 'valu' in node 'a' (did you mean 'value'?)"),
    (with_node("{type: set, value: {}, «tools: [x]}"), "'tools' does not belong to a node of type 'set' ('a')"),
    ("flow: 1\nname: small\nnodes:\n  «a: {type: llm}\nedges:\n  - [START, a, END]\n", "node 'a' needs 'prompt'"),
    (
        with_node("{type: llm, prompt: «[x]}"),
        "'prompt' must be a text that is not empty, or {file: NAME}, not a list",
    ),
    (with_node("{type: llm, prompt: {file: «x.md}}"), "'x.md' cannot be found: this text lies in no folder"),
    (with_node("{type: llm, prompt: p, ensure: «[a]}"), "'ensure' must be an expression, not a list; put quotes"),
    (
        with_node("{type: llm, prompt: p, workspace: «worktre}"),
        "'workspace' must be one of inherit, readonly, worktree",
    ),
    (
        with_node("{type: llm, prompt: p, approve: «befor}"),
        "'approve' must be one of after, before, tools, not 'befor'",
    ),
    (
        with_node("{type: human, show: s, choices: [a], «workspace: inherit}"),
        "'workspace' does not belong to a node of",
    ),
    (
        with_node("{type: retrieve, index: «cod, query: x}"),
        "'index' must be one of code, docs, not 'cod' (did you mean",
    ),
    (
        "flow: 1\nname: s\nnodes:\n  «a: {type: retrieve, index: code}\nedges:\n  - [START, a, END]\n",
        "node 'a' needs 'query'",
    ),
    (with_node("{type: retrieve, index: code, query: x, k: «0}"), "'k' must be a number of at least 1"),
    (
        with_node("{type: retrieve, index: code, query: x, filter: «{a: b}}"),
        "'filter' must be a list of path globs or",
    ),
    (with_node("{type: python, call: «x}"), "'call' must be file.py:function or pkg.mod:function, not 'x'"),
    (
        with_node("{type: llm, prompt: p, output: {schema: «'a.py:'}}"),
        "'schema' must be a schema's name, a JSON Schema, or",
    ),
    (with_node("{use: «[x]}"), "'use' must be the name of a preset, not a list"),
    (with_node("{use: «../x}"), "'use' must be the name of a preset, not '../x'"),
    (SMALL + "state: {x: {type: «int, schema: Plan}}\n", "beside a schema only 'type: list' can stand (state 'x')"),
    (with_node("{type: llm, prompt: {«{ x }}}"), "a key must be a plain name; put quotes around a text"),
    (with_node("{type: coder, prompt: p, tools: «grep}"), "'tools' must be a list, not a text"),
    (with_node("{type: coder, prompt: p, tools: [a, «a]}"), "'a' stands twice in 'tools'"),
    (with_node("{type: coder, prompt: p, history: «old}"), "'history' must be one of continue, fresh, not 'old'"),
    (
        with_node("{type: coder, prompt: p, budget: {«cod: 1k}}"),
        "unknown key 'cod' in 'budget' (did you mean 'code'?)",
    ),
    (with_node("{type: coder, prompt: p, budget: {code: «1kk}}"), "'code' must be a number of at least 0"),
    (with_node("{type: set, value: {}, max_visits: «0}"), "'max_visits' must be a number of at least 1"),
    (with_node("{type: shell, run: [x], timeout: «10}"), "'timeout' must be a time above zero with its unit"),
    (with_node("{type: shell, run: «make test}"), "'run' must be a list of arguments, or {command: EXPRESSION}"),
    (with_node("{type: shell, run: [x, «[y]]}"), "an argument in 'run' must be a text"),
    (with_node("{type: shell, run: {«comand: x}}"), "unknown key 'comand' in 'run' (did you mean 'command'?)"),
    (with_node("{type: human, show: x, choices: [«true]}"), "'choices' must be a list of texts, not with true"),
    (with_node("{type: fail, message: x, exit: «300}"), "'exit' must be an exit code from 0 to 125, not 300"),
    (with_node("{type: set, value: {}, as: «x}"), "'as' belongs to 'each', which node 'a' has not"),
    (with_node("{type: set, value: {}, if: «[x]}"), "'if' must be an expression, not a list"),
    (with_node("«!!python/object:x {}"), "YAML tags such as"),
    (with_node("«&x {type: set, value: {}}"), "anchors (&) and aliases (*) are not part of graph files"),
    (
        "flow: 1\nname: small\nnodes:\n  «END: {type: set, value: {}}\nedges:\n  - [START, a, END]\n",
        "END is the graph's own and cannot name a node",
    ),
    (
        "flow: 1\nname: small\nnodes:\n  «a|b: {type: set, value: {}}\nedges:\n  - [START, a, END]\n",
        "the name of a node must be made of letters",
    ),
    (
        "flow: 1\nname: small\nnodes:\n  «pause: {type: set, value: {}}\nedges:\n  - [START, a, END]\n",
        "'pause' cannot name a node, since 'on_error: pause' means something else",
    ),
    (SMALL + "state: {«x: {reduce: append}}\n", "state 'x' needs one of 'type' and 'schema'"),
    (SMALL + "state: {«x-y: {type: list}}\n", "state 'x-y' must be made of letters, digits and '_'"),
    (SMALL + "state: {x: {type: «array}}\n", "'type' must be one of any, bool, int, list, number, object, path"),
    (SMALL + "state: {x: {type: string, reduce: «append}}\n", "'reduce: append' needs 'type: list'"),
    (SMALL + "state: {x: {type: list, reduce: «union}}\n", "'reduce: union' needs 'key'"),
    (SMALL + "input: {x: {type: int, required: true, default: «1}}\n", "input 'x' is required, so it cannot have"),
    (SMALL + "limits: {tokens: «lots}\n", "'tokens' must be a number of at least 1 (k and M may follow: 600k, 2M)"),
    (SMALL + "limits: {«steps: 3}\n", "unknown key 'steps' in 'limits'"),
    (SMALL + "output: «{}\n", "'output' must be an expression or {name: expression}, not a mapping"),
    (
        with_node("{type: coder, prompt: p, permissions: {bash(make): «alow}}"),
        "the rule 'bash(make)' must be one of allow, ask, deny, not 'alow' (did you mean 'allow'?)",
    ),
    (
        with_node("{type: coder, prompt: p, permissions: {bash(make): «true}}"),
        "the rule 'bash(make)' must be one of allow, ask, deny, not true",
    ),
    (
        with_node("{type: coder, prompt: p, permissions: {«bsh(make): allow}}"),
        "'bsh(make)' is not a rule (did you mean 'bash'?); write it as",
    ),
    (
        with_node("{type: coder, prompt: p, permissions: {«'bash(a; b)': allow}}"),
        "'bash(a; b)': a rule is one simple command",
    ),
    (with_node("{type: coder, prompt: p, permissions: «[bash(make)]}"), "'permissions' must be a mapping"),
    (with_node("{type: coder, prompt: p, «permission: {}}"), "unknown key 'permission' in node 'a' (did you mean"),
    (with_node("{type: coder, prompt: p, network: «on}"), "'network' must be true or false"),
    (with_node("{type: llm, prompt: p, «network: true}"), "'network' does not belong to a node of type 'llm'"),
    (with_node("{type: set, value: {}, «permissions: {}}"), "'permissions' does not belong to a node of type 'set'"),
    (SMALL + "permissions: {bash(make): «yes}\n", "the rule 'bash(make)' must be one of allow, ask, deny"),
    (SMALL + "permissions: {«bash(make test*): ask}\n", "'bash(make test*)': a * may only stand at the end"),
    (with_edge("«a"), "an edge cannot be a text; write [a, b] for one way on"),
    (with_edge("«[a]"), "a chain needs at least two names: [a, b]"),
    (with_edge("[a, «1]"), "a chain is made of node names, not a number"),
    (with_edge("[«END, a]"), "nothing can follow END"),
    (SMALL + "  - [«a, b]\n", "'a' has a way on already (line 6); one form per node"),
    (with_edge("«{from: a, to: END}"), "an edge needs 'when' or 'switch'"),
    (with_edge("«{from: a, when: x, to: END}"), "a when edge needs 'else'"),
    (with_edge("{from: a, switch: x, cases: «{}}"), "'cases' must name at least one case"),
    (with_edge("{from: «START, when: x, to: a, else: b}"), "START leads to one node"),
    ("a: [1, 2«", "not readable as YAML"),
    ("a:\n«\t- b", "not readable as YAML: found character '\\t' that cannot start any token (indent with spaces)"),
    ("a: " + "[" * 39 + "«" + "[" * 20, "nested deeper than 40 levels"),
    ("a: «\x07", "not readable as YAML: the character"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_file_is_refused_with_the_place(text: str, message: str) -> None:
    before = text[: text.index("«")].split("\n")
    place = f"g.yaml:{len(before)}:{len(before[-1]) + 1}: "
    found = faults(text.replace("«", ""))
    assert any(line.startswith(place + message) for line in found), found


def test_all_faults_are_told_in_the_order_of_their_lines() -> None:
    lines = faults(SMALL.replace("name: small", "nam: small").replace("type: set", "type: sett") + "limits: {x: 1}\n")
    assert [line.split(":")[1] for line in lines] == ["2", "4", "7"]


def test_a_file_with_hundreds_of_faults_tells_fifty() -> None:
    lines = faults(SMALL + "".join(f"x{number}: 1\n" for number in range(300)))
    assert (len(lines), lines[-1]) == (51, "... and 250 more")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(GraphInvalid, match="larger than 1000000 bytes"):
        read_file(path, "g.yaml")


def test_a_file_of_very_many_values_is_refused() -> None:
    assert faults("a: [" + "1," * 60_000 + "]") == ["g.yaml:1:99999: more than 50000 values in one file"]


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_bytes(b"\x00\xff\xfe")
    with pytest.raises(GraphInvalid, match=r"g\.yaml:1:1: not UTF-8 text"):
        read_file(path, "g.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("true", True),
        ("yes", "yes"),
        ("12", 12),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("2026-01-02", "2026-01-02"),
        ("1:30", "1:30"),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert plain_scalar(text) == value


@pytest.mark.parametrize(("value", "count"), [(0, 0), (12, 12), ("600k", 600_000), ("2M", 2_000_000), ("1.5k", 1500)])
def test_counts_know_k_and_m(value: object, count: int) -> None:
    assert parse_count(value) == count


@pytest.mark.parametrize("value", [True, -1, 1.5, "12", "k", "1 k", "1K", None, "9" * 40 + "k"])
def test_counts_refuse_anything_else(value: object) -> None:
    assert parse_count(value) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("10m", 600), ("4h", 14400), ("0s", None), (10, None), ("10", None), ("-1s", None)],
)
def test_durations_need_a_unit(value: object, seconds: float | None) -> None:
    assert parse_duration(value) == seconds


_WORDS = [
    "flow: 1\n",
    "name: x\n",
    "nodes:\n",
    "edges:\n",
    "  a: ",
    "{type: set, value: {}}\n",
    "  - ",
    "[START, a]\n",
]
_WORDS += [
    "state: ",
    "input: ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "\n",
    "'",
    '"',
    "|\n",
    ">-\n",
    "---\n",
    "...\n",
    "? ",
]
_WORDS += [
    "&a ",
    "*a ",
    "!!int ",
    "!<x> ",
    "%YAML 1.3\n",
    "%TAG ! x\n",
    "#",
    "\t",
    "\\x",
    "日本",
    "\u2028",
    "\x85",
    "{{ x }}",
]
_WORDS += [
    "type: shell",
    "run: ",
    "if: ",
    "output: ",
    "to: ",
    "limits: ",
    "600k",
    "0x",
    "<<: ",
    "- - ",
    "@",
    "`",
    "\ufeff",
]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.sampled_from(_WORDS), st.text(max_size=6)), max_size=25).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_text(text, "g.yaml")
    except GraphInvalid as err:
        assert str(err).startswith("g.yaml:")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_graph_with_any_part_cut_or_doubled_is_read_or_refused(data: st.DataObject) -> None:
    text = SMALL + "state: {x: {type: list, reduce: union, key: id}}\nlimits: {tokens: 2k}\noutput: {x: state.x}\n"
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    piece = data.draw(st.sampled_from(["", text[start:end] * 2, "[]", "null", "{}", "1", "~: ~"]))
    try:
        read_text(text[:start] + piece + text[end:], "g.yaml")
    except GraphInvalid as err:
        assert str(err).startswith("g.yaml:")
