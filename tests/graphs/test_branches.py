"""Branches of a chain that run at once, and the nodes at which they meet."""

from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.errors import RunFailed

HEAD = """\
flow: 1
name: g
input: {n: {type: any}}
state: {seen: {type: list, reduce: append}}
output: state.seen
nodes:
"""


def graph(edges: str, *more: str, nodes: str = "a b c d", head: str = HEAD) -> str:
    """Return a graph whose nodes append their names to `seen`."""
    named = "".join(f"  {name}: {{type: set, value: {{seen: {name}}}}}\n" for name in nodes.split())
    return f"{head}{named}{''.join(f'  {each}' + chr(10) for each in more)}edges:\n{edges}"


def edges(*lines: str) -> str:
    return "".join(f"  - {line}\n" for line in lines)


async def test_branches_run_between_the_node_before_and_the_node_after_them(engine: Any) -> None:
    ended = await engine.run(graph(edges("[START, a, [b, c], d, END]")))
    assert ended.output == ["a", "b", "c", "d"]
    assert engine.started == ["a#1", "b#1", "c#1", "d#1"]


async def test_join_waits_for_the_longest_branch(engine: Any) -> None:
    ended = await engine.run(
        graph(edges("[START, a, [b, c]]", "[b, b2, b3, d]", "[c, d, END]"), nodes="a b b2 b3 c d")
    )
    assert ended.output == ["a", "b", "c", "b2", "b3", "d"]


async def test_graph_may_begin_and_end_with_branches(engine: Any) -> None:
    ended = await engine.run(graph(edges("[START, [a, b], END]"), nodes="a b"))
    assert ended.output == ["a", "b"]
    assert ended.code == 0


async def test_all_members_of_two_lists_in_a_row_are_joined(engine: Any) -> None:
    ended = await engine.run(graph(edges("[START, a, [b, c], [d, e], f, END]"), nodes="a b c d e f"))
    assert ended.output == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize(("n", "seen"), [(1, ["a", "b", "c", "x", "d"]), (0, ["a", "b", "c", "y", "d"])])
async def test_join_never_waits_for_a_branch_that_was_not_taken(engine: Any, n: int, seen: list[str]) -> None:
    lines = ("[START, a, [b, c]]", "{from: b, when: input.n, to: x, else: y}", "[[x, y, c], d, END]")
    ended = await engine.run(graph(edges(*lines), nodes="a b c d x y"), n=n)
    assert ended.output == seen


@pytest.mark.parametrize("n", [0, 1])
async def test_branch_that_ends_elsewhere_lets_the_join_go_on(engine: Any, n: int) -> None:
    lines = ("[START, a, [b, c]]", "{from: b, when: input.n, to: END, else: d}", "[c, c2, d, END]")
    ended = await engine.run(graph(edges(*lines), nodes="a b c c2 d"), n=n)
    assert ended.output == ["a", "b", "c", "c2", "d"]


async def test_join_that_no_branch_comes_to_does_not_run(engine: Any) -> None:
    lines = (f"{{from: {name}, when: input.n, to: d, else: END}}" for name in "bc")
    ended = await engine.run(graph(edges("[START, a, [b, c]]", *lines, "[d, END]")), n=0)
    assert (ended.output, ended.code) == (["a", "b", "c"], 0)


async def test_join_goes_on_when_the_last_branch_ends_elsewhere_after_another_came(engine: Any) -> None:
    lines = ("[START, a, [b, c]]", "[b, d, END]", "[c, c2]", "{from: c2, when: input.n, to: d, else: END}")
    ended = await engine.run(graph(edges(*lines), nodes="a b c c2 d"), n=0)
    assert ended.output == ["a", "b", "c", "c2", "d"]


async def test_branches_within_a_branch_meet_before_the_outer_ones(engine: Any) -> None:
    lines = ("[START, a, [b, z]]", "[b, [x, y]]", "[x, m]", "[y, y2, m, e]", "[z, z2, z3, z4, z5, e, END]")
    names = "a b z x y y2 m e z2 z3 z4 z5"
    ended = await engine.run(graph(edges(*lines), nodes=names))
    assert ended.output[-1] == "e"
    assert ended.output.index("m") < ended.output.index("z5")
    assert sorted(ended.output) == sorted(names.split())


async def test_branches_in_a_loop_run_once_a_round(engine: Any) -> None:
    loop = graph(
        edges("[START, a, [b, c], d]", "{from: d, when: 'false', to: END, else: a}"),
        "a: {type: set, value: {seen: a}, max_visits: 3, on_limit: out}",
        "out: {type: set, value: {seen: out}}",
        nodes="b c d",
    )
    ended = await engine.run(f"{loop}  - [out, END]\n")
    assert ended.output == [*"abcd" * 3, "out"]


