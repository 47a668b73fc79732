import asyncio
import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowloom.configs.rules import parse_rules
from flowloom.core.effects import Command, FileWrite, Nothing, Spawn, ToolResult
from flowloom.core.errors import ToolError
from flowloom.core.ports import CallRef, CommandOutcome
from flowloom.core.questions import Answer, Question
from flowloom.tools.host import HostSandbox
from flowloom.tools.job_files import job_folder
from flowloom.tools.jobs import make_job
from flowloom.tools.permissions import approval_question, grants_for

REF = CallRef("code#1", "c1")


class Waiting(Exception):
    """What `ask` raises when the run has to wait for a person."""


def wait(question: Question) -> Answer:
    raise Waiting(question.text)


def write(before: bytes | None, after: bytes, path: str = "a.txt") -> FileWrite:
    return FileWrite(path, None if before is None else hashlib.sha256(before).hexdigest(), after, f"Edited {path}.")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def shell(line: str, **more: Any) -> Command:
    return Command(("bash", "-c", line), 20.0, **more)


async def test_a_known_result_comes_back_unjournaled(rig: Any) -> None:
    result = ToolResult("text")
    assert await rig.effects("plan").run(REF, Nothing(result), "read", wait) is result
    assert rig.journal.entries == {}


async def test_a_write_is_journaled_and_applied(rig: Any) -> None:
    rig.write("a.txt", "old")
    result = await rig.effects().run(REF, write(b"old", b"new"), "edit", wait)
    assert result == ToolResult("Edited a.txt.", files=("a.txt",), seen={"a.txt": sha256(b"new")})
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
    assert result == ToolResult("The user declined this: use the other file", failed=True, denied=True)
    assert list(rig.workspace.iterdir()) == []
    assert rig.journal.entries == {}


async def test_a_line_that_only_reads_runs_unasked_and_git_in_it_runs_nothing_of_the_repository(rig: Any) -> None:
    subprocess.run(["git", "init", "-q"], cwd=rig.workspace, check=True)
    trap = rig.write("trap.sh", "#!/bin/sh\ntouch sprung\n")
    trap.chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", "./trap.sh"], cwd=rig.workspace, check=True)
    result = await rig.call("bash", mode="ask", command="git status --short | head")
    assert (result.text, result.exit_code) == ("?? trap.sh", 0)
    assert not (rig.workspace / "sprung").exists()
    assert rig.person.questions == []


async def test_rules_of_a_graph_hold_within_it_alone(rig: Any) -> None:
    outside = rig.effects("ask", rules=parse_rules({"bash(rm:*)": "deny", "bash(touch:*)": "ask"}))
    inside = outside.within({"bash(rm:*)": "allow", "bash(touch:*)": "allow", "bash(mkdir:*)": "allow"}, None)
    assert not (await inside.run(CallRef("n", "1"), shell("mkdir d"), "shell", wait)).failed
    with pytest.raises(Waiting):
        await outside.run(CallRef("n", "2"), shell("mkdir e"), "shell", wait)
    with pytest.raises(Waiting):
        await inside.run(CallRef("n", "3"), shell("touch a"), "shell", wait)
    assert "denies it" in (await inside.run(CallRef("n", "4"), shell("rm -r d"), "shell", wait)).text
    below = inside.within({"bash(mkdir:*)": "deny"}, None)
    assert "denies it" in (await below.run(CallRef("n", "5"), shell("mkdir f"), "shell", wait)).text


async def test_a_command_is_begun_with_the_network_it_was_given(rig: Any) -> None:
    effects = rig.effects("auto").within({"network(touch a)": "allow", "network(echo a)": "deny"}, None)
    for call, line in enumerate(("touch a", "echo a > x", "echo b > x")):
        await effects.run(CallRef("n", str(call)), shell(line), "shell", wait)
    await effects.within({}, True).run(CallRef("n", "3"), shell("echo b > x"), "shell", wait)
    await effects.within({}, False).run(CallRef("n", "4"), shell("touch a"), "shell", wait)
    given = [rig.journal.find(CallRef("n", str(call))).effect.network for call in range(5)]
    assert given == [True, False, None, True, False]
    assert [told.category for told in rig.decisions.told] == ["network", "shell", "shell", "network", "shell"]


