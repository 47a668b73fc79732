from __future__ import annotations

import hashlib
from typing import Any

import pytest

from flowloom.configs.project_files import AUTO_MEMORY
from flowloom.core.effects import FileWrite, Nothing, ToolResult
from flowloom.core.ports import CallRef, JournalEntry
from flowloom.core.questions import Answer
from flowloom.core.tool import MemoryRules

HEADER = "# Remembered by agents\n\n"


async def test_a_fact_becomes_a_dated_line_once_a_person_says_yes(rig: Any) -> None:
    rig.person.answers = [Answer("yes")]
    result = await rig.call("remember", "ask", fact="- テストは `make test`\nで走る")
    assert rig.bytes(AUTO_MEMORY).decode() == f"{HEADER}- 2026-01-02: テストは `make test` で走る\n"
    assert (result.failed, result.files) == (False, (AUTO_MEMORY,))
    assert result.text == "Kept for later runs: - 2026-01-02: テストは `make test` で走る"


@pytest.mark.parametrize("mode", ["ask", "auto-edit", "auto"])
async def test_it_is_asked_in_every_mode_and_a_no_is_what_nobody_means(rig: Any, mode: str) -> None:
    rig.grants.add("edit")
    rig.person.answers = [Answer("no")]
    result = await rig.call("remember", mode, fact="x")
    (question,) = rig.person.questions
    assert (question.choices, question.headless) == (("yes", "no"), "no")
    assert "Agents of later runs in this project will be told this." in question.text
    assert "+- 2026-01-02: x" in question.text
    assert result.failed and not (rig.workspace / AUTO_MEMORY).exists()


async def test_plan_mode_remembers_nothing(rig: Any) -> None:
    result = await rig.call("remember", "plan", fact="x")
    assert result.failed and "plan mode" in result.text and rig.person.questions == []


def test_lines_are_added_at_the_end_in_the_form_of_the_file(rig: Any) -> None:
    rig.write(AUTO_MEMORY, "mine\r\n- old\r\n- last")
    assert rig.plan("remember", fact="new").post == b"mine\r\n- old\r\n- last\r\n- 2026-01-02: new\r\n"


@pytest.mark.parametrize("kept", ["- 2025-12-31: Use  uv.", "- use uv", "  - USE UV\r"])
def test_what_is_remembered_already_is_not_written_again(rig: Any, kept: str) -> None:
    rig.write(AUTO_MEMORY, f"{HEADER}{kept}\n")
    effect = rig.plan("remember", fact="use uv.")
    assert isinstance(effect, Nothing)
    assert effect.result == ToolResult("That is remembered already; nothing was written.")


def test_a_full_file_is_told_and_not_written(rig: Any) -> None:
    rig.memory = MemoryRules(300, "2026-01-02")
    rig.write(AUTO_MEMORY, "x" * 290)
    message = rig.refusal("remember", fact="one more")
    assert ".agent/memory/auto.md is full (290 of 300 bytes)" in message
    assert "flow memory edit auto" in message


@pytest.mark.parametrize(("fact", "refusal"), [(" \n", "the fact is empty"), ("x" * 201, "at most 200")])
def test_a_fact_is_one_short_line(rig: Any, fact: str, refusal: str) -> None:
    assert refusal in rig.refusal("remember", fact=fact)


def test_nothing_invisible_is_remembered(rig: Any) -> None:
    post = rig.plan("remember", fact="a\u202eb\u200b\x1b[2J").post.decode()
    assert "a<U+202E>b<U+200B><U+001B>[2J" in post


def test_a_secret_is_masked(rig: Any) -> None:
    post = rig.plan("remember", fact="the key is AKIAQ3EGWZNM5T7KXV2B").post.decode()
    assert "AKIAQ3EGWZNM5T7KXV2B" not in post and "<secret:" in post


def test_nothing_is_written_through_a_link(rig: Any) -> None:
    (rig.workspace / "src").mkdir()
    (rig.workspace / ".agent").symlink_to("src")
    assert "is a link" in rig.refusal("remember", fact="x")


def test_an_ignore_file_that_denies_it_wins(rig: Any) -> None:
    rig.write(".flowignore", ".agent/\n")
    assert "may not be opened" in rig.refusal("remember", fact="x")


def test_where_there_are_no_rules_nothing_is_remembered(rig: Any) -> None:
    rig.memory = None
    assert rig.refusal("remember", fact="x") == "nothing can be remembered here."


@pytest.mark.parametrize("path", [AUTO_MEMORY, "./.agent//memory/auto.md", ".Agent/MEMORY/Auto.md"])
@pytest.mark.parametrize("tool", ["write_file", "edit_file", "apply_patch"])
def test_no_other_tool_writes_what_agents_remember(rig: Any, tool: str, path: str) -> None:
    rig.write(AUTO_MEMORY, "- old\n")
    args = {
        "write_file": {"content": "evil"},
        "edit_file": {"old_text": "old", "new_text": "evil"},
        "apply_patch": {"patch": "@@ -1 +1 @@\n-- old\n+- evil\n"},
    }[tool]
    assert "holds what agents remember" in rig.refusal(tool, path=path, **args)


async def test_a_write_that_was_not_planned_by_the_tool_is_denied_in_every_mode(rig: Any) -> None:
    effect = FileWrite(AUTO_MEMORY, None, b"evil", "")
    result = await rig.effects("auto").run(CallRef("code#1", "c1"), effect, "edit", rig.person)
    assert result.failed and "not written as a file" in result.text
    assert not (rig.workspace / AUTO_MEMORY).exists()


async def test_what_was_written_is_handed_on_once_it_is_on_disk(rig: Any) -> None:
    rig.person.answers = [Answer("yes")]
    await rig.call("remember", fact="x")
    assert rig.written == [AUTO_MEMORY]


@pytest.mark.parametrize("landed", [True, False])
async def test_a_write_that_a_kill_cut_short_is_handed_on_by_the_next_process(rig: Any, landed: bool) -> None:
    effect = rig.plan("remember", fact="x")
    ref = CallRef("code#1", "c1")
    rig.journal.entries[ref] = JournalEntry(ref, "intent", "", effect, None)
    if landed:
        rig.write(AUTO_MEMORY, effect.post)
    result = await rig.effects().recover(ref, rig.person)
    assert rig.written == [AUTO_MEMORY] and rig.person.questions == []
    assert result.seen == {AUTO_MEMORY: hashlib.sha256(effect.post).hexdigest()}
    assert rig.bytes(AUTO_MEMORY) == effect.post
