"""Real processes: runners, the processes that start them, and kills of either."""

import asyncio
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowloom.core.errors import FlowError, ToolError
from flowloom.core.ports import CallRef
from flowloom.tools.command_claim import RESULT_BYTES
from flowloom.tools.job_files import MAX_OUTPUT_BYTES, has_begun, job_folder, read_output
from flowloom.tools.jobs import JobSpec, make_job, remove_job, run_job

# A process that runs a job as `flow` does: folder, working directory, shell line.
STARTER = """
import asyncio, os, sys
from pathlib import Path
from flowloom.tools.jobs import JobSpec, run_job

job, cwd, line = sys.argv[1:]
print("ready", flush=True)
sys.stdin.read(1)
spec = JobSpec(("bash", "-c", line), Path(cwd), dict(os.environ), 20.0)
print(asyncio.run(run_job(Path(job), spec)).exit_code, flush=True)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    return folder


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = job_folder(tmp_path / "jobs", CallRef("code#1", "c1"), 1)
    make_job(folder)
    return folder


def spec(workspace: Path, line: str, timeout_s: float = 20.0, **env: str) -> JobSpec:
    return JobSpec(("bash", "-c", line), workspace, {**os.environ, **env}, timeout_s)


@contextmanager
def starter(job: Path, workspace: Path, line: str) -> Iterator[subprocess.Popen[str]]:
    """Give a process that is about to run the job: one character on its stdin lets it go on."""
    words = [sys.executable, "-c", STARTER, str(job), str(workspace), line]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("x")
    process.stdin.flush()


async def until(path: Path, text: str = "") -> str:
    """Return a file's text once it is there and has some."""
    for _ in range(500):
        if path.exists() and (found := path.read_text()) and text in found:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} did not come")


async def is_gone(pid: int) -> bool:
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        await asyncio.sleep(0.02)
    return False


def runner_pid(job: Path) -> int:
    return int((job / "claim").read_text().split()[0])


async def test_a_job_leaves_its_result_and_is_not_run_again(job: Path, workspace: Path) -> None:
    first = await run_job(job, spec(workspace, "echo x >> log; echo ran; exit 3"))
    assert (first.exit_code, first.output, first.ended) == (3, b"ran\n", True)
    assert await run_job(job, spec(workspace, "echo x >> log; echo ran; exit 3")) == first
    assert (workspace / "log").read_text() == "x\n"


async def test_many_processes_at_once_begin_a_command_once(job: Path, workspace: Path) -> None:
    line = "echo x >> log; sleep 0.3; echo ran; exit 3"
    with starter(job, workspace, line) as a, starter(job, workspace, line) as b, starter(job, workspace, line) as c:
        for process in (a, b, c):
            go(process)
        mine = await asyncio.gather(*(run_job(job, spec(workspace, line)) for _ in range(4)))
        told = [process.communicate()[0] for process in (a, b, c)]
    assert told == ["3\n"] * 3
    assert {(outcome.exit_code, outcome.output) for outcome in mine} == {(3, b"ran\n")}
    assert (workspace / "log").read_text() == "x\n"


async def test_a_command_outlives_the_process_that_started_it(job: Path, workspace: Path) -> None:
    line = "echo x >> log; sleep 0.5; echo ran"
    with starter(job, workspace, line) as process:
        go(process)
        await until(workspace / "log")
        process.kill()
        process.wait()
    outcome = await run_job(job, spec(workspace, line))
    assert (outcome.exit_code, outcome.output, outcome.ended) == (0, b"ran\n", True)
    assert (workspace / "log").read_text() == "x\n"


async def test_a_result_left_by_a_killed_process_is_taken(job: Path, workspace: Path) -> None:
    line = "echo x >> log; echo ran"
    with starter(job, workspace, line) as process:
        go(process)
        await until(job / "result")
        process.kill()
    outcome = await run_job(job, spec(workspace, line))
    assert (outcome.output, (workspace / "log").read_text()) == (b"ran\n", "x\n")