async def test_where_the_settings_open_the_network_a_command_is_shown_with_it(rig: Any) -> None:
    with pytest.raises(Waiting, match="Run this command with the network"):
        await rig.effects("ask", network=True).run(REF, shell("make"), "shell", wait)


async def test_a_rule_that_denies_holds_in_every_mode(rig: Any) -> None:
    rig.write("a.txt", "kept")
    effects = rig.effects("auto", rules=parse_rules({"bash(rm:*)": "deny"}))
    result = await effects.run(REF, shell("ls; rm a.txt"), "shell", wait)
    assert result.failed
    assert "bash(rm:*)" in result.text
    assert rig.bytes("a.txt") == b"kept"


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
    assert rig.grants == {"edit", *grants_for(shell("echo a >> log"))}
    assert len(rig.person.questions) == 3


async def test_an_answer_that_is_no_choice_is_a_bug(rig: Any) -> None:
    rig.person.answers = [Answer("maybe")] * 3
    with pytest.raises(ValueError, match="'maybe'"):
        await rig.effects("ask").run(REF, shell("true"), "shell", rig.person)


async def test_every_verdict_is_told_before_it_is_acted_on(rig: Any) -> None:
    await rig.effects("plan").run(REF, shell("make"), "shell", wait)
    with pytest.raises(Waiting):
        await rig.effects("ask").run(REF, shell("make"), "shell", wait)
    await rig.effects("auto").run(CallRef("n", "2"), write(None, b"x", "new.txt"), "edit", wait)
    told = [(each.what, each.category, each.verdict, each.unasked) for each in rig.decisions.told]
    assert told == [
        ("make", "shell", "deny", False),
        ("make", "shell", "ask", False),
        ("new.txt", "edit", "allow", True),
    ]


async def test_when_nothing_more_may_happen_unasked_a_person_is_asked_and_told_why(rig: Any) -> None:
    rig.decisions.why = "the 3 effects are used up"
    rig.person.answers = [Answer("yes")]
    await rig.effects("auto").run(REF, write(None, b"x", "new.txt"), "edit", rig.person)
    assert "the 3 effects are used up" in rig.person.questions[0].text
    assert rig.decisions.told[0].verdict == "ask"


@pytest.mark.parametrize("line", ["ls", "make"])
async def test_without_any_sandbox_every_command_is_asked_for(rig: Any, line: str) -> None:
    with pytest.raises(Waiting, match="no sandbox confines commands"):
        await rig.effects("auto", confinement="none").run(REF, shell(line), "shell", wait)


async def test_under_landlock_alone_only_reading_runs_unasked(rig: Any) -> None:
    effects = rig.effects("auto", confinement="partial")
    assert not (await effects.run(REF, rig.plan("bash", command="ls"), "shell", wait)).failed
    with pytest.raises(Waiting, match="Landlock"):
        await effects.run(CallRef("n", "2"), shell("make"), "shell", wait)


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
    assert result == ToolResult("Edited a.txt.", files=("a.txt",), seen={"a.txt": sha256(b"new")})
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


def cut_short(rig: Any, command: Command, printed: str = "", attempt: int = 1) -> Path:
    """Leave what a command leaves that was begun and whose machine went down."""
    job = job_folder(rig.jobs, REF, attempt)
    make_job(job)
    (job / "claim").write_text("999999 boot 1\n")
    (job / "output.0").write_text(printed)
    rig.journal.begin(REF, command, None)
    return job


async def test_a_command_that_never_began_is_run_unasked(rig: Any) -> None:
    rig.journal.begin(REF, shell("echo x >> log; echo ran"), None)
    result = await rig.effects("ask").recover(REF, wait)
    assert result is not None
    assert result.text == "ran"
    assert rig.bytes("log") == b"x\n"


