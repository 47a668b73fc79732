"""What is refused of branches, items at once, and bounds of visits before anything runs, each at its place."""

from __future__ import annotations

import pytest

from flowloom.core.errors import GraphInvalid
from flowloom.graphs.joins import awaited, fan_outs
from flowloom.graphs.read import read_text
from flowloom.graphs.spec import GraphSpec, Retry
from flowloom.graphs.validate import check

STATE = "state: {k: {type: any}, l: {type: list, reduce: append}, plan: {schema: Plan}}\n"


def graph(edges: str, **nodes: str) -> str:
    """Return a graph of empty `set` nodes, but for those given; the mark « may stand anywhere."""
    named = {name: "{type: set, value: {}}" for name in "abcde"} | nodes
    used = [name for name in named if name in edges.replace("END", "").replace("START", "").replace("else", "")]
    lines = "".join(f"  {name}: {named[name]}\n" for name in dict.fromkeys([*used, *nodes]))
    return f"flow: 1\nname: g\n{STATE}nodes:\n{lines}edges:\n" + "".join(f"  - {e}\n" for e in edges.split("; "))


def writes(**values: str) -> str:
    return f"{{type: set, value: {{{', '.join(f'{key}: {value}' for key, value in values.items())}}}}}"


def human(more: str) -> str:
    return f"{{type: human, show: s, choices: [yes], {more}}}"


def spec_of(text: str) -> GraphSpec:
    return read_text(text, "g.yaml")["g"]


def faults(text: str) -> list[str]:
    spec = spec_of(text)
    return [str(fault) for fault in check(spec, {spec.name: spec})]


