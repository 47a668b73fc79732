from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.errors import LimitReached, RunFailed, UsageError
from flowloom.graphs.spec import Limits

HEAD = "flow: 1\nname: g\ninput: {items: {type: any}, n: {type: any}}\n"
NOTE = "type: shell, run: [sh, -c, 'echo $0 >> log', '{{ item.id or item }}']"
EACH = (
    f"{HEAD}nodes: {{a: {{{NOTE.replace('item.id or item', 'item.id')}, each: input.items, order: needs}}}}\n"
    "edges: [[START, a, END]]\n"
)


def shell(line: str, more: str = "") -> str:
    return f"{{type: shell, run: [sh, -c, {line!r}]{more}}}"


def needs(**items: list[str]) -> list[dict[str, Any]]:
    return [{"id": name, "needs": wanted} for name, wanted in items.items()]


async def test_items_run_in_the_order_of_their_dependencies(engine: Any) -> None:
    await engine.run(EACH, items=needs(c=["b"], b=["a"], a=[], d=[]))
    assert engine.log == ["a", "b", "c", "d"]


async def test_items_in_a_circle_are_refused(engine: Any) -> None:
    with pytest.raises(RunFailed, match=r"a: the items cannot be put in order by 'needs'.*circle"):
        await engine.run(EACH, items=needs(a=["b"], b=["a"]))


@pytest.mark.parametrize("items", [["x"], [{"needs": []}]])
async def test_items_that_cannot_be_ordered_are_refused(engine: Any, items: Any) -> None:
    with pytest.raises(RunFailed, match="cannot be put in order"):
        await engine.run(EACH, items=items)


@pytest.mark.parametrize("items", [{"a": 1}, "abc", 3, None])
async def test_each_over_something_else_than_a_list_is_refused(engine: Any, items: Any) -> None:
    with pytest.raises(RunFailed, match="a: each must give a list"):
        await engine.run(EACH, items=items)


async def test_empty_each_passes_through(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{out: {{type: list, reduce: append}}, end: {{type: any}}}}\noutput: [state.out, state.end]\n"
        f"nodes: {{a: {{{NOTE}, each: input.items, output: {{to: out}}}}, b: {{type: set, value: {{end: here}}}}}}\n"
        "edges: [[START, a, b, END]]\n".replace("[state.out, state.end]", "'[state.out, state.end]'"),
        items=[],
    )
    assert ended.output == [[], "here"]
    assert engine.started == ["b#1"]


async def test_every_item_has_a_checkpoint_of_its_own(engine: Any) -> None:
    await engine.run(EACH, items=needs(a=[], b=[], c=[]))
    cursors = [
        saved.checkpoint["channel_values"].get("cursor", {}).get("a", {}).get("at")
        for saved in engine.saver.list(None)
        if saved.checkpoint["channel_values"].get("cursor", {}).get("a")
    ]
    assert sorted(cursors) == [1, 2]


async def test_items_are_named_by_their_ids(engine: Any) -> None:
    await engine.run(EACH, items=needs(one=[], 二=[]))
    assert engine.started == ["a[one]#1", "a[二]#1"]


@pytest.mark.parametrize(
    "items",
    [[{"id": "x"}, {"id": "x"}], [{"id": "2"}, {}], [{"id": "a/b"}, {"id": "c"}], ["p", "q"], [{"id": 5}, {"id": 6}]],
)
async def test_items_without_ids_that_can_tell_them_apart_are_numbered(engine: Any, items: Any) -> None:
    await engine.run(
        f"{HEAD}nodes: {{a: {{type: shell, run: [sh, -c, echo x >> log], each: input.items}}}}\n"
        "edges: [[START, a, END]]",
        items=items,
    )
    assert engine.started == ["a[1]#1", "a[2]#1"]
    assert engine.log == ["x", "x"]


async def test_item_is_known_by_the_name_that_the_file_gives_it(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{out: {{type: list, reduce: append}}}}\noutput: state.out\n"
        "nodes: {a: {type: graph, graph: g2, each: input.items, as: word, with: {w: '{{ word }}-{{ item }}'},"
        " output: {to: out}}}\nedges: [[START, a, END]]\n"
        "---\nflow: 1\nname: g2\ninput: {w: {type: string}}\noutput: input.w\n"
        "nodes: {x: {type: set, value: {}}}\nedges: [[START, x, END]]\n",
        items=["あ", "い"],
    )
    assert ended.output == ["あ-あ", "い-い"]


