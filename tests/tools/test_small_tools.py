from typing import Any

import pytest

from flowloom.core.effects import Command, Nothing, Spawn


def test_bash_plans_one_shell_line(rig: Any) -> None:
    assert rig.plan("bash", command="make 'a b' | wc") == Command(("bash", "-c", "make 'a b' | wc"), 120.0)
    assert rig.plan("bash", command="make", timeout_ms=1500).timeout_s == 1.5


@pytest.mark.parametrize("command", ["", "  \n", "a\0b"])
def test_bash_refuses_what_is_no_command(rig: Any, command: str) -> None:
    assert "empty" in rig.refusal("bash", command=command)


def todo(content: str, status: str) -> dict[str, str]:
    return {"content": content, "status": status, "active_form": f"{content}しています"}


def test_todo_replaces_the_list(rig: Any) -> None:
    todos = [todo("調べる", "completed"), todo("直す", "in_progress"), todo("試す", "pending")]
    effect = rig.plan("todo", todos=todos)
    assert isinstance(effect, Nothing)
    assert effect.result.text == "[x] 調べる\n[>] 直す\n[ ] 試す"
    assert effect.result.todos == tuple(todos)


def test_todo_allows_one_item_in_progress(rig: Any) -> None:
    message = rig.refusal("todo", todos=[todo("a", "in_progress"), todo("b", "in_progress")])
    assert "2 items are in_progress (a; b)" in message


def test_todo_may_be_emptied(rig: Any) -> None:
    effect = rig.plan("todo", todos=[])
    assert effect.result.todos == ()
    assert effect.result.text == "(the list is empty)"


def test_a_sub_agent_gets_the_reading_tools_that_were_asked_for(rig: Any) -> None:
    assert rig.plan("spawn_agent", task="find it", tools=["glob", "read_file"]) == Spawn(
        "find it", ("read_file", "glob")
    )


def test_a_sub_agent_gets_every_reading_tool_of_its_parent_by_default(rig: Any) -> None:
    rig.offered = ("bash", "grep", "read_file")
    assert rig.plan("spawn_agent", task="t") == Spawn("t", ("read_file", "grep"))


def test_a_sub_agent_can_not_have_more_than_its_parent_or_more_than_reading(rig: Any) -> None:
    rig.offered = ("bash", "grep")
    assert rig.refusal("spawn_agent", task="t", tools=["bash", "glob"]) == (
        "a sub-agent can not have bash, glob. It may have: grep."
    )


def test_no_sub_agent_without_a_reading_tool(rig: Any) -> None:
    rig.offered = ("bash", "spawn_agent")
    assert "no reading tool" in rig.refusal("spawn_agent", task="t")


def test_bash_plans_a_line_that_only_reads_with_its_environment(rig: Any) -> None:
    command = rig.plan("bash", command="ls | wc")
    assert (command.category, command.env["BASH_ENV"]) == ("shell-safe", "")


def test_bash_refuses_what_waits_for_a_person(rig: Any) -> None:
    assert "with your tools" in rig.refusal("bash", command="vim a.py")
    assert "git commit -m" in rig.refusal("bash", command="git add . && git commit")


@pytest.mark.parametrize(("offered", "said"), [(("bash", "git"), "the tool git"), (("bash",), "to the user")])
def test_bash_leads_a_commit_to_what_the_agent_has_for_it(rig: Any, offered: tuple[str, ...], said: str) -> None:
    (rig.workspace / ".git").mkdir()
    rig.offered = offered
    assert said in rig.refusal("bash", command="make && git commit -am x")
