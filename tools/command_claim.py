"""The claim of a job: who runs its command. Used by command_runner.py, and by jobs.py to find and end commands.

Imports the standard library alone: it runs in a process of its own, outside of the package.
"""

import fcntl
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RESULT_BYTES = 512
"""Taken on the disk before the command begins, so that a disk it fills can still hold what it came to."""
_READ_BYTES = 65_536


def try_lock(claim: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take the claim's lock unless somebody else has it. The system frees it when its holder ends, however."""
    try:
        fcntl.lockf(claim, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # which one depends on the system
        return False
    return True


def processes(claim: int) -> list[tuple[int, str]]:
    """Return (pid, start) of the runner and, once it has begun, of the command, as they stand in the claim."""
    # By pread: opening and closing the file once more would free the lock.
    lines = os.pread(claim, _READ_BYTES, 0).decode("ascii", "replace").splitlines()
    pairs = [line.partition(" ") for line in lines]
    return [(int(pid), start) for pid, _, start in pairs if pid.isdigit() and int(pid) > 1]


def take_claim(job: str, claim: int) -> None:
    """Write the claim, so that the command counts as begun from here on, also after a loss of power."""
    reserved = os.open(f"{job}/result.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(reserved, b" " * RESULT_BYTES)
        os.fsync(reserved)
        os.write(claim, f"{os.getpid()} {started_at(os.getpid())}\n".encode())
        os.fsync(claim)
        sync(job)
        sync(os.path.dirname(job))
    except OSError:
        os.ftruncate(claim, 0)
        raise
    finally:
        os.close(reserved)


def end_left_over(claim: int) -> None:
    """Kill a command whose runner died: nobody reads its output, and it must not run beside another try."""
    for pid, start in processes(claim)[1:]:
        if start and started_at(pid) == start:
            send_signal(os.killpg, pid, signal.SIGKILL)


def note_command(claim: int, pid: int) -> None:
    """Add the command's own process to the claim."""
    try:
        os.write(claim, f"{pid} {started_at(pid)}\n".encode())
    except OSError:
        return  # then a command whose runner is killed is not ended with it


def sync(path: str) -> None:
    """Get a file or a folder on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def send_signal(send: "Callable[[int, int], None]", pid: int, number: int) -> bool:
    """Signal a process or a group, which may outlive its leader; False = there is nobody."""
    try:
        send(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def started_at(pid: int) -> str:
    """Return when a process started, only good for comparing; "" = there is none, or the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            ticks = file.read().rpartition(")")[2].split()[19]
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {ticks}"
    except OSError:
        return ""
