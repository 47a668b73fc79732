from __future__ import annotations

from typing import Any

import pytest

from flowloom.core.effects import ToolResult
from flowloom.core.messages import ToolCall
from flowloom.core.tool_names import OWN_NAMES
from flowloom.graphs.spec import Limits
from flowloom.llm.answers import Reply
from flowloom.nodes.deps import AgentLimits
from flowloom.nodes.reminders import TODO_TURNS, UNTESTED_EDITS, Done, Reminded, Round, Told, remind
from flowloom.tools.registry import TOOLS

OPEN = [
    {"content": "read it", "status": "completed", "active_form": "Reading"},
    {"content": "mend it", "status": "in_progress", "active_form": "Mending"},
    {"content": "test it", "status": "pending", "active_form": "Testing"},
]
CODER = ("read_file", "edit_file", "bash")


def of(
    *done: Done, told: Told | None = None, tools: tuple[str, ...] = (*CODER, "todo"), todos: Any = (), **facts: Any
) -> Reminded:
    given: dict[str, Any] = {"turn": 1, "calls_left": 30, "calls": 40, "names": OWN_NAMES, **facts}
    specs = {name: TOOLS[name] for name in tools}
    return remind(Round(done=done, specs=specs, todos=todos, **given), told or Told())


def edited(path: str = "a.py", failed: bool = False) -> Done:
    result = ToolResult("edited", failed, () if failed else (path,))
    return Done(ToolCall("t0.0", "edit_file", {"path": path}), result)


def ran(command: str, code: int | None = 0) -> Done:
    return Done(ToolCall("t0.0", "bash", {"command": command}), ToolResult("", code != 0, exit_code=code))


def test_nothing_is_told_while_there_is_no_reason() -> None:
    assert of(edited(), turn=3) == ("", Told(edits=1))


def test_edits_without_a_run_are_told_once_for_so_many() -> None:
    told = Told()
    texts = []
    for _ in range(2 * UNTESTED_EDITS):
        text, told = of(edited(), told=told)
        texts.append(text)
    assert [bool(text) for text in texts] == ([False] * (UNTESTED_EDITS - 1) + [True]) * 2
    assert f"changed code {UNTESTED_EDITS} times" in texts[UNTESTED_EDITS - 1]


def test_the_projects_own_test_command_is_named() -> None:
    assert "(pytest -q)" in of(edited(), told=Told(edits=9), tests="pytest -q").text


@pytest.mark.parametrize("line", ["pytest -q", "cd src && make test", "FOO=1 ./check.sh | tail -5", "python3 a.py"])
def test_a_run_of_anything_begins_the_count_anew(line: str) -> None:
    assert of(ran(line, 1), told=Told(edits=4)).told.edits == 0


@pytest.mark.parametrize(
    "line",
    ["cat tests/test_a.py", "git diff | head", "ls && grep -rn x .", "pip install pytest", "cat > a <<E\npytest"],
)
def test_looking_and_installing_are_no_run(line: str) -> None:
    assert of(ran(line), told=Told(edits=4)).told.edits == 4


def test_a_command_that_was_refused_is_no_run() -> None:
    assert of(ran("pytest", None), told=Told(edits=4)).told.edits == 4


def test_prose_and_failed_edits_do_not_count() -> None:
    assert of(edited("README.md"), edited(failed=True)).told.edits == 0


def test_who_cannot_run_anything_is_not_told_to() -> None:
    assert of(edited(), told=Told(edits=9), tools=("edit_file",)).text == ""


def test_open_items_of_a_list_that_stays_as_it_is_are_told() -> None:
    text, told = of(turn=TODO_TURNS, todos=OPEN)
    assert text.startswith("<reminder>\n") and text.endswith("\n</reminder>")
    assert "- mend it\n- test it\n" in text and "read it" not in text
    assert of(turn=TODO_TURNS + 1, todos=OPEN, told=told).text == ""
    assert of(turn=2 * TODO_TURNS, todos=OPEN, told=told).text == text


