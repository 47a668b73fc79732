"""Edits as an agent makes them: over the wire, several in a reply, after files changed under its hands."""

from __future__ import annotations

from typing import Any

from flowloom.llm.answers import Reply

CODER = "type: coder, prompt: 直す"


def edit(script: Any, path: str, old: str, new: str) -> Any:
    return script.Call("edit_file", {"path": path, "old_text": old, "new_text": new})


async def test_fifteen_edits_of_one_reply_land_in_their_order_and_all(bench: Any, script: Any) -> None:
    calls = [edit(script, "a.py", f"x = {number}", f"x = {number + 1}") for number in range(1, 16)]
    run = bench(Reply(calls=calls), Reply("done"))
    await run.node(CODER)
    assert run.read("a.py") == "x = 16\n"
    assert len(run.results()) == 15
    assert all(result.startswith("Edited a.py:") for result in run.results())
    assert [write.path for write in run.journal.writes()] == ["a.py"] * 15


async def test_edits_of_several_files_in_one_reply_all_land(bench: Any, script: Any) -> None:
    calls = [edit(script, "a.py", "x = 1", "x = 2"), edit(script, "b.py", "y = 2", "y = 3")]
    run = bench(Reply(calls=calls), Reply("done"))
    assert (await run.node(CODER))["files"] == ["a.py", "b.py"]


async def test_the_model_sees_the_changed_region_with_the_result(bench: Any, script: Any) -> None:
    run = bench(Reply(calls=[edit(script, "a.py", "x = 1", "x = 2")]), Reply("done"))
    await run.node(CODER)
    assert run.results() == ["Edited a.py:\n@@ -1 +1 @@\n-x = 1\n+x = 2"]


async def test_a_file_that_was_not_shown_is_edited_at_the_second_call(bench: Any, script: Any) -> None:
    call = edit(script, "c.py", "z = 3", "z = 4")
    run = bench(Reply(calls=[call]), Reply(calls=[call]), Reply("done"))
    run.write("c.py", "z = 3\n")
    await run.node(CODER)
    assert "You have not read it yet" in run.results()[0]
    assert run.read("c.py") == "z = 4\n"


async def test_what_was_read_in_an_earlier_visit_counts_when_it_goes_on(bench: Any, script: Any) -> None:
    run = bench(
        script.call("read_file", path="c.py"),
        Reply("read it"),
        Reply(calls=[edit(script, "c.py", "z = 3", "z = 4")]),
        Reply("done"),
    )
    run.write("c.py", "z = 3\n")
    await run.run(
        "flow: 1\nname: g\nstate: {n: {type: list, reduce: append}}\noutput: state.n\nnodes:\n"
        "  a: {type: coder, prompt: p, history: continue, output: {to: n}, max_visits: 2, on_limit: stop}\n"
        "  stop: {type: set, value: {}}\n"
        "edges: [[START, a], {from: a, when: 'state.n | length < 2', to: a, else: stop}, [stop, END]]\n"
    )
    assert run.read("c.py") == "z = 4\n"


async def test_a_file_changed_under_the_agents_hands_is_edited_in_its_newest_text(bench: Any, script: Any) -> None:
    run = bench(
        script.call("read_file", path="c.py"),
        script.call("bash", command="printf 'first\\nb\\nc\\nd\\n' > c.py"),
        Reply(calls=[edit(script, "c.py", "d", "D")]),
        Reply("done"),
    )
    run.write("c.py", "a\nb\nc\nd\n")
    await run.node(CODER)
    assert run.read("c.py") == "first\nb\nc\nD\n"


async def test_a_conflict_waits_for_a_person_and_is_written_on_yes(bench: Any, script: Any) -> None:
    run = bench(
        script.call("read_file", path="c.py"),
        script.call("bash", command="printf 'theirs\\n' > c.py"),
        Reply(calls=[edit(script, "c.py", "mine", "MINE")]),
        Reply("done"),
        mode="auto",
    )
    run.write("c.py", "mine\n")
    assert await run.node(CODER) is None
    assert run.question.payload["review"] == "conflict"
    assert "theirs" in run.question.text
    await run.answer("yes")
    assert run.read("c.py") == "MINE\n"


async def test_an_approval_given_for_another_diff_is_asked_again(bench: Any, script: Any) -> None:
    read = script.call("read_file", path="a.py")
    run = bench(read, Reply(calls=[edit(script, "a.py", "x = 1", "x = 2")]), Reply("done"), mode="ask")
    await run.node(CODER)
    shown = run.question
    run.write("a.py", "# mine\n\n\nx = 1\n")
    assert await run.answer("yes", to=shown.digest()) is None
    assert "# mine" in run.question.text
    assert run.read("a.py") == "# mine\n\n\nx = 1\n"
    await run.answer("yes", to=run.question.digest())
    assert run.read("a.py") == "# mine\n\n\nx = 2\n"
