import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.effects import Command, FileWrite, Nothing, Spawn, ToolResult
from flowloom.core.errors import ToolError
from flowloom.core.ports import CallRef, CommandOutcome
from flowloom.core.questions import Answer, Question
from flowloom.tools.permissions import grant_for

REF = CallRef("code#1", "c1")


class Waiting(Exception):
    """What `ask` raises when the run has to wait for a person."""


def wait(question: Question) -> Answer:
    raise Waiting(question.text)


def write(before: bytes | None, after: bytes, path: str = "a.txt") -> FileWrite:
    return FileWrite(path, None if before is None else hashlib.sha256(before).hexdigest(), after, f"Edited {path}.")


def shell(line: str, **more: Any) -> Command:
    return Command(("bash", "-c", line), 20.0, **more)


async def test_a_known_result_comes_back_unjournaled(rig: Any) -> None:
    result = ToolResult("text")
    assert await rig.effects("plan").run(REF, Nothing(result), "read", wait) is result
    assert rig.journal.entries == {}


async def test_a_write_is_journaled_and_applied(rig: Any) -> None:
    rig.write("a.txt", "old")
    result = await rig.effects().run(REF, write(b"old", b"new"), "edit", wait)
    assert result == ToolResult("Edited a.txt.", files=("a.txt",))
    assert rig.bytes("a.txt") == b"new"
    assert rig.journal.pre[REF] == b"old"
    assert rig.journal.find(REF).result == result


async def test_a_new_file_is_created_with_its_folders(rig: Any) -> None:
    await rig.effects().run(REF, write(None, b"new", "x/y/z.txt"), "edit", wait)
    assert rig.bytes("x/y/z.txt") == b"new"
    assert rig.journal.pre[REF] is None


@pytest.mark.parametrize("before", [None, b"planned"])
async def test_a_file_that_changed_meanwhile_is_not_written(rig: Any, before: bytes | None) -> None:
    rig.write("a.txt", "someone else's")
    with pytest.raises(ToolError, match=r"a\.txt changed since it was read"):
        await rig.effects().run(REF, write(before, b"new"), "edit", wait)
    assert rig.bytes("a.txt") == b"someone else's"
    assert rig.journal.entries == {}


async def test_two_writes_of_one_file_never_both_land(rig: Any) -> None:
    rig.write("a.txt", "old")
    effects = rig.effects()
    runs = [
        effects.run(CallRef("code#1", str(number)), write(b"old", b"new %d" % number), "edit", wait)
        for number in range(5)
    ]
    results = await asyncio.gather(*runs, return_exceptions=True)
    assert [type(result) for result in results] == [ToolResult] + [ToolError] * 4
    assert rig.bytes("a.txt") == b"new 0"


async def test_a_link_put_in_place_meanwhile_is_not_followed(rig: Any) -> None:
    outside = rig.workspace.parent / "outside.txt"
    outside.write_bytes(b"old")
    (rig.workspace / "a.txt").symlink_to(outside)
    with pytest.raises(OSError):
        await rig.effects().run(REF, write(b"old", b"new"), "edit", wait)
    assert outside.read_bytes() == b"old"


async def test_a_command_s_output_and_failure_come_back(rig: Any) -> None:
    result = await rig.effects().run(REF, shell("echo 失敗; exit 2"), "shell", wait)
    assert result == ToolResult("exit code 2\n失敗", failed=True, exit_code=2)


async def test_a_silent_command_says_so(rig: Any) -> None:
    result = await rig.effects().run(REF, shell("true"), "shell", wait)
    assert (result.text, result.failed, result.exit_code) == ("(no output)", False, 0)


async def test_a_timeout_is_told_first(rig: Any) -> None:
    command = Command(("bash", "-c", "echo begun; sleep 60"), 0.3)
    result = await rig.effects().run(REF, command, "shell", wait)
    assert result.text == "timed out after 0.3 s\nbegun"
    assert (result.failed, result.exit_code) == (True, 124)


async def test_long_output_is_cut_and_kept_whole_in_the_blobs(rig: Any) -> None:
    result = await rig.effects(output_bytes=1000).run(REF, shell("seq 10000"), "shell", wait)
    assert result.text.startswith("1\n2\n3\n")
    assert result.text.endswith("9999\n10000")
    assert "bytes left out" in result.text
    assert len(result.text) < 1200
    assert rig.blobs.get(result.full_output).split() == [str(n).encode() for n in range(1, 10001)]


