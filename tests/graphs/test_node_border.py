"""What stands between a node's type and the graph: schemas, `ensure`, approval, what may be changed."""

from __future__ import annotations

import pytest

from flowloom.core.errors import GraphInvalid, RunFailed

from .conftest import Engine

HEAD = "flow: 1\nname: g\ninput: {x: {type: any}, xs: {type: list, default: []}}\n"
COUNTED = "type: shell, run: [sh, -c, 'echo a >> log; cat log'], output: {to: out}"


def graph(node: str, state: str = "out: {type: any}", rest: str = "") -> str:
    return f"{HEAD}state: {{{state}}}\noutput: state\nnodes: {{a: {{{node}}}{rest}}}\nedges: [[START, a, END]]\n"


def code(call: str, schema: str = "", more: str = "") -> str:
    inner = f", schema: {schema}" if schema else ""
    return f"type: python, call: 't.py:{call}', output: {{to: out{inner}}}{more}"


@pytest.fixture
def engine(engine: Engine) -> Engine:
    engine.beside = {
        "t.py": "from pydantic import BaseModel, field_validator\nfrom typing_extensions import TypedDict\n"
        "class Issue(BaseModel):\n    id: str\n    n: int = 3\n"
        "    @field_validator('id')\n    @classmethod\n    def known(cls, value):\n"
        "        if value == 'zz': raise ValueError('zz is taken')\n        return value\n"
        "class Row(TypedDict):\n    a: int\n"
        "NotAType = 5\n"
        "def same(x): return x\n"
    }
    return engine


# Schemas


@pytest.mark.parametrize(
    ("schema", "given", "value"),
    [
        ("{type: array, items: {type: integer}}", [1, 2], [1, 2]),
        ("Step", {"id": "s", "title": "t", "brief": "b"}, {"files": [], "depends_on": []}),
        ("'t.py:Issue'", {"id": "x"}, {"n": 3}),
        ("'t.py:Row'", {"a": 1}, {"a": 1}),
        ("Verdict", {"verdict": "bug"}, {"item": "", "reason": ""}),
        ("Answer", {"text": "t", "enough": False}, {"cites": []}),
    ],
)
async def test_a_value_is_held_to_the_schema_of_its_node(
    engine: Engine, schema: str, given: object, value: object
) -> None:
    ended = await engine.run(graph(code("same", schema)), x=given)
    assert ended is not None
    out = ended.output["out"]
    assert out == value if isinstance(given, list) else {**out, **value} == out  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("schema", "given", "message"),
    [
        (
            "{type: array, items: {type: integer}}",
            [1, "x"],
            "a: its value is no value of the schema: 1: 'x' is not of",
        ),
        ("Step", {"id": "s"}, "a: its value is no Step: title: Field required."),
        ("'t.py:Issue'", {"id": "zz"}, "a: its value is no Issue: id: Value error, zz is taken."),
        ("'t.py:Row'", {}, "a: its value is no Row: a: Field required."),
        ("Verdict", None, "a: its value is no Verdict: Input should be a valid dictionary"),
    ],
)
async def test_a_value_that_misses_its_schema_fails_the_node(
    engine: Engine, schema: str, given: object, message: str
) -> None:
    with pytest.raises(RunFailed) as caught:
        await engine.run(graph(code("same", schema)), x=given)
    assert caught.value.message.startswith(message)


async def test_a_schema_that_is_no_type_is_told_before_anything_runs(engine: Engine) -> None:
    with pytest.raises(GraphInvalid, match=r"t\.py:NotAType is no type that values can be checked by"):
        await engine.run(graph(code("same", "'t.py:NotAType'")), x=1)
    assert engine.events == []


async def test_a_state_key_is_held_to_its_schema_and_each_item_of_a_list_to_that_of_items(engine: Engine) -> None:
    key = "out: {type: list, schema: 't.py:Issue'}"
    ended = await engine.run(graph(code("same"), key), x=[{"id": "a"}])
    assert ended is not None
    assert ended.output["out"] == [{"id": "a", "n": 3}]
    with pytest.raises(RunFailed, match=r"a: the value for state 'out' is no list of Issue: 1\.id: Field required"):
        await engine.run(graph(code("same"), key), x=[{"id": "a"}, {}])