async def test_skipped_node_gives_its_skipped_value(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{out: {{type: object}}}}\noutput: state.out\n"
        f"nodes: {{a: {shell('echo x >> log', ', if: input.n, skipped: {exit_code: 0}, output: {to: out}')}}}\n"
        "edges: [[START, a], {from: a, when: output.exit_code == 0, to: END, else: a}]\n",
        n=0,
    )
    assert (ended.output, engine.log, engine.started) == ({"exit_code": 0}, [], [])
    assert [event.data["skipped"] for event in engine.events] == [True]


async def test_skipped_node_without_a_value_writes_nothing(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{out: {{type: any}}}}\noutput: state.out\nnodes:\n"
        "  s: {type: set, value: {out: kept}}\n"
        f"  a: {shell('echo x', ', if: input.n, output: {to: out}')}\nedges: [[START, s, a, END]]\n",
        n=None,
    )
    assert ended.output == "kept"


async def test_skipped_human_node_is_routed_by_its_choice(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}nodes:\n  h: {{type: human, show: ok, choices: [yes, no], if: input.n, skipped: yes}}\n"
        "  f: {type: fail, message: no}\n"
        "edges: [[START, h], {from: h, switch: output.choice, cases: {yes: END, no: f}}]\n",
        n=False,
    )
    assert ended.code == 0


async def test_set_writes_each_value_to_its_key(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{a: {{type: int}}, b: {{type: any}}}}\noutput: {{a: state.a, b: state.b}}\n"
        "nodes: {s: {type: set, value: {a: '{{ input.n + 1 }}', b: {text: 'n は {{ input.n }}'}}}}\n"
        "edges: [[START, s, END]]\n",
        n=4,
    )
    assert ended.output == {"a": 5, "b": {"text": "n は 4"}}


async def test_reducers_append_unite_and_add(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state:\n  all: {{type: list, reduce: append}}\n  some: {{type: list, reduce: union, key: id}}\n"
        "  total: {type: number, reduce: sum}\noutput: {all: state.all, some: state.some, total: state.total}\n"
        "nodes: {s: {type: set, each: input.items, value: {all: '{{ item.id }}', some: '{{ [item] }}',"
        " total: '{{ item.n }}'}}}\nedges: [[START, s, END]]\n",
        items=[{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "a", "n": 3}],
    )
    assert ended.output == {"all": ["a", "b", "a"], "some": [{"id": "a", "n": 1}, {"id": "b", "n": 2}], "total": 6}


async def test_keys_that_nothing_wrote_have_their_empty_values(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{l: {{type: list, reduce: append}}, n: {{type: number, reduce: sum}}, x: {{type: any}}}}\n"
        "output: {l: state.l, n: state.n, x: state.x}\nnodes: {s: {type: set, value: {}}}\nedges: [[START, s, END]]\n"
    )
    assert ended.output == {"l": [], "n": 0, "x": None}


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        ("{schema: Plan}", "'{{ {} }}'", "is no Plan: title: Field required"),
        ("{schema: Review}", "text", "is no Review"),
        ("{type: int}", "text", "must be of type int, not 'text'"),
        ("{type: int}", "true", "must be of type int, not True"),
        ("{type: list}", "'{{ {} }}'", "must be of type list"),
        ("{type: number, reduce: sum}", "text", "must be of type number"),
        ("{type: number, reduce: sum}", "'{{ none }}'", "there is no number to add"),
    ],
)
async def test_value_that_does_not_fit_its_key_fails_the_node(
    engine: Any, declared: str, value: str, message: str
) -> None:
    with pytest.raises(RunFailed, match=message):
        await engine.run(
            f"{HEAD}state: {{k: {declared}}}\nnodes: {{s: {{type: set, value: {{k: {value}}}}}}}\n"
            "edges: [[START, s, END]]\n"
        )
    assert [event.type for event in engine.events] == ["node_start", "node_fail"]


async def test_value_with_a_schema_gets_its_defaults(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{k: {{schema: Review}}}}\noutput: state.k\n"
        "nodes: {s: {type: set, value: {k: {verdict: approve}}}}\nedges: [[START, s, END]]\n"
    )
    assert ended.output == {"verdict": "approve", "findings": []}


async def test_failing_node_goes_to_its_on_error_node(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{out: {{type: any}}, way: {{type: any}}}}\n"
        "output: {out: state.out, way: state.way}\nnodes:\n"
        f"  a: {shell('echo broken; exit 1', ', parse: json, on_error: e, output: {to: out}')}\n"
        "  b: {type: set, value: {way: on}}\n  e: {type: set, value: {way: error}}\n"
        "edges: [[START, a, b, END], [e, END]]\n"
    )
    assert ended.output == {"out": None, "way": "error"}
    assert [event.type for event in engine.events if event.node == "a#1"][-1] == "node_fail"