FAN = "[START, a, [b, c], d, END]"
LOOP = "{type: set, value: {}, max_visits: 2, on_limit: e}"
BROKEN = [
    (graph("[START, a, [b, «b], d, END]"), "'b' stands twice in a list of branches"),
    (graph("[START, a, [b, «END], d, END]"), "END cannot stand in a list of branches"),
    (graph("[START, a, «[], d, END]"), "a list of branches needs at least one name"),
    (graph("[START, a, [b, «bb], d, END]"), "unknown node 'bb' (did you mean 'b'?)"),
    (
        graph("[START, a, [b, c], d, END]; {from: «b, when: 'true', to: d, else: END}"),
        "'b' has a way on already (line 11); one form per node",
    ),
    (
        graph(FAN, b=writes(k="1"), c=writes(k="«2")),
        "'b', which may run at the same time, writes state 'k' as well; give it 'reduce: append', or keys",
    ),
    (
        graph("[START, a, [b, c]]; [b, e, d, END]; [c, d]", e=writes(k="1"), c=writes(k="«2")),
        "'e', which may run at the same time, writes state 'k' as well",
    ),
    (
        graph("[START, [b, c], END]", b=writes(l="1"), c=human("edits: «l")),
        "'b', which may run at the same time, writes state 'l' as well; a person's edit takes the place of all",
    ),
    (
        graph("[START, a, END]", a="{type: set, each: state.l, parallel: 2, value: {k: «1}}"),
        "its items, which run at the same time, write state 'k' as well",
    ),
    (
        graph("[START, a, END]", a=human("each: state.l, parallel: 2, edits: «l")),
        "its items, which run at the same time, write state 'l' as well",
    ),
    (
        graph("[START, «a, [b, c]]; {from: b, when: 'true', to: a, else: d}; [c, d, END]; [e, END]", a=LOOP),
        "the branch 'b' leads back to 'a' past the other branches",
    ),
    (
        graph(
            "[START, a, [b, c]]; {from: b, when: 'true', to: e, else: d}; [c, d]; [e, END];"
            " {from: d, when: 'true', to: a, else: END}",
            a="{type: set, value: {}, max_visits: 2, on_limit: d2}",
            d2="{type: fail, message: no}",
            e="{type: set, value: {}}",
        ).replace("  e:", "  «e:"),
        "'e' ends the branch 'b' of 'a' apart from the others, which may lead back there and begin it again",
    ),
    (
        graph("[START, a, END]", a="{type: set, value: {}, retry: {max_attempts: 2, retry_on: [«failur]}}"),
        "'retry_on' names failure, reply, server, timeout or a Python exception, not 'failur' (did you mean",
    ),
    (graph("[START, a, END]", a="{type: set, value: {}, retry: «{backoff: 1s}}"), "'retry' needs 'max_attempts'"),
    (
        graph("[START, a, END]", a="{type: set, value: {}, retry: {max_attempts: 2, «retries: 1}}"),
        "unknown key 'retries' in 'retry'",
    ),
    (
        graph("[START, a, END]", a="{type: set, value: {}, retry: {max_attempts: 2, backoff: «soon}}"),
        "'backoff' must be a time above zero",
    ),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_graph_that_cannot_run_is_refused_with_the_place(text: str, message: str) -> None:
    before = text[: text.index("«")].split("\n")
    place = f"g.yaml:{len(before)}:{len(before[-1]) + 1}: "
    try:
        found = faults(text.replace("«", ""))
    except GraphInvalid as err:
        found = err.message.split("\n")
    assert any(line.startswith(place + message) for line in found), found


@pytest.mark.parametrize(
    "text",
    [
        graph(FAN),
        graph(FAN, b=writes(l="1"), c=writes(l="2")),
        graph(FAN, b=writes(k="1"), d=writes(k="2")),
        graph("[START, a, [b, c]]; {from: b, when: 'true', to: d, else: e}; [c, d, END]; [e, END]"),
        graph("[START, a, [b, c], d]; {from: d, when: 'true', to: a, else: END}; [e, END]", a=LOOP),
        graph("[START, a, END]", a="{type: set, each: state.l, parallel: 2, value: {l: 1}}"),
        graph("[START, a, END]", a="{type: set, value: {}, retry: {max_attempts: 2, retry_on: [server, OSError]}}"),
        graph("[START, a, END]", a="{type: set, value: {}, on_error: pause, timeout: 1m, limits: {wall: 2m}}"),
    ],
)
def test_a_graph_whose_branches_cannot_meet_at_a_key_or_a_node_is_accepted(text: str) -> None:
    assert faults(text) == []


def test_all_faults_of_branches_are_told_at_once() -> None:
    spec = spec_of(graph("[START, [a, b, c], END]", a=writes(k="1"), b=writes(k="2"), c=writes(k="3")))
    places = [(fault.at.line, fault.at.column) for fault in check(spec, {"g": spec})]
    assert places == [(6, 29), (7, 29)]


def test_join_waits_for_every_node_that_may_still_lead_to_it() -> None:
    spec = spec_of(graph("[START, a, [b, c]]; [b, e, d, END]; [c, d]"))
    assert awaited(spec) == {"d": frozenset("bce")}


def test_node_after_a_join_waits_for_nothing() -> None:
    assert awaited(spec_of(graph("[START, a, [b, c], d, e, END]"))) == {"d": frozenset("bc")}


def test_join_in_a_loop_does_not_wait_for_what_leads_to_it_in_the_next_round_only() -> None:
    text = graph("[START, a, [b, c], d]; {from: d, when: 'true', to: a, else: END}; [e, END]", a=LOOP)
    assert awaited(spec_of(text)) == {"d": frozenset("bc")}


def test_branches_own_what_they_alone_lead_to() -> None:
    (fan,) = fan_outs(spec_of(graph("[START, a, [b, c]]; [b, e, d, END]; [c, d]")))
    assert (fan.own, fan.met) == ({"b": frozenset("be"), "c": frozenset("c")}, frozenset("d"))


def test_retry_is_read_with_its_defaults() -> None:
    node = spec_of(graph("[START, a, END]", a="{type: set, value: {}, retry: {max_attempts: 2}}")).nodes["a"]
    assert node.retry == Retry(2, 1.0, ("failure", "timeout", "reply"))