@pytest.mark.parametrize("reduce", ["append", "union, key: id"])
async def test_what_is_added_to_a_list_is_held_to_the_schema_of_its_items(engine: Engine, reduce: str) -> None:
    key = f"out: {{type: list, schema: 't.py:Issue', reduce: {reduce}}}"
    ended = await engine.run(
        graph(code("same", more=", each: input.xs, with: {x: '{{ item }}'}"), key), xs=[{"id": "a"}]
    )
    assert ended is not None
    assert ended.output["out"] == [{"id": "a", "n": 3}]
    with pytest.raises(RunFailed, match="the value for state 'out' is no Issue: id: Field required"):
        await engine.run(graph(code("same"), key), x={"n": 1})


# Ensure


async def test_a_value_that_meets_its_ensure_passes(engine: Engine) -> None:
    ended = await engine.run(graph(code("same", more=", ensure: output.n > 1 and input.x")), x={"n": 2})
    assert ended is not None
    assert ended.output["out"] == {"n": 2}


async def test_a_value_that_misses_its_ensure_fails_the_node_with_the_value(engine: Engine) -> None:
    with pytest.raises(RunFailed) as caught:
        await engine.run(graph(code("same", more=", ensure: output.n > 1")), x={"n": 1})
    assert caught.value.message == "a: its value will not do: it must hold that output.n > 1, but output.n is 1."


async def test_an_ensure_without_a_value_of_its_own_fails_the_node_too(engine: Engine) -> None:
    with pytest.raises(
        RunFailed, match=r"its value will not do: the expression 'output\.m' has no value: there is no"
    ):
        await engine.run(graph(code("same", more=", ensure: output.m")), x={"n": 1})


async def test_a_missed_ensure_leads_to_on_error(engine: Engine) -> None:
    text = graph(code("same", more=", ensure: 'false', on_error: b"), rest=", b: {type: set, value: {out: saved}}")
    ended = await engine.run(text.replace("[[START, a, END]]", "[[START, a, END], [b, END]]"), x=1)
    assert ended is not None
    assert ended.output["out"] == "saved"


# Approval


async def test_a_node_waits_for_approval_before_it_runs(engine: Engine) -> None:
    assert await engine.run(graph(f"{COUNTED}, approve: before")) is None
    assert engine.log == []
    question = engine.question
    assert (question.kind, question.node, question.choices) == ("approval", "a#1", ("yes", "no"))
    assert question.text.startswith("May a#1 run?\n\nrun: ")
    ended = await engine.answer("yes")
    assert ended is not None
    assert engine.log == ["a"]


async def test_a_node_that_is_declined_does_not_run(engine: Engine) -> None:
    await engine.run(graph(f"{COUNTED}, approve: before"))
    with pytest.raises(RunFailed, match="a: it was declined") as caught:
        await engine.answer("no")
    assert (engine.log, caught.value.exit_code) == ([], 7)


async def test_a_value_waits_for_approval_and_its_node_runs_only_once(engine: Engine) -> None:
    engine.beside["t.py"] += "from pathlib import Path\ndef note(ctx):\n"
    engine.beside["t.py"] += (
        "    with (ctx.workspace / 'log').open('a') as log: log.write('n ')\n    return 'noted'\n"
    )
    assert await engine.run(graph(code("note", more=", approve: after"))) is None
    assert engine.question.text == "May the value of a#1 be used?\n\nnoted"
    ended = await engine.answer("yes")
    assert ended is not None
    assert (ended.output["out"], engine.log) == ("noted", ["n"])


async def test_a_value_that_is_declined_is_not_used(engine: Engine) -> None:
    await engine.run(graph(f"{COUNTED}, approve: after"))
    with pytest.raises(RunFailed, match="a: it was declined"):
        await engine.answer("no")
    assert engine.log == ["a"]


