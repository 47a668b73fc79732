from __future__ import annotations

from typing import Any

from flowloom.llm.answers import Reply

CODER = "type: coder, prompt: 直す"


def edit(script: Any, new: str = "x = 3") -> Any:
    return script.call("edit_file", path="a.py", old_text="x = 1", new_text=new)


async def test_edit_in_mode_ask_waits_before_anything_is_written(bench: Any, script: Any) -> None:
    run = bench(edit(script), Reply("done"), mode="ask")
    assert await run.node(CODER) is None
    question = run.question
    assert (question.kind, question.node, question.choices) == ("approval", "a#1", ("yes", "no", "always"))
    assert "+x = 3" in question.text
    assert run.read("a.py") == "x = 1\n"
    assert run.journal.writes() == []


async def test_yes_applies_the_edit_without_a_second_model_call(bench: Any, script: Any) -> None:
    run = bench(edit(script), Reply("done"), mode="ask")
    await run.node(CODER)
    assert (await run.answer("yes"))["files"] == ["a.py"]
    assert run.read("a.py") == "x = 3\n"
    assert len(run.server.requests) == 2


async def test_answer_may_come_to_another_process(bench: Any, script: Any) -> None:
    run = bench(edit(script), Reply("done"), mode="ask")
    await run.node(CODER)
    run.process()
    assert (await run.answer("yes"))["files"] == ["a.py"]
    assert len(run.server.requests) == 2


async def test_no_is_told_to_the_model_with_its_reason(bench: Any, script: Any) -> None:
    run = bench(edit(script), Reply("as you wish"), mode="ask")
    await run.node(CODER)
    change = await run.answer("no", reason="別の値に")
    assert (change["files"], change["summary"]) == ([], "as you wish")
    assert run.read("a.py") == "x = 1\n"
    assert run.results() == ["The user declined this: 別の値に"]


async def test_always_lets_later_edits_pass(bench: Any, script: Any) -> None:
    second = script.call("edit_file", path="b.py", old_text="y = 2", new_text="y = 4")
    run = bench(edit(script), second, Reply("done"), mode="ask")
    await run.node(CODER)
    assert (await run.answer("always"))["files"] == ["a.py", "b.py"]


async def test_second_edit_of_one_reply_is_asked_for_by_itself(bench: Any, script: Any) -> None:
    calls = [
        script.Call("edit_file", {"path": "a.py", "old_text": "x = 1", "new_text": "x = 3"}),
        script.Call("edit_file", {"path": "a.py", "old_text": "x = 3", "new_text": "x = 5"}),
    ]
    run = bench(Reply(calls=calls), Reply("done"), mode="ask")
    await run.node(CODER)
    assert await run.answer("yes") is None
    assert "-x = 3" in run.question.text
    await run.answer("yes")
    assert run.read("a.py") == "x = 5\n"
    assert len(run.server.requests) == 2


async def test_question_starts_the_node_and_the_call_once(bench: Any, script: Any) -> None:
    run = bench(edit(script), Reply("done"), mode="ask")
    await run.node(CODER)
    await run.answer("yes")
    assert run.kinds("node_start", "tool_start", "tool_end", "node_end") == [
        "node_start a#1",
        "tool_start a#1",
        "tool_end a#1",
        "node_end a#1",
    ]


async def test_plan_mode_refuses_the_edit_without_asking(bench: Any, script: Any) -> None:
    run = bench(edit(script), Reply("only a plan"), mode="plan")
    assert (await run.node(CODER))["files"] == []
    assert "plan mode" in run.results()[0]


async def test_file_changed_while_the_person_thought_is_not_overwritten(bench: Any, script: Any) -> None:
    run = bench(edit(script), Reply("done"), mode="ask")
    await run.node(CODER)
    run.write("a.py", "x = 1  # mine\n")
    await run.answer("yes")
    assert "# mine" in run.read("a.py")


async def test_approval_inside_a_subgraph_reaches_the_person(bench: Any, script: Any) -> None:
    run = bench(edit(script), Reply("done"), mode="ask")
    await run.run(
        "flow: 1\nname: g\nstate: {out: {type: any}}\noutput: state.out\n"
        "nodes: {s: {type: graph, graph: inner, output: {to: out}}}\nedges: [[START, s, END]]\n"
        "---\nflow: 1\nname: inner\nstate: {c: {schema: Change}}\noutput: state.c\n"
        "nodes: {code: {type: coder, prompt: p, output: {to: c}}}\nedges: [[START, code, END]]\n"
    )
    assert run.question.node == "s/code#1"
    run.process()
    assert (await run.answer("yes"))["files"] == ["a.py"]
    assert len(run.server.requests) == 2
    assert run.kinds("node_end") == ["node_end s/code#1", "node_end s#1"]