async def test_killed_at_any_moment_a_command_is_run_exactly_once(tmp_path: Path, workspace: Path) -> None:
    chance = random.Random(7)
    line = "echo x >> log; sleep 0.02; echo ran"
    for number in range(12):
        job = job_folder(tmp_path / "jobs", CallRef("code#1", str(number)), 1)
        make_job(job)
        with starter(job, workspace, line) as process:
            go(process)
            await asyncio.sleep(chance.uniform(0, 0.09))
            process.kill()
            process.wait()
        outcome = await run_job(job, spec(workspace, line))
        assert (outcome.exit_code, outcome.output, outcome.ended) == (0, b"ran\n", True)
        assert (workspace / "log").read_text() == "x\n" * (number + 1)


async def test_a_runner_killed_at_any_moment_never_runs_a_command_twice(tmp_path: Path, workspace: Path) -> None:
    chance = random.Random(11)
    for number in range(12):
        line = f"echo x >> log{number}; sleep 0.02; echo ran"
        job = job_folder(tmp_path / "jobs", CallRef("code#1", str(number)), 1)
        make_job(job)
        task = asyncio.create_task(run_job(job, spec(workspace, line)))
        while not has_begun(job):
            await asyncio.sleep(0.002)
        await asyncio.sleep(chance.uniform(0, 0.04))
        if not (job / "result").exists():
            os.kill(runner_pid(job), signal.SIGKILL)
        outcome = await task
        again = await run_job(job, spec(workspace, line))
        log = workspace / f"log{number}"
        assert again.ended == outcome.ended
        assert not log.exists() or log.read_text() == "x\n"
        assert log.exists() or not outcome.ended


async def test_a_runner_that_is_never_told_what_to_run_begins_nothing(job: Path, workspace: Path) -> None:
    script = Path(sys.modules[run_job.__module__].__file__ or "").with_name("command_runner.py")
    for said in (b"", b"/tmp\x0020.0\x003.0\x00"):
        done = subprocess.run([sys.executable, "-I", "-S", script, job], input=said, capture_output=True, check=True)
        assert done.stderr == b""
    assert list(job.iterdir()) == []
    assert (await run_job(job, spec(workspace, "echo ran"))).output == b"ran\n"


async def test_a_claim_without_a_word_in_it_does_not_count(job: Path, workspace: Path) -> None:
    (job / "claim").touch()
    assert not has_begun(job)
    assert (await run_job(job, spec(workspace, "echo ran"))).output == b"ran\n"


async def test_a_claim_whose_runner_is_gone_is_told_and_nothing_is_run(job: Path, workspace: Path) -> None:
    (job / "claim").write_text("999999 boot 1\n")
    (job / "result.new").write_bytes(b" " * RESULT_BYTES)
    (job / "output.0").write_bytes(b"until then")
    outcome = await run_job(job, spec(workspace, "touch ran"))
    assert (outcome.ended, outcome.output) == (False, b"until then")
    assert not (workspace / "ran").exists()


async def test_a_command_whose_runner_was_killed_is_ended_before_anything_else(job: Path, workspace: Path) -> None:
    line = "echo $$ > pid; echo begun; sleep 100"
    task = asyncio.create_task(run_job(job, spec(workspace, line)))
    pid = int(await until(workspace / "pid", "\n"))
    await until(job / "output.0")
    os.kill(runner_pid(job), signal.SIGKILL)
    outcome = await task
    assert (outcome.ended, outcome.output) == (False, b"begun\n")
    assert not (await run_job(job, spec(workspace, line))).ended
    assert await is_gone(pid)


async def test_a_cancelled_command_is_ended_and_told_as_cut_short(job: Path, workspace: Path) -> None:
    line = "sleep 100 & echo $! > pid; echo begun; wait"
    task = asyncio.create_task(run_job(job, spec(workspace, line)))
    pid = int(await until(workspace / "pid", "\n"))
    await until(job / "output.0")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await is_gone(pid)
    outcome = await run_job(job, spec(workspace, line))
    assert (outcome.ended, outcome.output) == (False, b"begun\n")