async def test_error_in_a_template_goes_to_the_on_error_node(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{way: {{type: any}}}}\noutput: state.way\nnodes:\n"
        "  a: {type: shell, run: [echo, '{{ input.n.missing }}'], on_error: e}\n"
        "  e: {type: set, value: {way: error}}\nedges: [[START, a, END], [e, END]]\n",
        n={},
    )
    assert ended.output == "error"


async def test_failing_item_of_an_each_leaves_the_rest_out(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{way: {{type: any}}}}\noutput: state.way\nnodes:\n"
        "  a: {type: shell, run: [sh, -c, 'echo $0 >> log; exit $0', '{{ item }}'], parse: json, on_error: e,"
        " each: input.items}\n  e: {type: set, value: {way: error}}\nedges: [[START, a, END], [e, END]]\n",
        items=[1, 2],
    )
    assert (ended.output, engine.log) == ("error", ["1"])


async def test_node_that_works_the_second_time_leaves_by_its_edge(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}state: {{way: {{type: any}}}}\noutput: state.way\nnodes:\n"
        "  a: {type: shell, run: [sh, -c, 'cat ready'], parse: json, on_error: e, max_visits: 3, on_limit: e2}\n"
        f"  e: {shell('echo 1 > ready')}\n  e2: {{type: set, value: {{way: limit}}}}\n"
        "  ok: {type: set, value: {way: ok}}\nedges: [[START, a, ok, END], [e, a], [e2, END]]\n"
    )
    assert ended.output == "ok"


async def test_limit_of_the_run_never_goes_to_on_error(engine: Any) -> None:
    engine.limits = Limits(node_runs=1)
    with pytest.raises(LimitReached):
        await engine.run(
            f"{HEAD}nodes:\n  s: {{type: graph, graph: g2, on_error: e}}\n  e: {{type: set, value: {{}}}}\n"
            "edges: [[START, s, END], [e, END]]\n"
            "---\nflow: 1\nname: g2\nnodes: {x: {type: set, value: {}}}\nedges: [[START, x, END]]\n"
        )
    assert "node_fail" not in {event.type for event in engine.events}


async def test_fail_node_ends_the_graph_with_its_exit_code(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}output: input.n\nnodes:\n  a: {{type: set, value: {{}}}}\n"
        "  f: {type: fail, message: だめ, exit: 7}\n"
        "edges: [[START, a], {from: a, when: input.n, to: f, else: END}]\n",
        n=1,
    )
    assert (ended.output, ended.message, ended.code) == (None, "だめ", 7)


SUB = (
    f"{HEAD}state: {{out: {{type: any}}}}\noutput: state.out\nnodes:\n"
    "  s: {type: graph, graph: g2, with: {n: '{{ input.n }}'}, output: {to: out}, on_error: ERROR}\n"
    "  e: {type: set, value: {out: mended}}\nedges: [[START, s, END], [e, END]]\n"
    "---\nflow: 1\nname: g2\ninput: {n: {type: int}}\nstate: {v: {type: any}}\noutput: {v: state.v}\nnodes:\n"
    "  x: {type: set, value: {v: '{{ input.n * 2 }}'}}\n  f: {type: fail, message: too large, exit: CODE}\n"
    "edges: [[START, x], {from: x, when: state.v > 10, to: f, else: END}]\n"
)


async def test_subgraph_gives_its_output(engine: Any) -> None:
    ended = await engine.run(SUB.replace("ERROR", "fail").replace("CODE", "7"), n=4)
    assert ended.output == {"v": 8}
    assert engine.started == ["s#1", "s/x#1"]


async def test_fail_inside_a_subgraph_fails_the_node_with_its_exit_code(engine: Any) -> None:
    with pytest.raises(RunFailed, match="s: too large") as failed:
        await engine.run(SUB.replace("ERROR", "fail").replace("CODE", "7"), n=9)
    assert failed.value.exit_code == 7


async def test_fail_inside_a_subgraph_can_be_caught(engine: Any) -> None:
    ended = await engine.run(SUB.replace("ERROR", "e").replace("CODE", "7"), n=9)
    assert ended.output == "mended"


async def test_fail_with_exit_0_in_a_subgraph_is_an_early_end(engine: Any) -> None:
    ended = await engine.run(SUB.replace("ERROR", "e").replace("CODE", "0"), n=9)
    assert (ended.output, ended.code) == (None, 0)