async def test_a_command_that_ended_meanwhile_is_not_run_again(rig: Any) -> None:
    command = shell("echo x >> log; echo ran; exit 4")
    job = job_folder(rig.jobs, REF, 1)
    make_job(job)
    rig.journal.begin(REF, command, None)
    await HostSandbox().run(command, rig.workspace, job)
    result = await rig.effects().recover(REF, wait)
    assert result == ToolResult("exit code 4\nran", failed=True, exit_code=4)
    assert rig.bytes("log") == b"x\n"


async def test_a_command_that_still_runs_is_waited_for(rig: Any) -> None:
    command = shell("echo x >> ../log; cd ..; rm -r sub; sleep 0.3; echo ran", cwd="sub")
    rig.write("sub/a", "")
    job = job_folder(rig.jobs, REF, 1)
    make_job(job)
    rig.journal.begin(REF, command, None)
    other = asyncio.create_task(HostSandbox().run(command, rig.workspace, job))
    while (rig.workspace / "sub").exists():
        await asyncio.sleep(0.01)
    result = await rig.effects().recover(REF, wait)
    assert result is not None
    assert result.text == "ran"
    await other
    assert rig.bytes("log") == b"x\n"


async def test_nothing_of_a_job_is_left_once_its_result_is_journaled(rig: Any) -> None:
    await rig.effects().run(REF, shell("echo ran"), "shell", wait)
    assert list(rig.jobs.iterdir()) == []


async def test_a_job_left_by_a_kill_after_its_result_was_journaled_is_removed(rig: Any) -> None:
    cut_short(rig, shell("true"))
    rig.journal.finish(REF, ToolResult("(no output)", exit_code=0))
    assert await rig.effects().recover(REF, wait) == ToolResult("(no output)", exit_code=0)
    assert list(rig.jobs.iterdir()) == []


async def test_a_command_cut_short_asks_whether_to_run_again(rig: Any) -> None:
    cut_short(rig, shell("echo x >> log"), printed="half of 出力\n")
    rig.person.answers = [Answer("skip")]
    result = await rig.effects().recover(REF, rig.person)
    question = rig.person.questions[0]
    assert (question.kind, question.choices, question.headless) == ("recovery", ("rerun", "skip"), None)
    assert "echo x >> log" in question.text
    assert question.text.endswith("It had printed:\nhalf of 出力")
    text = "This was cut short and not run again. Check what it has done.\nhalf of 出力"
    assert result == ToolResult(text, failed=True)
    assert not (rig.workspace / "log").exists()
    assert await rig.effects().recover(REF, wait) == result


async def test_a_question_about_a_command_that_waits_leaves_it_as_it_is(rig: Any) -> None:
    job = cut_short(rig, shell("echo x >> log"))
    for _ in range(2):
        with pytest.raises(Waiting, match="cut short"):
            await rig.effects().recover(REF, wait)
    assert job.exists()
    assert rig.journal.find(REF).state == "intent"


async def test_a_command_cut_short_may_be_run_again(rig: Any) -> None:
    cut_short(rig, shell("echo x >> log; echo ran"))
    rig.person.answers = [Answer("rerun")]
    result = await rig.effects().recover(REF, rig.person)
    assert result is not None
    assert result.text == "ran"
    assert rig.bytes("log") == b"x\n"
    assert list(rig.jobs.iterdir()) == []


async def test_the_second_run_of_a_command_is_taken_over_like_the_first(rig: Any) -> None:
    command = shell("echo x >> log; echo ran")
    cut_short(rig, command)
    second = job_folder(rig.jobs, REF, 2)
    make_job(second)
    await HostSandbox().run(command, rig.workspace, second)
    result = await rig.effects().recover(REF, wait)
    assert result is not None
    assert result.text == "ran"
    assert rig.bytes("log") == b"x\n"


