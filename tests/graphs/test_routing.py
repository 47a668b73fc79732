from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.errors import RunFailed
from flowloom.graphs.facts import Facts
from flowloom.graphs.read import read_text
from flowloom.graphs.routing import Router

HEAD = "flow: 1\nname: g\ninput: {n: {type: any}}\nstate: {way: {type: any}}\noutput: state.way\nnodes:\n"
WAYS = "".join(f"  {name}: {{type: set, value: {{way: {name}}}}}\n" for name in ("one", "two", "three"))
ENDS = "edges:\n  - [START, a]\n  - [one, END]\n  - [two, END]\n  - [three, END]\n"
SWITCH = f"{HEAD}  a: {{type: set, value: {{}}}}\n{WAYS}{ENDS}"
LOOP = (
    f"{HEAD}  work: {{type: shell, run: [sh, -c, 'echo x >> log'], max_visits: 2, on_limit: LIMIT}}\n"
    "  check: {type: set, value: {}}\n"
    "  ask: {type: human, show: more, choices: [again, stop], headless: stop}\n"
    "  out: {type: set, value: {way: out}}\n"
    "edges:\n  - [START, work, check]\n  - {from: check, when: 'false', to: out, else: work}\n"
    "  - {from: ask, switch: output.choice, cases: {again: work, stop: out}}\n  - [out, END]\n"
)


@pytest.mark.parametrize(("n", "way"), [(3, "one"), (1, "two"), (0, "two")])
async def test_when_leads_one_way_or_the_other(engine: Any, n: int, way: str) -> None:
    ended = await engine.run(f"{SWITCH}  - {{from: a, when: input.n > 2, to: one, else: two}}\n", n=n)
    assert ended.output == way


@pytest.mark.parametrize(("n", "way"), [("x", "one"), (7, "two"), (True, "three"), ("other", "two")])
async def test_switch_leads_by_the_text_of_its_value(engine: Any, n: Any, way: str) -> None:
    cases = "{x: one, '7': two, 'true': three}"
    ended = await engine.run(f"{SWITCH}  - {{from: a, switch: input.n, cases: {cases}, default: two}}\n", n=n)
    assert ended.output == way


async def test_value_without_a_case_fails_the_run(engine: Any) -> None:
    with pytest.raises(RunFailed, match="a: no case of its switch fits 'z'; it has x, y"):
        await engine.run(f"{SWITCH}  - {{from: a, switch: input.n, cases: {{x: one, y: two}}}}\n", n="z")


async def test_run_whose_edge_failed_is_not_taken_for_finished_later(engine: Any) -> None:
    text = f"{SWITCH}  - {{from: a, switch: input.n, cases: {{x: one}}}}\n"
    with pytest.raises(RunFailed):
        await engine.run(text, n="z")
    with pytest.raises(RunFailed, match="no case"):
        await engine.go_on()


async def test_expression_of_an_edge_that_has_no_value_names_its_node(engine: Any) -> None:
    with pytest.raises(RunFailed, match=r"a: the expression 'input\.n\.deep' has no value"):
        await engine.run(f"{SWITCH}  - {{from: a, when: input.n.deep, to: one, else: two}}\n", n={})


async def test_edge_sees_the_state_that_its_node_wrote(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}{WAYS}edges:\n  - [START, one]\n"
        "  - {from: one, when: state.way == 'one', to: two, else: three}\n  - [two, END]\n  - [three, END]\n"
    )
    assert ended.output == "two"


async def test_loop_ends_at_its_visits_and_goes_to_on_limit(engine: Any) -> None:
    ended = await engine.run(LOOP.replace("LIMIT", "out"))
    assert (ended.output, engine.log) == ("out", ["x", "x"])


async def test_answer_of_a_person_lets_the_loop_start_again(engine: Any) -> None:
    assert await engine.run(LOOP.replace("LIMIT", "ask")) is None
    assert await engine.answer("again") is None
    assert engine.log == ["x"] * 4
    assert (await engine.answer("stop")).output == "out"


