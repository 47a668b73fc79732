"""The part of command_runner.py for sandboxed commands: what no mount can prevent is watched, and put right.

Imports the standard library alone: it runs in a process of its own, outside of the package.
"""

import errno
import os
import time

LOOK_S = 0.04
"""Between two looks."""


class Guard:
    """Watches a sandboxed command for what no mount can prevent: names it must not make, and too many processes."""

    def __init__(self, guarded: list[tuple[str, str]], max_tasks: int) -> None:
        self.is_on = max_tasks > 0
        self.seconds = LOOK_S if self.is_on else 3600.0
        self.reason = ""
        self._guarded = guarded
        self._max_tasks = max_tasks
        self._tasks = _all_tasks() if self.is_on else 0
        self._changed = {os.path.dirname(path): 0 for path, _ in guarded}
        self._next = 0.0

    def look(self, sandbox: int) -> bool:
        """Tell whether the command has to be ended; `reason` says why. `sandbox`: its pid."""
        if not self.is_on or self.reason or time.monotonic() < self._next:
            return bool(self.reason)
        self._next = time.monotonic() + self.seconds
        if _all_tasks() - self._tasks > self._max_tasks and _tasks_inside(sandbox) > self._max_tasks:
            self.reason = f"it had more than {self._max_tasks} processes"
        elif any([self._has_changed(folder) for folder in self._changed]) and self._is_broken():
            self.reason = "it made what no command may make"
        return bool(self.reason)

    def _has_changed(self, folder: str) -> bool:
        # A name that comes or goes changes the folder's time, so that seldom more than that is looked at.
        try:
            changed = os.lstat(folder).st_ctime_ns
        except OSError:
            changed = -1
        before, self._changed[folder] = self._changed[folder], changed
        return changed != before

    def _is_broken(self) -> bool:
        return any(not _is_right(path, target) for path, target in self._guarded)


def _all_tasks() -> int:
    """Return how many processes and threads the machine has; the time it takes does not depend on them."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return int(file.read().split()[3].partition("/")[2])


def first_child(pid: int) -> int:
    """Return the pid of a process's first child; 0 = there is none, or the system does not tell."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return int((file.read().split() or ["0"])[0])
    except OSError:
        return 0


def _tasks_inside(sandbox: int) -> int:
    """Return how many processes and threads share the process namespace that the sandbox made."""
    place = _namespace(first_child(sandbox))
    pids = [name for name in os.listdir("/proc") if name.isdigit() and place and _namespace(name) == place]
    return sum(_threads(pid) for pid in pids)


def _namespace(pid: int | str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _threads(pid: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def _is_right(path: str, target: str) -> bool:
    """Tell whether there is nothing at the path, or with a target the link that says it."""
    try:
        return os.readlink(path) == target if target else not os.path.lexists(path)
    except OSError:
        return False


def note_guarded(job: str, guarded: list[tuple[str, str]]) -> None:
    """Keep with the job what is to be put right, should its runner die: later it can not be told any more."""
    if guarded:
        with open(f"{job}/guarded", "wb") as file:
            file.write(b"".join(os.fsencode(word) + b"\0" for pair in guarded for word in pair))


def noted_guarded(job: str) -> list[tuple[str, str]]:
    """Return what was noted; [] = nothing was."""
    try:
        with open(f"{job}/guarded", "rb") as file:
            words = [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    except FileNotFoundError:
        return []
    return list(zip(words[::2], words[1::2], strict=False))


def aside_of(job: str) -> str:
    """Return the folder for what was moved away; it is beside the job's, which is removed at the end."""
    return f"{job}.aside"


def put_right(guarded: list[tuple[str, str]], job: str) -> list[str]:
    """Move away what stands where nothing may, and put links back; return the names. Only once nothing runs.

    It is moved and not removed: a person may have made it in that very moment.
    """
    made = [(path, target) for path, target in guarded if not _is_right(path, target)]
    # A folder above that was made a link would lead to somebody else's files.
    made = [
        (path, target) for path, target in made if os.path.realpath(os.path.dirname(path)) == os.path.dirname(path)
    ]
    for number, (path, target) in enumerate(made):
        if os.path.lexists(path):
            os.makedirs(aside_of(job), 0o700, exist_ok=True)
            _move(path, f"{aside_of(job)}/{number}-{os.path.basename(path)}")
        if target:
            os.symlink(target, path)
    return [os.path.basename(path) for path, _ in made]


def _move(path: str, to: str) -> None:
    try:
        os.rename(path, to)
    except OSError as err:
        if err.errno not in (errno.EXDEV, errno.ENOTEMPTY, errno.EEXIST):
            raise
        import shutil  # rarely needed, and slow to import

        shutil.rmtree(to, ignore_errors=True)
        shutil.move(path, to)