async def test_a_command_cut_short_twice_is_given_up_unasked(rig: Any) -> None:
    cut_short(rig, shell("echo x >> log"))
    cut_short(rig, shell("echo x >> log"), printed="second", attempt=2)
    result = await rig.effects().recover(REF, wait)
    assert result is not None
    assert result.text.endswith("second")
    assert result.exit_code is None
    assert not (rig.workspace / "log").exists()


class Confined(HostSandbox):
    """Stands for a sandbox that keeps a command inside the workspace."""

    kind = "bubblewrap"


@pytest.mark.parametrize("restored", [True, False])
async def test_a_confined_command_cut_short_is_undone_and_run_again(rig: Any, restored: bool) -> None:
    cut_short(rig, shell("echo x >> log"))
    rig.write("log", "half")

    async def restore(ref: CallRef) -> bool:
        if restored:
            (rig.workspace / "log").unlink()
        return restored

    effects = rig.effects(sandbox=Confined())
    effects._restore = restore
    rig.person.answers = [] if restored else [Answer("skip")]
    result = await effects.recover(REF, rig.person)
    assert result.failed != restored
    assert rig.bytes("log") == (b"x\n" if restored else b"half")


async def test_a_command_that_reads_and_always_dies_is_given_up(rig: Any) -> None:
    killer = shell("echo x >> log; kill -9 $PPID; sleep 5", category="read")
    result = await rig.effects().run(REF, killer, "read", wait)
    assert result.failed
    assert rig.bytes("log") == b"x\n" * 3
    assert list(rig.jobs.iterdir()) == []


async def test_a_command_that_kills_its_runner_asks_at_once(rig: Any) -> None:
    with pytest.raises(Waiting, match="cut short"):
        await rig.effects().run(REF, shell("kill -9 $PPID; sleep 5"), "shell", wait)


async def test_the_snapshot_is_taken_before_the_first_begin_only(rig: Any) -> None:
    told: list[bool] = []

    async def before(ref: CallRef, command: Command) -> None:
        told.append((rig.workspace / "log").exists())

    effects = rig.effects()
    effects._before_command = before
    await effects.run(REF, shell("echo x >> log"), "shell", wait)
    cut_short(rig, shell("echo x >> log"))
    rig.person.answers = [Answer("rerun")]
    await effects.recover(REF, rig.person)
    assert told == [False]


async def test_a_command_cut_short_that_reads_is_run_again_unasked(rig: Any) -> None:
    cut_short(rig, shell("echo ran", category="read"))
    result = await rig.effects().recover(REF, wait)
    assert result is not None
    assert result.text == "ran"


def of_graph(line: str, *, network: bool = False) -> Command:
    return replace(shell(line, category="read"), by_graph=True, network=network)


async def test_a_graph_s_command_cut_short_is_run_again_unasked_only_where_it_reads(rig: Any) -> None:
    cut_short(rig, of_graph("echo ran"))
    result = await rig.effects().recover(REF, wait)
    assert result is not None
    assert result.text == "ran"


@pytest.mark.parametrize("network", [True, False])
async def test_a_graph_s_command_cut_short_is_undone_first_but_with_the_network_asked_about(
    rig: Any, network: bool
) -> None:
    cut_short(rig, of_graph("echo x >> log", network=network))
    rig.write("log", "half")

    async def restore(ref: CallRef) -> bool:
        (rig.workspace / "log").unlink()
        return True

    effects = rig.effects(sandbox=Confined())
    effects._restore = restore
    if network:
        with pytest.raises(Waiting, match="cut short"):
            await effects.recover(REF, wait)
        assert rig.bytes("log") == b"half"
        rig.person.answers = [Answer("skip")]
        assert (await effects.recover(REF, rig.person)).failed
    else:
        assert not (await effects.recover(REF, wait)).failed
        assert rig.bytes("log") == b"x\n"


@pytest.mark.parametrize(("line", "taken"), [("echo x >> log", ["run"]), ("cat log", [])])
async def test_a_snapshot_is_taken_before_a_graph_s_command_that_may_change_something(
    rig: Any, line: str, taken: list[str]
) -> None:
    told: list[str] = []

    async def before(ref: CallRef, command: Command) -> None:
        told.append("run")

    effects = rig.effects()
    effects._before_command = before
    await effects.run(REF, of_graph(line), "read", wait)
    assert told == taken


