import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from flowloom.core.effects import Command
from flowloom.core.errors import ToolError
from flowloom.core.ports import CommandOutcome
from flowloom.tools.host import HostSandbox, scrubbed_env
from flowloom.tools.job_files import MAX_OUTPUT_BYTES


def shell(line: str, timeout_s: float = 20.0, cwd: str = ".") -> Command:
    return Command(("bash", "-c", line), timeout_s, cwd=cwd)


async def run(command: Command, workspace: Path, sandbox: HostSandbox | None = None) -> CommandOutcome:
    with TemporaryDirectory() as job:
        return await (sandbox or HostSandbox()).run(command, workspace, Path(job))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


async def ended(pid: int) -> bool:
    for _ in range(50):
        if not is_alive(pid):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_output_of_both_streams_and_the_exit_code_come_back(workspace: Path) -> None:
    outcome = await run(shell("echo out; echo 日本 >&2; exit 3"), workspace)
    assert outcome.output == "out\n日本\n".encode()
    assert (outcome.exit_code, outcome.timed_out) == (3, False)


async def test_it_runs_in_the_folder_that_was_asked_for(workspace: Path) -> None:
    (workspace / "sub").mkdir()
    outcome = await run(shell("pwd", cwd="sub"), workspace)
    assert outcome.output.decode().strip() == str(workspace / "sub")


@pytest.mark.parametrize("cwd", ["..", "missing", "/"])
async def test_a_folder_outside_or_missing_is_refused(workspace: Path, cwd: str) -> None:
    with pytest.raises(ToolError):
        await run(shell("pwd", cwd=cwd), workspace)


async def test_a_missing_program_is_refused(workspace: Path) -> None:
    with pytest.raises(ToolError, match="'no-such-program' can not be run"):
        await run(Command(("no-such-program",), 5.0), workspace)


async def test_an_argument_that_is_too_long_is_refused(workspace: Path) -> None:
    with pytest.raises(ToolError, match="too long"):
        await run(shell("x" * 4_000_000), workspace)


async def test_a_signal_is_told_in_the_exit_code(workspace: Path) -> None:
    outcome = await run(shell("kill -9 $$"), workspace)
    assert outcome.exit_code == 128 + signal.SIGKILL


async def test_input_is_empty(workspace: Path) -> None:
    outcome = await run(shell("cat; read x || echo no input"), workspace)
    assert outcome.output == b"no input\n"


async def test_a_timeout_keeps_what_was_printed_and_ends_the_group(workspace: Path) -> None:
    started = time.monotonic()
    outcome = await run(shell("sleep 100 & echo $!; wait", timeout_s=0.5), workspace)
    assert time.monotonic() - started < 3
    assert (outcome.exit_code, outcome.timed_out) == (124, True)
    assert await ended(int(outcome.output))


async def test_a_program_that_ignores_the_request_to_end_is_killed(workspace: Path) -> None:
    started = time.monotonic()
    outcome = await run(shell("trap '' TERM; while true; do sleep 0.1; done", timeout_s=0.2), workspace)
    assert outcome.timed_out
    assert 3 <= time.monotonic() - started < 6


async def test_a_background_child_that_holds_the_pipe_does_not_hang(workspace: Path) -> None:
    started = time.monotonic()
    outcome = await run(shell("sleep 100 & echo $!"), workspace)
    assert time.monotonic() - started < 3
    assert outcome.exit_code == 0
    assert await ended(int(outcome.output))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands over the children of a process that ended")
async def test_a_child_in_a_session_of_its_own_is_ended_as_well(workspace: Path) -> None:
    started = time.monotonic()
    outcome = await run(shell("setsid sleep 100 & echo $!"), workspace)
    assert time.monotonic() - started < 3
    assert await ended(int(outcome.output))


async def test_output_that_a_child_writes_at_the_end_is_kept(workspace: Path) -> None:
    outcome = await run(shell("echo late > >(sleep 0.1; cat)"), workspace)
    assert outcome.output == b"late\n"


async def test_a_cancellation_ends_the_group(workspace: Path) -> None:
    task = asyncio.create_task(run(shell("sleep 100 & echo $! > pid; wait"), workspace))
    while not (workspace / "pid").exists() or not (workspace / "pid").read_text().strip():
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(int((workspace / "pid").read_text()))


async def test_endless_output_keeps_its_head_and_tail_only(workspace: Path) -> None:
    outcome = await run(shell("echo first; yes x | head -c 20000000; echo last"), workspace)
    assert outcome.output.startswith(b"first\n")
    assert outcome.output.endswith(b"last\n")
    assert len(outcome.output) < MAX_OUTPUT_BYTES + 100
    assert b"bytes of output were not kept" in outcome.output


@pytest.mark.parametrize("size", [MAX_OUTPUT_BYTES - 1, MAX_OUTPUT_BYTES, MAX_OUTPUT_BYTES + 1])
async def test_the_note_comes_only_when_something_was_left_out(workspace: Path, size: int) -> None:
    outcome = await run(shell(f"head -c {size} /dev/zero | tr '\\0' x"), workspace)
    assert (b"[... 1 bytes" in outcome.output) == (size > MAX_OUTPUT_BYTES)
    assert outcome.output.count(b"x") == min(size, MAX_OUTPUT_BYTES)


async def test_no_terminal_and_a_group_of_its_own(workspace: Path) -> None:
    outcome = await run(shell("echo $$; ps -o pgid= -p $$; test -t 0 || echo none"), workspace)
    pid, group, terminal = outcome.output.decode().split()
    assert (pid, terminal) == (group, "none")


SECRETS = ["OPENAI_API_KEY", "GITHUB_TOKEN", "my_secret", "DB_PASSWORD", "PASSWORD_FILE", "AWS_PROFILE", "TOKEN"]
SECRETS += ["SSH_AUTH_SOCK", "SSH_ASKPASS", "GOOGLE_CREDENTIALS", "GIT_DIR"]


def test_secrets_are_taken_out_of_the_environment() -> None:
    environ = dict.fromkeys(SECRETS, "s") | {"PATH": "/bin", "KEYBOARD": "jp", "TERM": "xterm", "MONKEY": "1"}
    assert scrubbed_env(environ) == {
        "PATH": "/bin",
        "KEYBOARD": "jp",
        "MONKEY": "1",
        "PAGER": "cat",
        "GIT_PAGER": "cat",
        "GIT_TERMINAL_PROMPT": "0",
        "CI": "1",
        "TERM": "dumb",
    }


async def test_a_command_sees_the_scrubbed_environment_and_its_own(workspace: Path) -> None:
    sandbox = HostSandbox({"PATH": os.environ["PATH"], "API_KEY": "canary", "LANG": "C.UTF-8"})
    command = Command(("bash", "-c", "env"), 10.0, env={"EXTRA": "1"})
    lines = (await run(command, workspace, sandbox)).output.decode().split("\n")
    assert "EXTRA=1" in lines
    assert "LANG=C.UTF-8" in lines
    assert not any("canary" in line for line in lines)