async def test_cancelled_before_it_began_it_can_be_run_later(job: Path, workspace: Path) -> None:
    task = asyncio.create_task(run_job(job, spec(workspace, "touch ran")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (workspace / "ran").exists()
    assert (await run_job(job, spec(workspace, "touch ran"))).ended


async def test_cancelling_who_waits_ends_a_command_that_another_process_started(job: Path, workspace: Path) -> None:
    line = "echo $$ > pid; sleep 100"
    with starter(job, workspace, line) as process:
        go(process)
        pid = int(await until(workspace / "pid", "\n"))
        process.kill()
        process.wait()
    task = asyncio.create_task(run_job(job, spec(workspace, line)))
    await asyncio.sleep(0.2)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await is_gone(pid)
    assert not (await run_job(job, spec(workspace, line))).ended


async def test_output_can_be_read_while_it_comes(job: Path, workspace: Path) -> None:
    task = asyncio.create_task(
        run_job(job, spec(workspace, "echo 一; while [ ! -e go ]; do sleep 0.02; done; echo 二"))
    )
    while read_output(job) != "一\n".encode():
        await asyncio.sleep(0.01)
    (workspace / "go").touch()
    assert (await task).output == "一\n二\n".encode()


def test_a_job_that_has_printed_nothing_has_no_output(job: Path) -> None:
    assert read_output(job) == b""


async def test_waiting_costs_no_processor_time(job: Path, workspace: Path) -> None:
    started = time.process_time()
    await run_job(job, spec(workspace, "sleep 1"))
    assert time.process_time() - started < 0.2


async def test_a_job_that_was_removed_is_not_run_again(job: Path, workspace: Path) -> None:
    await run_job(job, spec(workspace, "echo x >> log"))
    remove_job(job)
    assert not (await run_job(job, spec(workspace, "echo x >> log"))).ended
    assert (workspace / "log").read_text() == "x\n"
    assert not job.exists()


async def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_run(job: Path, workspace: Path) -> None:
    (job / "result.new").mkdir()
    with pytest.raises(FlowError, match="nothing was run: Is a directory"):
        await run_job(job, spec(workspace, "touch ran"))
    assert not (workspace / "ran").exists()
    (job / "result.new").rmdir()
    assert (await run_job(job, spec(workspace, "touch ran"))).ended


async def test_a_result_that_cannot_be_stored_is_told_and_the_command_not_repeated(
    job: Path, workspace: Path
) -> None:
    line = f"echo x >> log; rm {job}/result.new"
    with pytest.raises(FlowError, match="what the command came to can not be stored"):
        await run_job(job, spec(workspace, line))
    assert not (await run_job(job, spec(workspace, line))).ended
    assert (workspace / "log").read_text() == "x\n"


async def test_output_that_finds_no_room_is_told_and_the_command_ends_well(job: Path, workspace: Path) -> None:
    line = "seq 100000; echo done > done"
    words = [sys.executable, "-c", STARTER, str(job), str(workspace), line]
    limited = subprocess.run(["bash", "-c", 'ulimit -f 4; exec "$@"', "-", *words], input=b"x", capture_output=True)
    assert limited.stdout == b"ready\n0\n"
    output = (await run_job(job, spec(workspace, line))).output
    assert output.startswith(b"1\n2\n")
    assert output.endswith(b"[... the output from here on could not be kept: File too large ...]\n")


async def test_a_program_that_cannot_be_started_is_remembered(job: Path, workspace: Path) -> None:
    missing = JobSpec(("no-such-program",), workspace, dict(os.environ), 5.0)
    for _ in range(2):
        with pytest.raises(ToolError, match=r"'no-such-program' can not be run: No such file or directory\."):
            await run_job(job, missing)


async def test_a_file_that_is_no_program_is_refused(job: Path, workspace: Path) -> None:
    (workspace / "plain").write_text("")
    with pytest.raises(ToolError, match=r"'\./plain' can not be run: Permission denied"):
        await run_job(job, JobSpec(("./plain",), workspace, dict(os.environ), 5.0))


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
async def test_words_that_no_program_can_be_given_are_refused(job: Path, workspace: Path, word: str) -> None:
    with pytest.raises(ToolError, match="can not be passed to a program"):
        await run_job(job, JobSpec(("echo", word), workspace, dict(os.environ), 5.0))
    assert not has_begun(job)


async def test_words_arrive_byte_for_byte(job: Path, workspace: Path) -> None:
    words = ("printf", "%s|", "日本語", "", "a\nb=c", os.fsdecode(b"\xff\xfe"), "=x")
    outcome = await run_job(job, JobSpec(words, workspace, {**os.environ, "PATH": os.environ["PATH"]}, 5.0))
    assert outcome.output == b"|".join(os.fsencode(word) for word in words[2:]) + b"|"


async def test_the_environment_is_the_one_given_and_never_on_the_disk(job: Path, workspace: Path) -> None:
    env = {"PATH": os.environ["PATH"], "A": "canary", "EMPTY": "", "EQ": "a=b", "名": "値\n"}
    outcome = await run_job(job, JobSpec(("env", "-0"), workspace, env, 5.0))
    assert dict(pair.split("=", 1) for pair in outcome.output.decode().split("\0")[:-1]) == env
    task = asyncio.create_task(run_job(job, JobSpec(("true",), workspace, env, 5.0)))
    await task
    others = [path for path in job.iterdir() if not path.name.startswith("output")]
    assert not any(b"canary" in path.read_bytes() for path in others)


async def test_a_program_has_default_signals_and_no_open_files_of_ours(job: Path, workspace: Path) -> None:
    line = "yes | head -n 1 > /dev/null; echo ${PIPESTATUS[0]}; ls /proc/$$/fd | tr '\\n' ' '"
    outcome = await run_job(job, spec(workspace, line))
    pipe, files = outcome.output.decode().splitlines()
    assert pipe == str(128 + signal.SIGPIPE)
    assert set(files.split()) <= {"0", "1", "2", "255"}


async def test_everything_a_job_leaves_is_for_its_owner_only(job: Path, workspace: Path) -> None:
    await run_job(job, spec(workspace, "echo x"))
    assert {path.name for path in job.iterdir()} == {"claim", "output.0", "result"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in job.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (job, job.parent)} == {0o700}


async def test_new_files_of_a_command_have_the_usual_mode(job: Path, workspace: Path) -> None:
    usual = os.umask(0o022)
    try:
        await run_job(job, spec(workspace, "touch new"))
    finally:
        os.umask(usual)
    assert stat.S_IMODE((workspace / "new").stat().st_mode) == 0o644


async def test_no_more_of_endless_output_is_on_the_disk_than_is_kept(job: Path, workspace: Path) -> None:
    outcome = await run_job(job, spec(workspace, "head -c 3000000 /dev/zero | tr '\\0' x"))
    assert sum(path.stat().st_size for path in job.glob("output.*")) <= MAX_OUTPUT_BYTES * 3 // 2
    kept = len(outcome.output)
    assert f"[... {3_000_000 - MAX_OUTPUT_BYTES:,} bytes of output were not kept ...]".encode() in outcome.output
    assert kept < MAX_OUTPUT_BYTES + 100


def test_calls_have_folders_of_their_own(tmp_path: Path) -> None:
    refs = [CallRef("a", "b"), CallRef("ab", ""), CallRef("", "ab"), CallRef("設計#1", "\udcff")]
    folders = {job_folder(tmp_path, ref, attempt) for ref in refs for attempt in (1, 2)}
    assert len(folders) == 8


def test_the_runner_imports_little() -> None:
    script = Path(sys.modules[run_job.__module__].__file__ or "").with_name("command_runner.py")
    names = {"__name__": "runner", "__file__": str(script)}
    code = f"import sys; exec(open({str(script)!r}).read(), {names!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"json", "typing", "subprocess", "re", "asyncio", "flowloom"}