async def test_loop_within_a_branch_is_bounded_by_itself(engine: Any) -> None:
    lines = ("[START, a, [b, c]]", "[c, d, END]", "{from: b, when: 'false', to: d, else: b}", "[x, d]")
    loop = "b: {type: set, value: {seen: b}, max_visits: 3, on_limit: x}"
    ended = await engine.run(graph(edges(*lines), loop, nodes="a c d x"))
    assert ended.output == ["a", "b", "c", "b", "b", "x", "d"]


async def test_limit_of_a_join_is_looked_at_once_for_all_branches(engine: Any) -> None:
    text = graph(
        edges("[START, a, [b, c], d]", "[d, e]", "{from: e, when: 'false', to: END, else: a}", "[out, END]"),
        "a: {type: set, value: {seen: a}, max_visits: 5, on_limit: out}",
        "d: {type: set, value: {seen: d}, max_visits: 1, on_limit: out}",
        nodes="b c e out",
    )
    ended = await engine.run(text)
    assert ended.output == [*"abcde", *"abc", "out"]


async def test_items_of_a_branch_run_beside_the_other_branch(engine: Any) -> None:
    text = graph(
        edges("[START, a, [b, c], d, END]"),
        "b: {type: set, each: input.n, value: {seen: '{{ item }}'}}",
        nodes="a c d",
    )
    ended = await engine.run(text, n=[1, 2, 3])
    assert ended.output == ["a", 1, "c", 2, 3, "d"]


async def test_both_branches_keep_what_they_add_to_the_same_key(engine: Any) -> None:
    ended = await engine.run(graph(edges("[START, a, [b, c], d, END]")))
    assert ended.output.count("b") == ended.output.count("c") == 1


async def test_failure_of_a_branch_lets_the_other_one_finish_first(engine: Any) -> None:
    text = graph(
        edges("[START, a, [b, c], d, END]"),
        "b: {type: shell, run: [sh, -c, 'cat ready'], parse: json}",
        "c: {type: shell, run: [sh, -c, 'sleep 0.2; echo c >> log']}",
        nodes="a d",
    )
    with pytest.raises(RunFailed):
        await engine.run(text)
    assert engine.log == ["c"]
    (engine.folder / "ready").write_text("1")
    ended = await engine.go_on()
    assert (ended.output, engine.log) == (["a", "d"], ["c"])


async def test_fail_node_in_a_branch_ends_the_graph(engine: Any) -> None:
    text = graph(edges("[START, a, [f, b]]", "[b, c, d, END]"), "f: {type: fail, message: no, exit: 7}")
    ended = await engine.run(text)
    assert (ended.message, ended.code) == ("no", 7)
    assert "d#1" not in engine.started


async def test_two_fail_nodes_at_once_end_the_graph_with_the_first(engine: Any) -> None:
    fails = [f"f{n}: {{type: fail, message: no{n}, exit: {n}}}" for n in (5, 6)]
    ended = await engine.run(graph(edges("[START, a, [f5, f6, b]]", "[b, END]"), *fails, nodes="a b"))
    assert (ended.message, ended.code) == ("no5", 5)


ASKS = graph(
    edges("[START, a, [h, i], d, END]"),
    *(
        f"{name}: {{type: human, show: 'well {name}?', choices: [yes, no], output: {{to: seen}}}}"
        for name in ("h", "i")
    ),
    nodes="a d",
)


async def test_questions_of_several_branches_are_open_at_once(engine: Any) -> None:
    assert await engine.run(ASKS) is None
    questions = engine.questions
    assert sorted(each.node for each in questions.values()) == ["h#1", "i#1"]
    assert len(questions) == 2


async def test_questions_of_branches_are_answered_one_by_one(engine: Any) -> None:
    await engine.run(ASKS)
    by_node = {question.node: name for name, question in engine.questions.items()}
    assert await engine.answer_one(by_node["i#1"], "no") is None
    assert [question.node for question in engine.questions.values()] == ["h#1"]
    ended = await engine.answer_one(by_node["h#1"], "yes")
    assert [each if isinstance(each, str) else each["choice"] for each in ended.output] == ["a", "yes", "no", "d"]


async def test_branches_of_a_subgraph_have_their_own_joins(engine: Any) -> None:
    inner = graph(edges("[START, a, [b, c], d, END]")).replace("name: g", "name: inner")
    outer = (
        "flow: 1\nname: outer\nstate: {out: {type: list, reduce: append}}\noutput: state.out\nnodes:\n"
        "  s: {type: graph, graph: inner, output: {to: out}}\n  t: {type: graph, graph: inner, output: {to: out}}\n"
        "edges: [[START, [s, t], END]]\n---\n"
    )
    ended = await engine.run(outer + inner)
    assert ended.output == [["a", "b", "c", "d"]] * 2
