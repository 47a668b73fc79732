from __future__ import annotations

import os
from typing import Any

from flowloom.llm.answers import Reply

CODER = "type: coder, prompt: 直す"
LOOP = (
    "flow: 1\nname: g\nstate: {out: {type: list, reduce: append}, said: {type: any}}\noutput: state.out\nnodes:\n"
    "  a: {type: coder, history: HISTORY, prompt: '{{ state.said or \"first try\" }}', output: {to: out},"
    " max_visits: 2, on_limit: end}\n"
    "  b: {type: set, value: {said: second try}}\n  end: {type: set, value: {}}\n"
    "edges: [[START, a, b, a], [end, END]]\n"
)


async def test_change_lists_the_files_of_edits_writes_and_commands(bench: Any, script: Any) -> None:
    run = bench(
        script.call("edit_file", path="a.py", old_text="x = 1", new_text="x = 3"),
        script.call("write_file", path="new/新.txt", content="内容\n"),
        script.call("bash", command="echo z >> b.py; rm 日本.txt"),
        Reply("変えました"),
    )
    change = await run.node(CODER)
    assert change["files"] == ["a.py", "b.py", "new/新.txt", "日本.txt"]
    assert change["summary"] == "変えました"


async def test_diff_of_a_change_is_a_blob(bench: Any, script: Any) -> None:
    run = bench(script.call("bash", command="echo 追加 >> b.py"), Reply("done"))
    change = await run.node(CODER)
    assert b"+\xe8\xbf\xbd\xe5\x8a\xa0" in run.blobs.get(change["diff_ref"])


async def test_change_without_files_has_no_diff(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="a.py"), Reply("nothing to do"))
    assert await run.node(CODER) == {"step": "", "files": [], "summary": "nothing to do", "diff_ref": ""}


async def test_file_that_is_put_back_is_no_change(bench: Any, script: Any) -> None:
    run = bench(
        script.call("write_file", path="a.py", content="x = 9\n"),
        script.call("bash", command="git checkout -q a.py"),
        Reply("undone"),
    )
    assert (await run.node(CODER))["files"] == []


async def test_file_of_an_earlier_step_counts_when_a_command_changes_it_again(bench: Any, script: Any) -> None:
    run = bench(
        script.call("edit_file", path="a.py", old_text="x = 1", new_text="x = 3"),
        Reply("one"),
        script.call("bash", command="echo more >> a.py"),
        Reply("two"),
    )
    first, second = await run.run(LOOP.replace("HISTORY", "fresh"))
    assert (first["files"], second["files"]) == (["a.py"], ["a.py"])


async def test_file_of_an_earlier_step_that_stays_is_not_listed_again(bench: Any, script: Any) -> None:
    run = bench(
        script.call("edit_file", path="a.py", old_text="x = 1", new_text="x = 3"),
        Reply("one"),
        script.call("edit_file", path="b.py", old_text="y = 2", new_text="y = 4"),
        Reply("two"),
    )
    _, second = await run.run(LOOP.replace("HISTORY", "fresh"))
    assert second["files"] == ["b.py"]
    assert "<changed_so_far>\na.py\n</changed_so_far>" in run.conversation()[1]["content"]


async def test_dangling_link_and_folder_in_place_of_a_file_are_changes(bench: Any, script: Any) -> None:
    run = bench(script.call("bash", command="ln -s nowhere link; rm a.py; mkdir a.py; touch a.py/x"), Reply("done"))
    files = (await run.node(CODER))["files"]
    assert {"a.py", "link"} <= set(files)
    assert os.path.islink(run.repo / "link")


async def test_change_names_the_item_it_was_made_for(bench: Any) -> None:
    run = bench(Reply("done"))
    changes = await run.run(
        "flow: 1\nname: g\ninput: {steps: {type: list}}\nstate: {out: {type: list, reduce: append}}\n"
        "output: state.out\nnodes: {a: {type: coder, each: input.steps, as: step, prompt: '{{ step.id }}',"
        " output: {to: out}}}\nedges: [[START, a, END]]\n",
        steps=[{"id": "add-flag"}],
    )
    assert changes[0]["step"] == "add-flag"


async def test_continued_visit_goes_on_with_the_conversation(bench: Any, script: Any) -> None:
    run = bench(script.call("read_file", path="a.py"), Reply("one"), Reply("two"))
    await run.run(LOOP.replace("HISTORY", "continue"))
    last = run.conversation()
    assert [message["role"] for message in last] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert last[:4] == run.conversation(1)
    assert last[-1]["content"] == "second try"


async def test_fresh_visit_knows_nothing_of_the_one_before(bench: Any) -> None:
    run = bench(Reply("one"), Reply("two"))
    await run.run(LOOP.replace("HISTORY", "fresh"))
    assert [message["role"] for message in run.conversation()] == ["system", "user"]


async def test_calls_of_a_continued_visit_are_not_taken_for_those_of_the_first(bench: Any, script: Any) -> None:
    append = script.call("bash", command="echo x >> log")
    run = bench(append, Reply("one"), append, Reply("two"))
    await run.run(LOOP.replace("HISTORY", "continue"))
    assert run.read("log") == "x\nx\n"


async def test_item_of_an_each_does_not_go_on_with_another_items_conversation(bench: Any) -> None:
    run = bench(Reply("one"), Reply("two"))
    await run.run(
        "flow: 1\nname: g\ninput: {items: {type: list}}\nnodes: {a: {type: coder, history: continue,"
        " each: input.items, prompt: '{{ item }}'}}\nedges: [[START, a, END]]\n",
        items=["first", "second"],
    )
    assert len(run.conversation()) == 2