def test_a_list_that_was_just_written_is_not_told() -> None:
    wrote = Done(ToolCall("t0.0", "todo", {}), ToolResult("", todos=tuple(OPEN)))
    assert of(wrote, turn=TODO_TURNS, todos=OPEN) == ("", Told(todo_turn=TODO_TURNS))


def test_an_empty_list_is_told_and_a_finished_one_is_not() -> None:
    assert "to-do list is empty" in of(turn=TODO_TURNS).text
    assert of(turn=TODO_TURNS, todos=OPEN[:1]).text == ""


def test_who_has_no_list_hears_nothing_of_it() -> None:
    assert of(turn=TODO_TURNS, tools=CODER).text == ""


def test_a_budget_that_is_nearly_spent_is_told_once_and_at_the_last_call() -> None:
    told = Told()
    texts = []
    for left in (6, 5, 4, 3, 2, 1):
        text, told = of(calls_left=left, told=told)
        texts.append(text)
    assert [bool(text) for text in texts] == [False, True, False, False, False, True]
    assert "about 5 more replies" in texts[1] and "next reply is the last one" in texts[5]


def test_a_small_budget_is_not_told_from_the_start() -> None:
    assert of(calls_left=3, calls=4).text == ""
    assert "about 2 more replies" in of(calls_left=2, calls=4).text


def test_between_two_calls_of_one_reply_nothing_is_told() -> None:
    assert of(edited(), told=Told(edits=9), is_last=False) == ("", Told(edits=10))


async def test_a_reminder_stands_under_the_last_result_and_stays_as_it_was_sent(bench: Any, script: Any) -> None:
    edits = [
        script.call("edit_file", path="a.py", old_text=f"x = {number}", new_text=f"x = {number + 1}")
        for number in range(1, UNTESTED_EDITS + 1)
    ]
    run = bench(*edits, script.call("bash", command="true"), Reply("done"))
    await run.node("type: coder, prompt: Count")
    results = run.results()
    assert "<reminder>" not in "".join(results[: UNTESTED_EDITS - 1])
    assert results[UNTESTED_EDITS - 1].endswith("before you change more.\n</reminder>")
    for number in range(len(run.server.requests) - 1):
        sent = run.conversation(number)
        assert run.conversation(number + 1)[: len(sent)] == sent
    assert [message["role"] for message in run.conversation()].count("user") == 1


async def test_the_last_call_of_a_visit_is_told(bench: Any, script: Any) -> None:
    looks = [script.call("grep", pattern=str(number)) for number in range(3)]
    run = bench(*looks, Reply("done"), limits=AgentLimits(model_calls=4))
    assert await run.node("type: agent, prompt: Look, tools: [grep]") == "done"
    first, second, third = run.results()
    assert "Budget" not in first
    assert "about 2 more replies" in second and "the last one" in third


async def test_a_run_that_has_few_tokens_left_says_so(bench: Any, script: Any) -> None:
    looks = [script.call("grep", pattern=str(number)) for number in range(2)]
    run = bench(*looks, Reply("done"))
    run.run_limits = Limits(tokens=9_000)
    assert await run.node("type: agent, prompt: Look, tools: [grep]") == "done"
    assert any("Budget" in text for text in run.results())


async def test_an_item_with_a_secret_is_told_masked(bench: Any, script: Any) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    items = [{"content": f"rotate {token}", "status": "pending", "active_form": "Rotating"}]
    looks = [script.call("grep", pattern=str(number)) for number in range(TODO_TURNS)]
    run = bench(script.call("todo", todos=items), *looks, Reply("done"))
    assert await run.node("type: agent, prompt: Look, tools: [grep, todo]") == "done"
    told = run.results()[-1]
    assert "<reminder>" in told and "- rotate <secret:" in told and token not in told
