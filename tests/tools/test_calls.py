import os
from typing import Any

import pytest

from flowloom.core.errors import ToolError
from flowloom.core.messages import ToolCall
from flowloom.core.ports import CallRef
from flowloom.core.questions import Answer, Question
from flowloom.core.tool import ToolSpec
from flowloom.tools.args import ToolArgs
from flowloom.tools.calls import run_call
from flowloom.tools.registry import TOOLS


async def test_a_call_goes_from_arguments_to_the_changed_file(rig: Any) -> None:
    rig.write("a.py", "x = 1\n")
    result = await rig.call("edit_file", path="a.py", old_text="x = 1", new_text="x = 2")
    assert (result.failed, result.files) == (False, ("a.py",))
    assert rig.bytes("a.py") == b"x = 2\n"


async def test_an_unknown_tool_lists_those_there_are(rig: Any) -> None:
    result = await rig.call("edit_fil")
    assert result.failed
    assert "there is no tool 'edit_fil'. Did you mean 'edit_file'" in result.text
    assert "Tools: read_file, edit_file, write_file, bash" in result.text


async def test_a_tool_that_was_not_offered_is_unknown(rig: Any) -> None:
    offered = {"grep": TOOLS["grep"]}
    call = ToolCall("c", "bash", {"command": "touch x"})
    result = await run_call(call, offered, rig.context, rig.effects(), "n", rig.person)
    assert result.text == "there is no tool 'bash'. Tools: grep."
    assert list(rig.workspace.iterdir()) == []


async def test_wrong_arguments_are_a_failed_result(rig: Any) -> None:
    result = await rig.call("read_file", file="a")
    assert result.failed
    assert "argument 'path' is missing" in result.text


async def test_a_refusal_is_a_failed_result(rig: Any) -> None:
    result = await rig.call("read_file", path="../secret")
    assert result.failed
    assert "outside the workspace" in result.text


async def test_a_sub_agent_s_refusal_is_a_failed_result(rig: Any) -> None:
    result = await rig.call("spawn_agent", task="too deep")
    assert (result.text, result.failed) == ("no more depth", True)


class NoArgs(ToolArgs):
    pass


def raising(error: Exception) -> dict[str, ToolSpec]:
    def plan(args: Any, ctx: Any) -> Any:
        raise error

    return {"broken": ToolSpec("broken", "read", "", NoArgs, plan)}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(13, "Permission denied", "{ws}/a.txt"), "broken: 'a.txt': permission denied."),
        (IsADirectoryError(21, "Is a directory", "src"), "broken: 'src': this is a folder"),
        (FileNotFoundError(2, "No such file", "x"), "broken: 'x': it does not exist."),
        (NotADirectoryError(20, "Not a directory", "x"), "broken: 'x': a part of this path"),
        (FileExistsError(17, "File exists", "x"), "broken: 'x': it exists already."),
        (OSError(28, "No space left on device"), "broken: No space left on device."),
    ],
)
async def test_an_error_of_the_file_system_is_told_in_words(rig: Any, error: OSError, text: str) -> None:
    if error.filename:
        error.filename = error.filename.replace("{ws}", str(rig.workspace))
    call = ToolCall("c", "broken", {})
    result = await run_call(call, raising(error), rig.context, rig.effects(), "n", rig.person)
    assert result.failed
    assert result.text.startswith(text)


async def test_a_bug_is_not_hidden(rig: Any) -> None:
    call = ToolCall("c", "broken", {})
    with pytest.raises(ZeroDivisionError):
        await run_call(call, raising(ZeroDivisionError()), rig.context, rig.effects(), "n", rig.person)


async def test_what_ask_raises_passes_through(rig: Any) -> None:
    class Waiting(Exception):
        pass

    def wait(question: Question) -> Answer:
        raise Waiting

    call = ToolCall("c", "bash", {"command": "touch x"})
    with pytest.raises(Waiting):
        await run_call(call, TOOLS, rig.context, rig.effects("ask"), "n", wait)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_file_is_told(rig: Any) -> None:
    rig.write("a.txt", "x").chmod(0)
    assert "permission denied" in (await rig.call("read_file", path="a.txt")).text


async def test_an_edit_that_was_done_before_a_kill_is_not_planned_again(rig: Any) -> None:
    rig.write("a.py", "x\n")
    arguments = {"path": "a.py", "old_text": "x", "new_text": "xy"}
    first = await rig.call("edit_file", **arguments)
    again = await rig.call("edit_file", **arguments)
    assert again == first
    assert rig.bytes("a.py") == b"xy\n"


async def test_an_edit_killed_between_the_file_and_the_journal_is_finished(rig: Any) -> None:
    rig.write("a.py", "x\n")
    arguments = {"path": "a.py", "old_text": "x", "new_text": "xy"}
    rig.journal.begin(CallRef("code#1", "c1"), rig.plan("edit_file", **arguments), b"x\n")
    rig.write("a.py", "xy\n")
    result = await rig.call("edit_file", **arguments)
    assert (result.failed, result.files) == (False, ("a.py",))
    assert rig.bytes("a.py") == b"xy\n"


async def test_an_approved_edit_is_shown_as_a_diff(rig: Any) -> None:
    rig.write("a.py", "x = 1\n")
    rig.person.answers = [Answer("yes")]
    await rig.call("write_file", mode="ask", path="a.py", content="x = 2\n")
    assert "-x = 1\n+x = 2\n" in rig.person.questions[0].text
    assert rig.bytes("a.py") == b"x = 2\n"


async def test_plan_mode_still_reads(rig: Any) -> None:
    rig.write("a.py", "x\n")
    assert not (await rig.call("read_file", mode="plan", path="a.py")).failed
    assert (await rig.call("bash", mode="plan", call_id="c2", command="true")).failed


async def test_todos_come_back_with_the_result(rig: Any) -> None:
    todos = [{"content": "a", "status": "pending", "active_form": "doing a"}]
    assert (await rig.call("todo", todos=todos)).todos == tuple(todos)


async def test_a_tool_error_names_no_path_of_this_machine(rig: Any) -> None:
    for arguments in ({"path": "missing"}, {"path": ".."}, {"path": "a\0"}):
        assert str(rig.workspace) not in (await rig.call("read_file", **arguments)).text


def test_tool_errors_are_for_the_model_only() -> None:
    assert not hasattr(ToolError("x"), "exit_code")
