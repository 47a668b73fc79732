from __future__ import annotations

import subprocess
from typing import Any

import pytest

from flowloom.core.errors import RunFailed

ASK = "type: human, show: 'よいですか {{ input.n }}', choices: [yes, no], headless: no"
EDIT = (
    "flow: 1\nname: g\ninput: {start: {type: any}}\nstate: {key: DECLARED}\noutput: state.key\n"
    "nodes:\n  s: {type: set, value: {key: '{{ input.start }}'}}\n"
    "  h: {type: human, show: Right?, choices: [take, edit], edits: key}\nedges: [[START, s, h, END]]\n"
)


async def test_tool_node_gives_the_tools_text_and_files(bench: Any) -> None:
    run = bench()
    value = await run.node(
        "type: tool, call: write_file, with: {path: n.txt, content: '{{ input.text }}'}", text="新\n"
    )
    assert value["files"] == ["n.txt"]
    assert run.read("n.txt") == "新\n"


async def test_failing_tool_is_an_error_of_the_node(bench: Any) -> None:
    run = bench()
    with pytest.raises(RunFailed, match=r"a: .*none\.py"):
        await run.node("type: tool, call: read_file, with: {path: none.py}")
    assert run.kinds("node_fail") == ["node_fail a#1"]


async def test_wrong_arguments_of_a_tool_node_are_an_error(bench: Any) -> None:
    run = bench()
    with pytest.raises(RunFailed, match=r"a: .*path"):
        await run.node("type: tool, call: read_file, with: {file: a.py}")


async def test_failed_tool_call_is_tried_again_when_the_run_goes_on(bench: Any) -> None:
    run = bench()
    with pytest.raises(RunFailed):
        await run.node("type: tool, call: bash, with: {command: 'cat later.txt'}")
    run.write("later.txt", "here")
    run.process()
    assert (await run.go_on())["text"] == "here"


async def test_tool_node_commits_what_the_run_changed(bench: Any) -> None:
    run = bench()
    await run.run(
        "flow: 1\nname: g\nnodes:\n  w: {type: tool, call: write_file, with: {path: a.py, content: 'x = 5'}}\n"
        "  c: {type: tool, call: git, with: {action: commit, message: 値を変更}}\nedges: [[START, w, c, END]]\n"
    )
    log = subprocess.run(
        ["git", "log", "-1", "--format=%s"], cwd=run.repo, capture_output=True, check=True, text=True
    )
    assert log.stdout == "値を変更\n"


async def test_tool_node_in_mode_ask_waits_before_it_writes(bench: Any) -> None:
    run = bench(mode="ask")
    node = "type: tool, call: write_file, with: {path: n.txt, content: x}"
    assert await run.node(node) is None
    assert not (run.repo / "n.txt").exists()
    assert (await run.answer("yes"))["files"] == ["n.txt"]


async def test_human_node_asks_and_gives_the_answer(bench: Any) -> None:
    run = bench()
    assert await run.node(ASK, n=3) is None
    question = run.question
    assert (question.kind, question.node, question.text) == ("human", "a#1", "よいですか 3")
    assert (question.choices, question.headless) == (("yes", "no"), "no")
    assert await run.answer("yes", reason="ok") == {"choice": "yes", "value": None, "reason": "ok"}


async def test_answer_that_is_no_choice_is_asked_for_again(bench: Any) -> None:
    run = bench()
    await run.node(ASK, n=3)
    assert await run.answer("maybe") is None
    assert run.question.text == "'maybe' is not one of yes, no.\n\nよいですか 3"
    run.process()
    assert (await run.answer("no"))["choice"] == "no"


async def test_edit_takes_the_place_of_the_state_key(bench: Any, plan: Any) -> None:
    run = bench()
    await run.run(EDIT.replace("DECLARED", "{schema: Plan}"), start=plan)
    assert run.question.payload == {"edit": plan, "key": "key", "schema": "Plan", "kind": None}
    assert await run.answer("edit", {**plan, "title": "別の題"}) == {**plan, "title": "別の題"}


async def test_answer_without_an_edit_leaves_the_state_key(bench: Any, plan: Any) -> None:
    run = bench()
    await run.run(EDIT.replace("DECLARED", "{schema: Plan}"), start=plan)
    assert await run.answer("take") == plan


async def test_edit_that_misses_the_schema_is_refused_and_asked_for_again(bench: Any, plan: Any) -> None:
    run = bench()
    await run.run(EDIT.replace("DECLARED", "{schema: Plan}"), start=plan)
    assert await run.answer("edit", {"title": "No steps", "steps": []}) is None
    assert run.question.text == (
        "The edited key is no Plan: steps: List should have at least 1 item after validation, not 0. "
        "Nothing of it was taken; edit it again.\n\nRight?"
    )
    assert await run.answer("take") == plan


async def test_edit_gets_the_defaults_of_its_schema(bench: Any, plan: Any) -> None:
    run = bench()
    await run.run(EDIT.replace("DECLARED", "{schema: Plan}"), start=plan)
    short = {"title": "T", "steps": [{"id": "a", "title": "A", "brief": "B"}]}
    assert (await run.answer("edit", short))["steps"][0]["depends_on"] == []


async def test_edit_of_the_wrong_type_is_refused(bench: Any) -> None:
    run = bench()
    await run.run(EDIT.replace("DECLARED", "{type: int}"), start=1)
    assert await run.answer("edit", "two") is None
    assert "must be of type int, not 'two'" in run.question.text


async def test_edit_replaces_all_of_a_list_that_nodes_append_to(bench: Any) -> None:
    run = bench()
    await run.run(EDIT.replace("DECLARED", "{type: list, reduce: append}"), start="one")
    assert run.question.payload["edit"] == ["one"]
    assert await run.answer("edit", ["two", "three"]) == ["two", "three"]


async def test_human_node_starts_once_however_often_it_is_asked(bench: Any) -> None:
    run = bench()
    await run.node(ASK, n=3)
    await run.answer("maybe")
    await run.answer("yes")
    assert run.kinds("node_start", "node_end") == ["node_start a#1", "node_end a#1"]


async def test_question_in_another_process_starts_the_node_anew_but_counts_once(bench: Any) -> None:
    run = bench()
    await run.node(ASK, n=3)
    run.process()
    await run.answer("yes")
    assert run.store.usage(run.row.id).node_runs == 1


async def test_fail_node_ends_the_graph_with_its_message_and_code(bench: Any) -> None:
    run = bench()
    ended = await run.run(
        "flow: 1\nname: g\ninput: {n: {type: int}}\nnodes: {ok: {type: set, value: {}}, "
        "f: {type: fail, message: 'だめ {{ input.n }}', exit: 7}}\n"
        "edges: [[START, ok], {from: ok, when: input.n > 2, to: f, else: END}]\n",
        n=3,
    )
    assert ended == ("だめ 3", 7)
