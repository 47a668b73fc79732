"""The part of command_runner.py for commands in the background, and for those that share the network with one.

Imports the standard library alone: it runs in a process of its own, outside of the package.
"""

import fcntl
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from .command_claim import started_at
else:
    from command_claim import started_at

LOOK_S = 2.0
"""Between two looks at whether the run still has a process."""
OWNER = "owner"
"""File in the folder of a run's jobs: pid and start of the process that works on the run."""
_NS_GET_USERNS = 0xB701
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS = 200


def note_owner(jobs: str) -> None:
    """Say in the folder of a run's jobs that this process works on the run."""
    pid = os.getpid()
    with open(f"{jobs}/{OWNER}.new", "w", encoding="ascii") as file:
        file.write(f"{pid} {started_at(pid)}")
    os.replace(f"{jobs}/{OWNER}.new", f"{jobs}/{OWNER}")


class Owner:
    """Watches the run that a job belongs to: a job does not outlive it for long when all of it is killed.

    Args:
        job: the job's folder.
        orphan_s: how long the job waits for a process to take the run up again; 0 = it is not watched.
    """

    def __init__(self, job: str, orphan_s: float) -> None:
        self.seconds = min(LOOK_S, orphan_s) if orphan_s else 3600.0
        self._path = f"{os.path.dirname(job)}/{OWNER}"
        self._orphan_s = orphan_s
        # Of a monotonic clock, which stands still while the machine sleeps.
        self._seen = time.monotonic()
        self._next = 0.0

    def is_gone(self) -> bool:
        """Tell whether the job has to end, since nobody took the run up again."""
        now = time.monotonic()
        if not self._orphan_s or now < self._next:
            return False
        self._next = now + self.seconds
        if _is_there(self._path):
            self._seen = now
        return now - self._seen > self._orphan_s


def _is_there(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            pid, _, start = file.read().partition(" ")
        if start:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                is_dead = file.read().rpartition(")")[2].split()[0] in ("Z", "X")
            return not is_dead and started_at(int(pid)) == start
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return False
    return True


def detach() -> int:
    """Go on in a child that nobody has to wait for; return the descriptor by which `say_begun` tells of it.

    This process ends with that, or with the child's own exit code when the child ends before.
    """
    heard, said = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(heard)
        return said
    os.close(said)
    if os.read(heard, 1):
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os._exit(code if code >= 0 else 1)


def say_begun(said: int) -> None:
    """Tell who waits that the command was begun, and let go of what they listen to."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)
    os.close(null)
    os.write(said, b"+")
    os.close(said)


def adopt_orphans() -> None:
    """Become the parent of what the command leaves behind, also in sessions of its own; Linux alone knows that."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return  # then only the command's own group is ended


def end_children() -> None:
    """Kill all children of this process until there are none: each one's own become children of it."""
    me = os.getpid()
    for _ in range(_ROUNDS):
        try:
            with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as file:
                pids = [int(pid) for pid in file.read().split()]
        except OSError:
            return
        if not pids:
            return
        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # ours until we have waited for it
        for pid in pids:
            os.waitpid(pid, 0)


def join_network(descriptor: int) -> None:
    """Move this process, which has one thread, into a network namespace and the user namespace that owns it.

    Raises:
        OSError: the system refuses it; nothing may run then, since it would have the machine's network.
    """
    import ctypes

    setns = ctypes.CDLL(None, use_errno=True).setns
    owner = fcntl.ioctl(descriptor, _NS_GET_USERNS)
    for each, kind in ((owner, _CLONE_NEWUSER), (descriptor, _CLONE_NEWNET)):
        if setns(each, kind):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(each)