async def test_short_output_is_not_stored_twice(rig: Any) -> None:
    result = await rig.effects().run(REF, shell("echo a"), "shell", wait)
    assert result.full_output == ""
    assert rig.blobs.stored == {}


async def test_a_program_that_is_not_there_is_a_failed_result(rig: Any) -> None:
    result = await rig.effects().run(REF, Command(("nonexistent",), 1.0), "shell", wait)
    assert result.failed
    assert rig.journal.find(REF).result == result


async def test_a_sub_agent_s_report_is_the_result(rig: Any) -> None:
    result = await rig.effects("plan").run(REF, Spawn("find it", ("grep",)), "agent", wait)
    assert result.text == "code#1 c1: find it with grep"


async def test_plan_mode_changes_nothing(rig: Any) -> None:
    for effect, category in ((write(None, b"x"), "edit"), (shell("touch b.txt"), "shell")):
        result = await rig.effects("plan").run(REF, effect, category, wait)
        assert result.failed
        assert "plan mode" in result.text
    assert list(rig.workspace.iterdir()) == []
    assert rig.journal.entries == {}


async def test_a_question_that_waits_passes_through_before_anything_happens(rig: Any) -> None:
    rig.write("a.txt", "old")
    with pytest.raises(Waiting, match=r"-old\n"):
        await rig.effects("ask").run(REF, write(b"old", b"new"), "edit", wait)
    with pytest.raises(Waiting, match="touch b"):
        await rig.effects("auto-edit").run(REF, shell("touch b"), "shell", wait)
    assert rig.bytes("a.txt") == b"old"
    assert not (rig.workspace / "b").exists()
    assert rig.journal.entries == {}


async def test_yes_runs_it_once_and_no_grant_is_kept(rig: Any) -> None:
    rig.person.answers = [Answer("yes")]
    result = await rig.effects("ask").run(REF, shell("echo ran"), "shell", rig.person)
    assert result.text == "ran"
    assert rig.grants == set()
    assert rig.person.questions[0].node == "code#1"


async def test_no_is_told_to_the_model_with_the_reason(rig: Any) -> None:
    rig.person.answers = [Answer("no", reason="use the other file")]
    result = await rig.effects("ask").run(REF, write(None, b"x"), "edit", rig.person)
    assert result == ToolResult("The user declined this: use the other file", failed=True)
    assert list(rig.workspace.iterdir()) == []
    assert rig.journal.entries == {}


async def test_always_is_not_asked_again(rig: Any) -> None:
    rig.person.answers = [Answer("always"), Answer("always"), Answer("no")]
    effects = rig.effects("ask")
    await effects.run(CallRef("n", "1"), write(None, b"1"), "edit", rig.person)
    await effects.run(CallRef("n", "2"), write(b"1", b"2"), "edit", rig.person)
    await effects.run(CallRef("n", "3"), shell("echo a >> log"), "shell", rig.person)
    await effects.run(CallRef("n", "4"), shell("echo a >> log"), "shell", rig.person)
    other = await effects.run(CallRef("n", "5"), shell("echo b >> log"), "shell", rig.person)
    assert other.failed
    assert rig.bytes("log") == b"a\na\n"
    assert rig.grants == {"edit", grant_for(shell("echo a >> log"))}
    assert len(rig.person.questions) == 3


async def test_an_answer_that_is_no_choice_is_a_bug(rig: Any) -> None:
    rig.person.answers = [Answer("maybe")] * 3
    with pytest.raises(ValueError, match="'maybe'"):
        await rig.effects("ask").run(REF, shell("true"), "shell", rig.person)


async def test_every_verdict_is_told_before_it_is_acted_on(rig: Any) -> None:
    told: list[str] = []
    effects = rig.effects("plan")
    effects._on_decision = lambda ref, effect, decision: told.append(decision.verdict)
    await effects.run(REF, shell("true"), "shell", wait)
    assert told == ["deny"]


async def test_a_finished_call_is_not_done_again(rig: Any) -> None:
    effects = rig.effects()
    first = await effects.run(REF, shell("echo x >> log; cat log"), "shell", wait)
    assert await effects.run(REF, shell("echo x >> log; cat log"), "shell", wait) == first
    assert await effects.recover(REF, wait) == first
    assert rig.bytes("log") == b"x\n"