async def test_visits_keep_counting_on_after_a_persons_answer(engine: Any) -> None:
    await engine.run(LOOP.replace("LIMIT", "ask"))
    await engine.answer("again")
    assert [label for label in engine.started if label.startswith("work")] == ["work#1", "work#2", "work#3", "work#4"]


async def test_headless_answer_gives_no_visits_back(engine: Any) -> None:
    await engine.run(LOOP.replace("LIMIT", "ask"))
    assert await engine.answer("again", by="headless") is None
    assert engine.log == ["x"] * 2


async def test_visits_of_a_node_outside_the_cycle_are_kept(engine: Any) -> None:
    text = LOOP.replace("LIMIT", "ask").replace("[START, work, check]", "[START, first, work, check]")
    await engine.run(text.replace("nodes:\n", "nodes:\n  first: {type: set, value: {}}\n"))
    ended = await engine.answer("stop")
    assert ended.state["forgiven"].keys() == {"work", "check"}


async def test_on_limit_node_may_have_a_limit_of_its_own(engine: Any) -> None:
    text = LOOP.replace("LIMIT", "two").replace(
        "nodes:\n", "nodes:\n  two: {type: set, value: {}, max_visits: 1, on_limit: out}\n"
    )
    ended = await engine.run(f"{text}  - [two, work]\n")
    assert ended.output == "out"
    assert engine.started.count("two#1") == 1 and "two#2" not in engine.started


async def test_visits_belong_to_one_invocation_of_a_subgraph(engine: Any) -> None:
    inner = LOOP.replace("LIMIT", "out").replace("name: g", "name: inner")
    outer = (
        "flow: 1\nname: outer\ninput: {items: {type: list}}\n"
        "nodes: {s: {type: graph, graph: inner, each: input.items}}\nedges: [[START, s, END]]\n---\n"
    )
    await engine.run(outer + inner, items=["p", "q"])
    assert engine.log == ["x"] * 4


def test_way_that_depends_on_nothing_is_fixed() -> None:
    text = f"{SWITCH}  - {{from: a, when: input.n, to: one, else: two}}\n".replace("[one, END]", "[one, two]")
    router = Router(next(iter(read_text(text, "g.yaml").values())), Facts({}, {}, {}))
    assert (router.fixed("one"), router.fixed("two"), router.fixed("a")) == ("two", "END", None)


@pytest.mark.parametrize(
    "more", ["max_visits: 1, on_limit: three", "each: '[1]'", "on_error: three", "retry: {max_attempts: 2}"]
)
def test_way_that_a_limit_an_error_or_an_item_may_change_is_not_fixed(more: str) -> None:
    text = f"{SWITCH}  - [a, END]\n".replace("[one, END]", "[one, two, END]")
    node, where = ("two", "two: {") if more.startswith("max") else ("one", "one: {")
    spec = next(
        iter(read_text(text.replace(where, f"{where}{more}, ").replace("  - [two, END]\n", ""), "g.yaml").values())
    )
    assert Router(spec, Facts({}, {}, {})).fixed("one") is None
    assert node


def test_only_nodes_whose_edges_look_at_it_keep_their_output() -> None:
    spec = next(iter(read_text(f"{SWITCH}  - {{from: a, when: output.x, to: one, else: two}}\n", "g.yaml").values()))
    router = Router(spec, Facts({}, {}, {}))
    assert router.needs_output("a")
    assert not router.needs_output("one")


def test_cycle_holds_every_other_node_on_a_way_back() -> None:
    spec = next(iter(read_text(LOOP.replace("LIMIT", "ask"), "g.yaml").values()))
    router = Router(spec, Facts({}, {}, {}))
    assert router.cycle_of("ask") == {"work", "check"}
    assert router.cycle_of("out") == set()
