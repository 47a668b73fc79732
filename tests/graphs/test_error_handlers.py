"""What the node that an `on_error` leads to sees as `error`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowloom.core.errors import GraphInvalid
from flowloom.core.masking import SecretMask
from flowloom.graphs.read import read_text
from flowloom.graphs.validate import check

HEAD = (
    "flow: 1\nname: g\ninput: {items: {type: any}}\nstate: {out: {type: any}, all: {type: list, reduce: append}}\n"
    "output: {out: state.out, all: state.all}\nnodes:\n"
)
SEES = "{type: set, value: {out: '{{ error }}'}}"
NONE = {"node": "", "item": "", "kind": "", "message": ""}


def fails(more: str = "", line: str = "cat ready") -> str:
    item = ", '{{ item }}'" if "each" in more else ""
    return f"{{type: shell, run: [sh, -c, {line!r}{item}], parse: json{more}}}"


async def test_the_node_sees_who_failed_of_what_kind_and_why(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e')}\n  e: {SEES}\nedges: [[START, a, END], [e, END]]\n"
    )
    seen = ended.output["out"]
    assert {**seen, "message": ""} == {"node": "a", "item": "", "kind": "failure", "message": ""}
    assert seen["message"].startswith("a: the command failed: ")


async def test_a_visit_that_took_too_long_is_of_the_kind_timeout(engine: Any) -> None:
    text = f"{HEAD}  a: {{type: python, call: 't.py:wait', timeout: 20ms, on_error: e}}\n  e: {SEES}\n"
    engine.beside = {"t.py": "import asyncio\nasync def wait():\n    await asyncio.sleep(30)\n"}
    ended = await engine.run(f"{text}edges: [[START, a, END], [e, END]]\n")
    assert ended.output["out"]["kind"] == "timeout"


async def test_what_a_person_declined_is_of_the_kind_denied(engine: Any) -> None:
    assert (
        await engine.run(
            f"{HEAD}  a: {{type: shell, run: [echo], approve: before, on_error: e}}\n  e: {SEES}\n"
            "edges: [[START, a, END], [e, END]]\n"
        )
        is None
    )
    ended = await engine.answer("no")
    assert ended.output["out"]["kind"] == "denied"


async def test_it_is_kept_while_the_run_waits_and_goes_on_in_another_process(engine: Any) -> None:
    ask = "{type: human, show: 'It failed: {{ error.message }}', choices: [stop], output: {to: out}}"
    text = f"{HEAD}  a: {fails(', on_error: e')}\n  e: {ask}\nedges: [[START, a, END], [e, END]]\n"
    assert await engine.run(text) is None
    assert engine.question.text.startswith("It failed: a: the command failed: ")
    assert (await engine.go_on()) is None
    assert engine.question.text.startswith("It failed: a: the command failed: ")
    assert (await engine.answer("stop")).output["out"]["choice"] == "stop"


async def test_a_node_that_is_reached_by_an_edge_sees_empty_texts(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e', 'echo 1')}\n  e: {SEES}\nedges: [[START, a, e, END]]\n"
    )
    assert ended.output["out"] == NONE


async def test_it_is_gone_when_the_node_is_reached_again_by_an_edge(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e')}\n"
        "  e: {type: set, value: {all: '{{ error.node }}'}, max_visits: 3, on_limit: end}\n"
        "  b: {type: set, value: {}}\n  end: {type: set, value: {}}\n"
        "edges: [[START, a, END], [e, b], [b, e], [end, END]]\n"
    )
    assert ended.output["all"] == ["a", "", ""]


@pytest.mark.parametrize("parallel", ["", ", parallel: 2"])
async def test_all_items_of_the_node_and_all_their_tries_see_it(engine: Any, parallel: str) -> None:
    line = 'echo x >> tries; test $(wc -l < tries) -gt 1 && echo "[$1]"'
    words = f"run: [sh, -c, {line!r}, '{{{{ error.node }}}}', '{{{{ item }}}}'], parse: json"
    more = f"each: input.items, retry: {{max_attempts: 2, backoff: 1ms}}, ensure: error.node{parallel}"
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e')}\n  e: {{type: shell, {words}, {more}, output: {{to: all}}}}\n"
        "edges: [[START, a, END], [e, END]]\n",
        items=[1, 2, 3],
    )
    assert sorted(ended.output["all"]) == [[1], [2], [3]]


@pytest.mark.parametrize("parallel", ["", ", parallel: 2"])
async def test_it_names_the_item_that_failed(engine: Any, parallel: str) -> None:
    line = "test $0 = 1 && echo 1"
    ended = await engine.run(
        f"{HEAD}  a: {fails(f', each: input.items, on_error: e{parallel}', line)}\n  e: {SEES}\n"
        "edges: [[START, a, END], [e, END]]\n",
        items=[1, 2],
    )
    assert (ended.output["out"]["node"], ended.output["out"]["item"]) == ("a", "2")


async def test_of_two_branches_that_fail_at_once_the_last_is_seen(engine: Any) -> None:
    more = ", on_error: e"
    ended = await engine.run(
        f"{HEAD}  a: {fails(more)}\n  b: {fails(more)}\n  c: {{type: set, value: {{}}}}\n  e: {SEES}\n"
        "edges: [[START, [a, b], c, END], [e, END]]\n"
    )
    assert (ended.output["out"]["node"], engine.started.count("e#1")) == ("b", 1)


async def test_a_node_in_whose_place_another_runs_hands_it_on(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e, max_visits: 5, on_limit: u')}\n"
        "  e: {type: set, value: {all: '{{ error.kind }}'}, max_visits: 1, on_limit: u}\n"
        f"  u: {SEES}\nedges: [[START, a, END], [e, a], [u, END]]\n"
    )
    assert (ended.output["all"], ended.output["out"]["node"]) == (["failure"], "a")


async def test_a_function_gets_it_by_the_name_of_its_parameter(engine: Any) -> None:
    engine.beside = {"t.py": "def told(error):\n    return error['node']\n"}
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e')}\n  e: {{type: python, call: 't.py:told', output: {{to: out}}}}\n"
        "edges: [[START, a, END], [e, END]]\n"
    )
    assert ended.output["out"] == "a"


async def test_a_graph_below_takes_it_as_an_input_like_any_value(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e')}\n"
        "  e: {type: graph, graph: g2, with: {why: '{{ error.kind }}'}, output: {to: out}}\n"
        "edges: [[START, a, END], [e, END]]\n"
        "---\nflow: 1\nname: g2\ninput: {why: {type: string}}\nstate: {w: {type: any}}\noutput: state.w\n"
        "nodes: {x: {type: set, value: {w: '{{ input.why }}'}}}\nedges: [[START, x, END]]\n"
    )
    assert ended.output["out"] == "failure"


async def test_no_secret_is_kept_in_it(engine: Any) -> None:
    engine.secrets = SecretMask(values=["tiger-lily-9x"])
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e', 'echo tiger-lily-9x; exit 1')}\n  e: {SEES}\n"
        "edges: [[START, a, END], [e, END]]\n"
    )
    assert "<secret:" in ended.output["out"]["message"]
    assert "tiger-lily" not in json.dumps(ended.state)


async def test_nothing_is_kept_where_no_node_looks_at_it(engine: Any) -> None:
    ended = await engine.run(
        f"{HEAD}  a: {fails(', on_error: e')}\n  e: {{type: set, value: {{}}}}\nedges: [[START, a, END], [e, END]]\n"
    )
    assert "errors" not in ended.state


def faults(nodes: str) -> list[str]:
    (spec,) = read_text(f"{HEAD}{nodes}edges: [[START, a, END], [e, END]]\n", "g.yaml").values()
    return [fault.message for fault in check(spec, {})]


def test_an_item_may_be_called_error_except_where_the_error_is() -> None:
    own = ", each: input.items, as: error}"
    assert faults(f"  a: {{type: llm, prompt: '{{{{ error.line }}}}', on_error: e{own}\n  e: {SEES}\n") == []
    (message,) = faults(f"  a: {{type: llm, prompt: p, on_error: e}}\n  e: {{type: llm, prompt: p{own}\n")
    assert message == "an item cannot be named 'error', which expressions use already"


def test_a_parameter_that_could_be_the_error_or_a_state_key_is_a_fault() -> None:
    from flowloom.graphs.beside import KeptFiles

    text = HEAD.replace("out: {type: any}", "error: {type: any}").replace("state.out", "state.error")
    nodes = "  a: {type: llm, prompt: p, on_error: e}\n  e: {type: python, call: 't.py:told'}\n"
    with pytest.raises(GraphInvalid, match="'error' of 'told' could be error or state"):
        read_text(
            f"{text}{nodes}edges: [[START, a, END], [e, END]]\n",
            "g.yaml",
            KeptFiles({"t.py": "def told(error): ..."}),
        )
