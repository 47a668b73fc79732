"""Commands in the background, as calls of the tool and through the effect runner: real processes, no sandbox."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.effects import Command, StopJob, effect_from_dict, effect_to_dict
from flowloom.core.errors import ToolError
from flowloom.core.ports import CallRef
from flowloom.core.questions import Answer
from flowloom.tools.background_jobs import BackgroundJobs, stop_all
from flowloom.tools.background_notes import read_jobs
from flowloom.tools.command_background import OWNER, note_owner
from flowloom.tools.job_files import command_pid, job_folder, job_result
from flowloom.tools.jobs import JobSpec, make_job, start_job
from flowloom.tools.registry import TOOLS

TICKING = "while :; do date +%N >> ticks; sleep 0.02; done"


@pytest.fixture
def rig(rig: Any) -> Iterator[Any]:
    rig.background = BackgroundJobs(rig.jobs, rig.secrets, max_jobs=2, first_look_s=0.3)
    yield rig
    stop_all(rig.jobs)


def new_process(rig: Any) -> None:
    """Let the next calls come from a process that has just begun."""
    rig.background = BackgroundJobs(rig.jobs, rig.secrets, max_jobs=2, first_look_s=0.3)


async def until(path: Path, text: str = "\n") -> str:
    for _ in range(500):
        if path.exists() and text in (found := path.read_text()):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} did not come")


async def until_gone(job: Path) -> None:
    for _ in range(500):
        if job_result(job) is not None and not command_pid(job):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the command of {job} did not end")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


async def is_still(path: Path) -> bool:
    """Tell whether nobody writes to the file any more."""
    before = path.read_bytes()
    await asyncio.sleep(0.2)
    return path.read_bytes() == before


async def test_a_start_returns_while_the_command_runs_and_shows_what_it_printed(rig: Any) -> None:
    result = await rig.call("background", action="start", command="echo 準備完了; sleep 60")
    assert result.text.startswith("job 1: running for ")
    assert result.text.endswith("\n準備完了")
    assert not result.failed
    assert is_alive(rig.background.all()[0].pid)


async def test_a_command_that_ends_at_once_is_told_with_its_exit_code(rig: Any) -> None:
    result = await rig.call("background", action="start", command="echo broken; exit 3")
    assert (result.text, result.failed) == ("job 1: ended with exit code 3\nbroken", True)


async def test_jobs_are_listed_with_state_and_command(rig: Any) -> None:
    assert rig.read("background", action="list") == "Nothing was started in the background."
    await rig.call("background", action="start", command="sleep 60")
    await rig.call("background", call_id="c2", action="start", command="exit 2")
    running, ended = rig.read("background", action="list").splitlines()
    assert running.startswith("1  running for ")
    assert running.endswith("  sleep 60")
    assert ended == "2  ended with exit code 2  exit 2"


async def test_output_is_the_end_of_what_was_printed_masked_and_bounded(rig: Any) -> None:
    key = "ghp_" + "a1B2" * 9
    await rig.call("background", action="start", command=f"seq 20000; echo {key}; sleep 60")
    text = rig.read("background", action="output", job=1)
    assert key not in text
    assert "<secret:GITHUB-" in text
    assert "bytes left out here" in text
    assert len(text) < 5000


async def test_a_secret_in_a_command_is_kept_masked(rig: Any) -> None:
    key = "ghp_" + "a1B2" * 9
    await rig.call("background", action="start", command=f"echo {key}")
    (note,) = rig.jobs.glob("*/background.json")
    assert key not in note.read_text()
    assert "<secret:GITHUB-" in rig.read("background", action="list")


async def test_stopping_ends_the_group_and_what_left_it(rig: Any) -> None:
    line = f"setsid bash -c '{TICKING}' & (setsid sleep 444.5 &) ; sleep 60"
    await rig.call("background", action="start", command=line)
    await until(rig.workspace / "ticks")
    result = await rig.call("background", call_id="c2", action="stop", job=1)
    assert result.text.startswith("job 1: stopped\n")
    assert await is_still(rig.workspace / "ticks")
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"444.5" in _bytes(path)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_a_job_that_ignores_the_request_to_end_is_killed(rig: Any) -> None:
    await rig.call("background", action="start", command="trap '' TERM; echo up; while :; do sleep 0.1; done")
    pid = rig.background.all()[0].pid
    await rig.call("background", call_id="c2", action="stop", job=1)
    assert not is_alive(pid)


async def test_stopping_what_has_ended_or_was_never_begun_changes_nothing(rig: Any) -> None:
    await rig.call("background", action="start", command="echo done")
    result = await rig.call("background", call_id="c2", action="stop", job=1)
    assert result.text == "job 1: ended with exit code 0\ndone"
    missing = await rig.call("background", call_id="c3", action="stop", job=7)
    assert (missing.text, missing.failed) == ("there is no job 7. Jobs of this run: 1.", True)


async def test_no_more_than_the_limit_run_at_once(rig: Any) -> None:
    for number in (1, 2):
        await rig.call("background", call_id=f"c{number}", action="start", command="sleep 60")
    refused = await rig.call("background", call_id="c3", action="start", command="touch made")
    assert refused.failed
    assert "no more than 2 jobs" in refused.text
    assert "1 (sleep 60), 2 (sleep 60)" in refused.text
    assert rig.journal.find(CallRef("code#1", "c3")) is None
    await rig.call("background", call_id="c4", action="stop", job=1)
    again = await rig.call("background", call_id="c5", action="start", command="sleep 60")
    assert again.text.startswith("job 3: running")


async def test_the_same_call_again_begins_nothing(rig: Any) -> None:
    first = await rig.call("background", action="start", command="echo x >> log; sleep 60")
    new_process(rig)
    again = await rig.call("background", action="start", command="echo x >> log; sleep 60")
    assert again == first
    assert (rig.workspace / "log").read_text() == "x\n"
    assert len(rig.background.all()) == 1


async def test_killed_between_its_begin_and_its_result_it_is_adopted_and_not_begun_again(rig: Any) -> None:
    command = Command(("bash", "-c", "echo x >> log; sleep 60"), 60.0, background=True)
    ref = CallRef("code#1", "c1")
    await rig.effects().run(ref, command, "shell", rig.person)
    rig.journal.begin(ref, command, None)  # as it stands when the process is killed before it has stored the result
    new_process(rig)
    result = await rig.effects().recover(ref, rig.person)
    assert result.text.startswith("job 1: running")
    assert (rig.workspace / "log").read_text() == "x\n"


async def test_killed_before_it_was_begun_it_is_begun_by_the_resume(rig: Any) -> None:
    command = Command(("bash", "-c", "echo x >> log; sleep 60"), 60.0, background=True)
    ref = CallRef("code#1", "c1")
    rig.background.place(ref, command)
    rig.journal.begin(ref, command, None)
    new_process(rig)
    assert rig.background.all() == []
    result = await rig.effects().recover(ref, rig.person)
    assert result.text.startswith("job 1: running")
    assert await until(rig.workspace / "log") == "x\n"


async def test_a_job_whose_runner_was_killed_is_gone_and_its_rest_is_ended_at_the_take_over(rig: Any) -> None:
    await rig.call("background", action="start", command=TICKING)
    await until(rig.workspace / "ticks")
    (folder,) = (note.parent for note in rig.jobs.glob("*/background.json"))
    os.kill(int((folder / "claim").read_text().split()[0]), signal.SIGKILL)
    for _ in range(200):
        if not rig.background.all()[0].is_running:
            break
        await asyncio.sleep(0.01)
    new_process(rig)
    assert await asyncio.to_thread(rig.background.take_over) == []
    assert await is_still(rig.workspace / "ticks")
    assert rig.background.all()[0].state == "gone"
    assert rig.read("background", action="output", job=1).startswith("job 1: gone")


async def test_living_jobs_are_taken_over(rig: Any) -> None:
    await rig.call("background", action="start", command="sleep 60")
    (rig.jobs / OWNER).write_text("1 someone else")
    new_process(rig)
    (job,) = rig.background.take_over()
    assert (job.number, job.is_running) == (1, True)
    assert (rig.jobs / OWNER).read_text().startswith(f"{os.getpid()} ")


async def test_ending_the_run_ends_all_jobs(rig: Any) -> None:
    for number in (1, 2):
        await rig.call("background", call_id=f"c{number}", action="start", command="sleep 60")
    pids = [job.pid for job in rig.background.all()]
    assert [job.number for job in rig.background.stop_all()] == [1, 2]
    assert not any(map(is_alive, pids))
    assert [job.state for job in read_jobs(rig.jobs)] == ["stopped", "stopped"]
    assert rig.background.stop_all() == []


async def test_a_job_whose_run_is_killed_and_not_taken_up_again_ends_by_itself(rig: Any) -> None:
    job = job_folder(rig.jobs, CallRef("code#1", "c1"), 1)
    make_job(job)
    (rig.jobs / OWNER).write_text("999999999 nobody")
    await start_job(job, JobSpec(("bash", "-c", TICKING), rig.workspace, dict(os.environ), 60.0, orphan_s=0.3))
    await until(rig.workspace / "ticks")
    await until_gone(job)
    assert await is_still(rig.workspace / "ticks")


async def test_a_job_of_a_living_run_does_not_end_by_itself(rig: Any) -> None:
    job = job_folder(rig.jobs, CallRef("code#1", "c1"), 1)
    make_job(job)
    note_owner(str(rig.jobs))
    line = "sleep 1; echo whole"
    await start_job(job, JobSpec(("bash", "-c", line), rig.workspace, dict(os.environ), 60.0, orphan_s=0.2))
    await until_gone(job)
    assert (job_result(job) or {})["exit_code"] == 0


async def test_a_job_ends_at_its_time_limit(rig: Any) -> None:
    job = job_folder(rig.jobs, CallRef("code#1", "c1"), 1)
    make_job(job)
    await start_job(job, JobSpec(("sleep", "60"), rig.workspace, dict(os.environ), 0.1, orphan_s=60.0))
    await until_gone(job)
    assert (job_result(job) or {})["timed_out"] == 1


async def test_a_program_that_can_not_be_started_is_a_failed_result_and_leaves_no_job(rig: Any) -> None:
    command = Command(("nonexistent",), 60.0, background=True)
    result = await rig.effects().run(CallRef("code#1", "c1"), command, "shell", rig.person)
    assert (result.failed, rig.background.all()) == (True, [])
    assert "can not be run" in result.text


async def test_a_start_takes_a_snapshot_before_it(rig: Any) -> None:
    taken: list[tuple[str, bool]] = []

    async def before(ref: CallRef, command: Command) -> None:
        taken.append((ref.call_id, (rig.workspace / "made").exists()))

    effects = rig.effects()
    effects._before_command = before
    command = Command(("bash", "-c", "touch made; sleep 60"), 60.0, background=True)
    await effects.run(CallRef("code#1", "c1"), command, "shell", rig.person)
    assert taken == [("c1", False)]


async def test_approval_says_that_it_runs_in_the_background(rig: Any) -> None:
    rig.person.answers = [Answer("no", reason="not now")]
    result = await rig.call("background", mode="ask", action="start", command="npm run dev")
    (question,) = rig.person.questions
    assert question.text.splitlines()[0] == "Run this command in the background, until the run ends?"
    assert question.payload["background"] is True
    assert question.payload["always"] == ["bash(npm run dev:*)"]
    assert (result.text, result.failed) == ("The user declined this: not now", True)
    assert rig.background.all() == []


async def test_plan_mode_starts_nothing(rig: Any) -> None:
    result = await rig.call("background", mode="plan", action="start", command="sleep 60")
    assert result.failed
    assert rig.background.all() == []


async def test_reading_and_stopping_are_never_asked_for(rig: Any) -> None:
    await rig.call("background", action="start", command="sleep 60")
    for action in ("list", "output", "stop"):
        looked = await rig.call("background", mode="ask", call_id=action, action=action, job=1)
        assert not looked.failed
    assert rig.person.questions == []


def test_outside_of_a_run_there_is_no_background(rig: Any) -> None:
    rig.background = None
    assert rig.refusal("background", action="list") == "nothing runs in the background outside of a run."


@pytest.mark.parametrize(
    ("command", "told"),
    [("npm run dev &", "leave the & at the end out"), ("vim a", "waits for a person"), (" ", "empty")],
)
def test_a_command_that_can_not_run_by_itself_is_refused(rig: Any, command: str, told: str) -> None:
    assert told in rig.refusal("background", action="start", command=command)


def test_bash_tells_of_the_tool_where_a_line_ends_with_an_ampersand(rig: Any) -> None:
    hint = "what & starts ends with this command: use the tool background with action start, and leave the & out."
    assert rig.refusal("bash", command="npm run dev > log 2>&1 &") == hint
    assert rig.plan("bash", command="make && make test").argv[2] == "make && make test"
    rig.offered = ("bash",)
    assert rig.plan("bash", command="npm run dev &").argv[2] == "npm run dev &"


def test_the_journal_s_form_keeps_that_it_runs_in_the_background_and_reads_what_is_older() -> None:
    command = Command(("sleep", "1"), 1.0, background=True)
    stored = effect_to_dict(command)
    assert effect_from_dict(stored) == command
    del stored["background"]
    assert effect_from_dict(stored) == Command(("sleep", "1"), 1.0)


def test_a_stop_is_planned_without_looking(rig: Any) -> None:
    assert rig.plan("background", action="stop", job=3) == StopJob(3)


def test_only_a_start_reaches_beyond_the_run() -> None:
    spec = TOOLS["background"]
    assert spec.category_of is not None
    kinds = {action: spec.category_of(spec.args(action=action)) for action in ("start", "list", "output", "stop")}
    assert kinds == {"start": "shell", "list": "read", "output": "read", "stop": "read"}


async def test_a_cut_short_command_is_not_undone_where_something_ran_beside_it(rig: Any) -> None:
    other = job_folder(rig.jobs, CallRef("code#1", "other"), 1)
    make_job(other)
    (other / "claim").write_text("1 x\n")
    assert not rig.background.ran_beside(other)
    await rig.call("background", action="start", command="true")
    assert rig.background.ran_beside(other)
    late = time.time() + 60
    os.utime(other / "claim", (late, late))
    assert not rig.background.ran_beside(other)


async def test_what_no_command_may_make_is_not_made_while_jobs_run(rig: Any) -> None:
    await rig.call("background", action="start", command="sleep 60")
    with pytest.raises(
        ToolError, match=r"AGENTS\.md can not be made while jobs run in the background\. Stop job 1 first"
    ):
        rig.background.refuse_guarded(rig.workspace, "AGENTS.md")
    rig.background.refuse_guarded(rig.workspace, "docs/AGENTS.md")
    rig.write(".github/old.yml", "")
    rig.background.refuse_guarded(rig.workspace, ".github/new.yml")
    rig.background.stop_all()
    rig.background.refuse_guarded(rig.workspace, "AGENTS.md")


async def test_a_run_without_a_folder_has_no_jobs(rig: Any, tmp_path: Path) -> None:
    shutil.rmtree(rig.jobs, ignore_errors=True)
    assert read_jobs(tmp_path / "nowhere") == []
    assert rig.background.take_over() == []