async def test_what_is_refused_says_so_and_what_fails_does_not(rig: Any) -> None:
    rig.person.answers = [Answer("no")]
    assert (await rig.effects("ask").run(REF, shell("echo x"), "shell", rig.person)).denied
    assert (await rig.effects("plan").run(REF, shell("echo x"), "shell", wait)).denied
    failed = await rig.effects().run(REF, shell("exit 3"), "shell", wait)
    assert (failed.failed, failed.denied) == (True, False)


async def test_an_approval_left_from_before_the_kill_is_no_answer_to_the_recovery(rig: Any) -> None:
    cut_short(rig, shell("echo x >> log"))
    rig.person.answers = [Answer("yes"), Answer("skip")]
    result = await rig.effects("ask").recover(REF, rig.person)
    assert result is not None
    assert result.failed
    assert not (rig.workspace / "log").exists()


class Vanishing:
    """A sandbox whose process dies with the run."""

    kind = "none"

    async def run(self, command: Command, workspace: Path, job: Path) -> CommandOutcome:
        raise asyncio.CancelledError


async def test_a_cancelled_command_stays_begun(rig: Any) -> None:
    with pytest.raises(asyncio.CancelledError):
        await rig.effects(sandbox=Vanishing()).run(REF, shell("true"), "shell", wait)
    assert rig.journal.find(REF).state == "intent"


CONFLICT = replace(write(b"theirs\n", b"mine\n"), review="conflict", note="<<<<<<< in the file now\ntheirs")


@pytest.mark.parametrize("mode", ["ask", "auto-edit", "auto"])
async def test_a_write_over_someone_elses_change_is_asked_in_every_mode(rig: Any, mode: str) -> None:
    rig.write("a.txt", "theirs\n")
    rig.grants.add("edit")
    rig.person.answers = [Answer("yes")]
    assert not (await rig.effects(mode).run(REF, CONFLICT, "edit", rig.person)).failed
    (question,) = rig.person.questions
    assert (question.choices, question.headless) == (("yes", "no"), "no")
    assert "<<<<<<< in the file now\ntheirs" in question.text
    assert "-theirs\n+mine" in question.text
    assert rig.bytes("a.txt") == b"mine\n"


async def test_a_declined_conflict_keeps_the_other_version_and_tells_the_model_so(rig: Any) -> None:
    rig.write("a.txt", "theirs\n")
    rig.person.answers = [Answer("no", by="headless")]
    result = await rig.effects("auto").run(REF, CONFLICT, "edit", rig.person)
    assert result.failed
    assert "changed by someone else where you edit it; nothing was written" in result.text
    assert rig.bytes("a.txt") == b"theirs\n"
    assert rig.journal.find(REF) is None


@pytest.mark.parametrize(("mode", "asked"), [("ask", True), ("auto-edit", True), ("auto", False)])
async def test_an_inexact_edit_is_shown_outside_of_mode_auto(rig: Any, mode: str, asked: bool) -> None:
    rig.write("a.txt", "old")
    rig.grants.add("edit")
    rig.person.answers = [Answer("yes")]
    inexact = replace(write(b"old", b"new"), review="inexact", note="most like it")
    await rig.effects(mode).run(REF, inexact, "edit", rig.person)
    assert len(rig.person.questions) == asked
    assert rig.bytes("a.txt") == b"new"


async def test_an_answer_to_another_diff_is_not_taken_for_this_one(rig: Any) -> None:
    rig.write("a.txt", "old")
    shown = approval_question(write(b"older", b"new"), "code#1", b"older")
    rig.person.answers = [Answer("yes", to=shown.digest()), Answer("no", to="")]
    result = await rig.effects("ask").run(REF, write(b"old", b"new"), "edit", rig.person)
    assert result.failed
    assert rig.bytes("a.txt") == b"old"
    assert len(rig.person.questions) == 2