async def test_each_item_is_approved_by_itself(engine: Engine) -> None:
    text = graph("type: shell, run: [sh, -c, 'echo $0 >> log', '{{ item }}'], each: input.xs, approve: before")
    assert await engine.run(text, xs=["a", "b"]) is None
    assert await engine.answer("yes") is None
    assert (engine.log, engine.question.node) == (["a"], "a[2]#1")
    await engine.answer("yes")
    assert engine.log == ["a", "b"]


# What may be changed


async def test_a_tool_that_writes_is_refused_where_the_node_only_reads(engine: Engine) -> None:
    write = "type: tool, call: write_file, with: {path: x.txt, content: y}"
    with pytest.raises(RunFailed, match="This node only reads: files are not changed"):
        await engine.run(graph(f"{write}, workspace: readonly"))
    assert not (engine.folder / "x.txt").exists()
    await engine.run(graph(write))
    assert (engine.folder / "x.txt").exists()


@pytest.mark.parametrize(
    ("command", "runs"), [("[ls, -l]", True), ("[touch, x]", False), ("[sh, -c, 'ls > x']", False)]
)
async def test_a_command_of_the_graph_runs_there_only_if_it_only_reads(
    engine: Engine, command: str, runs: bool
) -> None:
    text = graph(f"type: shell, run: {command}, output: {{to: out}}, workspace: readonly")
    if runs:
        ended = await engine.run(text)
        assert ended is not None
        assert ended.output["out"]["exit_code"] == 0
    else:
        with pytest.raises(RunFailed, match="no command runs that may change something"):
            await engine.run(text)
    assert [path.name for path in engine.folder.iterdir()] == []


async def test_a_graph_that_only_reads_holds_its_nodes_to_that(engine: Engine) -> None:
    inner = "---\nflow: 1\nname: inner\nnodes: {s: {type: shell, run: [touch, x]}}\nedges: [[START, s, END]]\n"
    with pytest.raises(RunFailed, match="This node only reads"):
        await engine.run(graph("type: graph, graph: inner, workspace: readonly") + inner)


async def test_approve_tools_asks_for_what_would_run_unasked(engine: Engine) -> None:
    write = "type: tool, call: write_file, with: {path: x.txt, content: y}, approve: tools"
    assert await engine.run(graph(write)) is None
    assert engine.question.kind == "approval"
    assert await engine.answer("yes") is not None
    assert (engine.folder / "x.txt").read_text() == "y"


# Python nodes among the others


async def test_a_function_that_takes_too_long_is_left_behind(engine: Engine) -> None:
    engine.beside["t.py"] += "import threading\ndef waits(): threading.Event().wait(20)\n"
    text = graph(code("waits", more=", timeout: 50ms, on_error: b"), rest=", b: {type: set, value: {out: saved}}")
    ended = await engine.run(text.replace("[[START, a, END]]", "[[START, a, END], [b, END]]"))
    assert ended is not None
    assert ended.output["out"] == "saved"


async def test_a_function_is_tried_again_for_the_exception_that_retry_names(engine: Engine) -> None:
    engine.beside["t.py"] += (
        "def flaky(ctx):\n    log = ctx.workspace / 'log'\n    with log.open('a') as file: file.write('x ')\n"
        "    if log.read_text().count('x') < 3: raise KeyError('k')\n    return 'up'\n"
    )
    retry = ", retry: {max_attempts: 3, backoff: 1ms, retry_on: [KeyError]}"
    ended = await engine.run(graph(code("flaky", more=retry)))
    assert ended is not None
    assert (ended.output["out"], engine.log) == ("up", ["x", "x", "x"])


async def test_a_function_runs_beside_others_of_its_kind(engine: Engine) -> None:
    engine.beside["t.py"] += (
        "import threading\nboth = threading.Barrier(2)\ndef meet(item):\n    both.wait(20)\n    return item\n"
    )
    text = graph(code("meet", more=", each: input.xs, parallel: 2"), "out: {type: list, reduce: append}")
    ended = await engine.run(text, xs=[1, 2])
    assert ended is not None
    assert ended.output["out"] == [1, 2]