async def test_input_of_a_subgraph_is_checked(engine: Any) -> None:
    with pytest.raises(UsageError, match="g2: the input 'n' must be of type int, got 'viele'"):
        await engine.run(SUB.replace("ERROR", "fail").replace("CODE", "7"), n="viele")


async def test_second_visit_of_a_subgraph_has_paths_of_its_own(engine: Any) -> None:
    await engine.run(
        f"{HEAD}nodes:\n  s: {{type: graph, graph: g2, max_visits: 2, on_limit: e}}\n"
        "  b: {type: set, value: {}}\n  e: {type: set, value: {}}\nedges: [[START, s, b, s], [e, END]]\n"
        "---\nflow: 1\nname: g2\nnodes: {x: {type: shell, run: [sh, -c, echo x >> log]}}\nedges: [[START, x, END]]\n"
    )
    assert engine.started == ["s#1", "s/x#1", "b#1", "s#2", "s#2/x#1", "b#2", "e#1"]
    assert engine.log == ["x", "x"]


async def test_output_may_be_one_expression_or_none(engine: Any) -> None:
    graph = "nodes: {s: {type: set, value: {}}}\nedges: [[START, s, END]]\n"
    assert (await engine.run(f"{HEAD}output: '[input.n, run.id]'\n{graph}", n=1)).output == [1, "r1"]
    engine.saver.delete_thread("run")
    assert (await engine.run(f"{HEAD}{graph}")).output is None


async def test_output_that_has_no_value_fails_the_graph(engine: Any) -> None:
    with pytest.raises(RunFailed, match=r"'input\.n\.deep' has no value"):
        await engine.run(
            f"{HEAD}output: input.n.deep\nnodes: {{s: {{type: set, value: {{}}}}}}\nedges: [[START, s, END]]\n", n={}
        )


async def test_expressions_see_the_settings(engine: Any) -> None:
    engine.settings = {"verify": ["echo", "見た"]}
    ended = await engine.run(
        f"{HEAD}state: {{out: {{type: any}}}}\noutput: state.out.text\n"
        "nodes: {v: {type: shell, run: {command: settings.verify}, output: {to: out}}}\nedges: [[START, v, END]]\n"
    )
    assert ended.output == "見た"


CHAIN = (
    f"{HEAD}state: {{done: {{type: list, reduce: append}}}}\noutput: state.done\nnodes:\n"
    f"  a: {shell('echo a >> log', ', output: {to: done}')}\n"
    f"  b: {shell('echo b >> log; cat ready', ', parse: json, output: {to: done}')}\n"
    f"  c: {shell('echo c >> log', ', output: {to: done}')}\nedges: [[START, a, b, c, END]]\n"
)


async def test_finished_nodes_are_not_repeated_after_a_fault(engine: Any) -> None:
    with pytest.raises(RunFailed):
        await engine.run(CHAIN)
    (engine.folder / "ready").write_text("1")
    ended = await engine.go_on()
    assert engine.log == ["a", "b", "b", "c"]
    assert len(ended.output) == 3


async def test_finished_items_are_not_repeated_after_a_fault(engine: Any) -> None:
    (engine.folder / "ready-ok").write_text("1")
    with pytest.raises(RunFailed):
        await engine.run(
            f"{HEAD}nodes: {{a: {{type: shell, run: [sh, -c, 'echo $0 >> log; cat ready-$0', '{{{{ item }}}}'],"
            " parse: json, each: input.items}}\nedges: [[START, a, END]]\n",
            items=["ok", "late", "last"],
        )
    for name in ("late", "last"):
        (engine.folder / f"ready-{name}").write_text("1")
    await engine.go_on()
    assert engine.log == ["ok", "late", "late", "last"]


async def test_finished_nodes_of_a_subgraph_are_not_repeated_after_a_fault(engine: Any) -> None:
    text = (
        f"{HEAD}nodes: {{s: {{type: graph, graph: g}}}}\nedges: [[START, s, END]]\n---\n".replace(
            "name: g", "name: top"
        )
        + CHAIN
    )
    with pytest.raises(RunFailed):
        await engine.run(text)
    (engine.folder / "ready").write_text("1")
    await engine.go_on()
    assert engine.log == ["a", "b", "b", "c"]


async def test_run_that_is_invoked_again_at_its_end_stays_as_it_is(engine: Any) -> None:
    (engine.folder / "ready").write_text("1")
    first = await engine.run(CHAIN)
    again = await engine.go_on()
    assert again.output == first.output
    assert engine.log == ["a", "b", "c"]
