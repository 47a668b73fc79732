"""The python node, with real code and a real journal; the graphs of it in tests/graphs."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import GraphInvalid, RunFailed
from flowloom.core.hits import Hit
from flowloom.nodes.call import NodeCall
from flowloom.nodes.own_thread import in_own_thread
from flowloom.nodes.prints import prints_aside
from flowloom.nodes.python_call import PythonCall
from flowloom.nodes.user_code import Code, load_name

from .conftest import MakeBench

HEAD = "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom pathlib import Path\n"


@pytest.fixture
def call(make_bench: Any, tmp_path: Path) -> Any:
    bench = make_bench()

    async def run(code: str, /, **given: Any) -> Any:
        node = PythonCall(Code("t.py", path=tmp_path / "t.py", text=HEAD + code), "f")
        return (await node(NodeCall("a", 1, "python", {"with": given}), bench.deps())).value

    run.bench = bench  # type: ignore[attr-defined]
    return run


@pytest.fixture
def make_bench(bench: MakeBench) -> MakeBench:
    return bench


async def test_a_function_gets_values_by_name_and_gives_json(call: Any) -> None:
    assert await call("def f(a, *, b=2): return [a, b, Path('x'), {'y'}]", a=1) == [1, 2, "x", ["y"]]


async def test_an_async_function_is_awaited(call: Any) -> None:
    code = "import asyncio\nasync def f(a):\n    await asyncio.sleep(0)\n    return a"
    assert await call(code, a={"b": None}) == {"b": None}


async def test_values_are_held_to_the_type_hints(call: Any) -> None:
    code = "@dataclass\nclass Issue:\n    id: str\n    n: int = 3\n\ndef f(issues: list[Issue]): return issues"
    assert await call(code, issues=[{"id": "x"}]) == [{"id": "x", "n": 3}]
    with pytest.raises(
        RunFailed, match=r"^a: 'issues' of t\.py:f does not fit its type hint: 0\.id: Field required\.$"
    ):
        await call(code, issues=[{}])


async def test_a_value_that_does_not_fit_its_own_hint_is_told(call: Any) -> None:
    with pytest.raises(
        RunFailed, match=r"a: the value of t\.py:f does not fit its type hint: Input should be a valid"
    ):
        await call("def f() -> dict: return 5")


async def test_a_failure_is_one_line_with_the_place_in_the_file(call: Any) -> None:
    with pytest.raises(RunFailed, match=r"^a: t\.py:6: KeyError: 'x'\.$"):
        await call("import json\ndef g(a):\n    return {}[a]\ndef f(a): return g(a)", a="x")
    with pytest.raises(RunFailed, match=r"^a: t\.py:5: JSONDecodeError: Expecting value: line 1"):
        await call("import json\ndef f(a): return json.loads(a)", a="?")


async def test_a_function_that_wants_to_end_the_process_fails_alone(call: Any) -> None:
    with pytest.raises(RunFailed, match=r"SystemExit: 3"):
        await call("def f(): raise SystemExit(3)")


@pytest.mark.parametrize("value", ["float('nan')", "object()", "f", "{(1, 2): float('inf')}"])
async def test_a_value_that_is_no_json_is_refused(call: Any, value: str) -> None:
    with pytest.raises(RunFailed, match=r"the value of t\.py:f is no JSON data"):
        await call(f"def f(): return {value}")


async def test_arguments_that_do_not_fit_are_told(call: Any) -> None:
    with pytest.raises(RunFailed, match=r"t\.py:f takes no 'c'"):
        await call("def f(a): pass", a=1, c=2)
    with pytest.raises(RunFailed, match=r"t\.py:f needs b; give them in 'with'"):
        await call("def f(a, b): pass", a=1)
    assert await call("def f(a, /, **more): return [a, more]", a=1, c=2) == [1, {"c": 2}]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nowhere_at_all\ndef f(): pass", r"t\.py:4: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit(1)", r"t\.py:4: SystemExit: 1"),
        ("f = 5", "'f' is no function"),
        ("def g(): pass", "there is no 'f' in it"),
        ("def f(a: Nowhere): pass", r"the parameters of 'f' cannot be read: name 'Nowhere' is not defined"),
        ("class T: pass\ndef f(a: T): pass", "the type hint .* cannot be checked"),
    ],
)
async def test_code_that_cannot_be_used_is_told_before_anything_runs(call: Any, code: str, message: str) -> None:
    with pytest.raises(GraphInvalid, match=message):
        await call(code)


async def test_a_secret_in_the_value_is_masked(call: Any) -> None:
    value = await call("def f(): return {'key': 'ghp_' + 'a1B2c3D4' * 4 + 'a1B2'}")
    assert "ghp_a1B2" not in str(value)


async def test_a_command_runs_in_the_workspace_and_only_once(call: Any) -> None:
    code = (
        "def f(ctx):\n    done = ctx.command(['sh', '-c', 'echo x >> log; exit 3'])\n"
        "    return [done.exit_code, done.text, ctx.workspace.name, ctx.node]"
    )
    value = await call(code)
    assert value == [3, "exit code 3\n(no output)", call.bench.repo.name, "a#1"]
    # The visit begins again, as after a kill.
    assert await call(code) == value
    assert call.bench.read("log") == "x\n"


async def test_a_command_that_is_refused_is_an_error_of_the_function(call: Any) -> None:
    code = "def f(ctx): return ctx.command(['/nowhere/at/all']).exit_code"
    with pytest.raises(RunFailed, match=r"t\.py:4: RuntimeError: "):
        await call(code)


async def test_what_a_function_prints_does_not_reach_stdout(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await call("def f(): print('hello')")
    assert capsys.readouterr() == ("", "hello\n")


def test_prints_go_aside_until_the_last_block_ends(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = prints_aside(), prints_aside()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    print("aside")
    second.__exit__(None, None, None)
    print("result")
    assert capsys.readouterr() == ("result\n", "aside\n")


async def test_a_function_that_never_ends_is_left_behind() -> None:
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(30)

    task = asyncio.ensure_future(in_own_thread(work, "left"))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    end.set()


def test_code_runs_once_for_the_same_text(tmp_path: Path) -> None:
    code = Code("t.py", path=tmp_path / "t.py", text="made = object()\n")
    assert load_name(code, "made") is load_name(
        Code("t.py", path=tmp_path / "t.py", text="made = object()\n"), "made"
    )
    assert load_name(Code("json", module="json"), "dumps") is __import__("json").dumps


async def test_passages_are_had_as_a_retrieve_node_gives_them(make_bench: Any, tmp_path: Path) -> None:
    bench = make_bench()
    code = HEAD + "def f(ctx): return [ctx.retrieve('a', 'code', k=1), ctx.retrieve('a', 'docs')]"
    node = PythonCall(Code("t.py", path=tmp_path / "t.py", text=code), "f")
    asked: list[Any] = []

    class Retriever:
        def retrieve(self, query: str, budget: int, sources: Any, *, within: Any = ()) -> list[Hit]:
            asked.append((query, budget, sources, within))
            return (
                [Hit(name, "a.py", 1, 2, None, "", "text", 1.0, "code", "") for name in "ab"]
                if len(asked) == 1
                else []
            )

    deps = bench.deps()
    deps = replace(deps, toolbox=replace(deps.toolbox, retriever=Retriever()))
    code_hits, doc_hits = (await node(NodeCall("a", 1, "python", {"with": {}}), deps)).value
    assert ([hit["id"] for hit in code_hits], doc_hits) == (["a"], [])
    assert asked == [("a", 500, ("code",), ()), ("a", 4000, ("docs",), ())]