async def test_a_call_never_begun_has_nothing_to_recover(rig: Any) -> None:
    assert await rig.effects().recover(REF, wait) is None


@pytest.mark.parametrize("before", [None, b"old"])
async def test_a_write_killed_before_it_landed_is_applied(rig: Any, before: bytes | None) -> None:
    if before is not None:
        rig.write("a.txt", before)
    rig.journal.begin(REF, write(before, b"new"), before)
    result = await rig.effects("plan").recover(REF, wait)
    assert result == ToolResult("Edited a.txt.", files=("a.txt",))
    assert rig.bytes("a.txt") == b"new"
    assert rig.journal.find(REF).state == "done"


async def test_a_write_killed_after_it_landed_is_finished(rig: Any) -> None:
    path: Path = rig.write("a.txt", "new")
    stamp = path.stat().st_mtime_ns
    rig.journal.begin(REF, write(b"old", b"new"), b"old")
    result = await rig.effects().recover(REF, wait)
    assert result is not None
    assert result.text == "Edited a.txt."
    assert path.stat().st_mtime_ns == stamp


async def test_a_write_over_a_file_changed_by_others_asks(rig: Any) -> None:
    rig.write("a.txt", "someone else's")
    rig.journal.begin(REF, write(b"old", b"new"), b"old")
    with pytest.raises(Waiting, match=r"a\.txt"):
        await rig.effects().recover(REF, wait)
    rig.person.answers = [Answer("keep")]
    result = await rig.effects().recover(REF, rig.person)
    question = rig.person.questions[0]
    assert (question.kind, question.choices, question.headless) == ("recovery", ("keep", "apply"), None)
    assert "-someone else's" in question.text
    assert result is not None
    assert result.failed
    assert rig.bytes("a.txt") == b"someone else's"


async def test_a_write_may_be_applied_over_a_changed_file(rig: Any) -> None:
    rig.write("a.txt", "someone else's")
    rig.journal.begin(REF, write(b"old", b"new"), b"old")
    rig.person.answers = [Answer("apply")]
    await rig.effects().recover(REF, rig.person)
    assert rig.bytes("a.txt") == b"new"


async def test_a_killed_command_asks_whether_to_run_again(rig: Any) -> None:
    rig.journal.begin(REF, shell("echo x >> log"), None)
    rig.person.answers = [Answer("skip")]
    result = await rig.effects().recover(REF, rig.person)
    assert (rig.person.questions[0].kind, rig.person.questions[0].choices) == ("recovery", ("rerun", "skip"))
    assert "echo x >> log" in rig.person.questions[0].text
    assert result is not None
    assert result.failed
    assert not (rig.workspace / "log").exists()
    assert await rig.effects().recover(REF, wait) == result


async def test_a_killed_command_may_be_run_again(rig: Any) -> None:
    rig.journal.begin(REF, shell("echo x >> log; echo ran"), None)
    rig.person.answers = [Answer("rerun")]
    result = await rig.effects().recover(REF, rig.person)
    assert result is not None
    assert result.text == "ran"
    assert rig.bytes("log") == b"x\n"


async def test_a_killed_command_that_reads_is_run_again_unasked(rig: Any) -> None:
    rig.journal.begin(REF, shell("echo ran", category="read"), None)
    result = await rig.effects().recover(REF, wait)
    assert result is not None
    assert result.text == "ran"


async def test_an_approval_left_from_before_the_kill_is_no_answer_to_the_recovery(rig: Any) -> None:
    rig.journal.begin(REF, shell("echo x >> log"), None)
    rig.person.answers = [Answer("yes"), Answer("skip")]
    result = await rig.effects("ask").recover(REF, rig.person)
    assert result is not None
    assert result.failed
    assert not (rig.workspace / "log").exists()


class Vanishing:
    """A sandbox whose process dies with the run."""

    kind = "none"

    async def run(self, command: Command, workspace: Path) -> CommandOutcome:
        raise asyncio.CancelledError


async def test_a_cancelled_command_stays_begun(rig: Any) -> None:
    with pytest.raises(asyncio.CancelledError):
        await rig.effects(sandbox=Vanishing()).run(REF, shell("true"), "shell", wait)
    assert rig.journal.find(REF).state == "intent"
