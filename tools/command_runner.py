"""A script that runs one command and outlives whoever started it; tools/jobs.py starts it with a job's folder.

Imports the standard library alone, and little of it (no typing, no json): every command pays for its start. What lies
in the folder: `claim` (held locked while a runner works; not empty = the command was begun), `output.N`, and at last
`result`.
"""

import errno
import fcntl
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from .command_background import Owner, adopt_orphans, detach, end_children, join_network, say_begun
    from .command_claim import (
        RESULT_BYTES,
        end_left_over,
        note_command,
        processes,
        send_signal,
        started_at,
        sync,
        take_claim,
        try_lock,
    )
    from .command_guard import Guard, aside_of, first_child, note_guarded, noted_guarded, put_right
else:
    # Started as a script, without its folder on the path: there it would go before the standard library.
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    from command_background import Owner, adopt_orphans, detach, end_children, join_network, say_begun
    from command_claim import (
        RESULT_BYTES,
        end_left_over,
        note_command,
        processes,
        send_signal,
        started_at,
        sync,
        take_claim,
        try_lock,
    )
    from command_guard import Guard, aside_of, first_child, note_guarded, noted_guarded, put_right

    sys.path.pop()

READ_BYTES = 65_536
SANDBOX_END_S = 10.0
"""How long the system may take to end all processes of a sandbox."""


class Spec:
    """What to run, as it comes through the pipe: fields with a NUL behind each, which no word of a command can hold.

    The fields: cwd, time limit, grace, drain, seconds without a run (0 = not in the background), bytes of a file of
    output, processes (0 = the program is no sandbox), descriptor of the first feed, that of a network (-1 = none),
    numbers of words, of feeds and of guarded paths; the words; the feeds in hex; path and target of what is guarded;
    then NAME=VALUE.

    Raises:
        ValueError: it does not come whole.
    """

    def __init__(self, data: bytes) -> None:
        *fields, rest = data.split(b"\0")
        if rest or len(fields) < 12:
            raise ValueError("cut off")
        self.cwd = fields[0]
        self.timeout_s, self.grace_s, self.drain_s, self.orphan_s = map(float, fields[1:5])
        self.segment_bytes, self.max_tasks, self.first_feed, self.network, *counts = map(int, fields[5:12])
        ends = [12 + counts[0], 12 + counts[0] + counts[1], 12 + counts[0] + counts[1] + 2 * counts[2]]
        self.argv = fields[12 : ends[0]]
        self.feeds = [bytes.fromhex(field.decode()) for field in fields[ends[0] : ends[1]]]
        guarded = [os.fsdecode(field) for field in fields[ends[1] : ends[2]]]
        self.guarded = list(zip(guarded[::2], guarded[1::2], strict=True))
        pairs = [field.partition(b"=") for field in fields[ends[2] :]]
        self.env = {name: value for name, _, value in pairs}


class Stop:
    """The handler of the request to end; passed on to the runner that has the command, when that is another one.

    A command in the background is also to end when nobody is left whose it is.
    """

    def __init__(self) -> None:
        self.requested = False
        self.held_claim = -1
        self.owner = Owner("", 0.0)

    def look(self) -> bool:
        self.requested = self.requested or self.owner.is_gone()
        return self.requested

    def __call__(self, number: int, frame: object) -> None:
        self.requested = True
        if self.held_claim < 0:
            return
        for pid, start in processes(self.held_claim)[:1]:
            if started_at(pid) == start:
                send_signal(os.kill, pid, signal.SIGTERM)


class Output:
    """The command's output in files of `size` bytes each, of which the first and the last two are kept."""

    def __init__(self, job: str, size: int) -> None:
        self._job = job
        self._size = size
        self._number = -1
        self._file = -1
        self._room = 0
        self.errno = 0

    def write(self, data: bytes) -> None:
        """Store the data; after a first fault (a full disk) nothing more, and `errno` says which."""
        try:
            while data and not self.errno:
                if not self._room:
                    self._next()
                written = os.write(self._file, data[: self._room])
                self._room -= written
                data = data[written:]
        except OSError as err:
            self.errno = err.errno or -1

    def sync(self) -> None:
        """Get on the disk what is kept."""
        try:
            for number in {0, self._number - 1, self._number}:
                if 0 <= number <= self._number:
                    sync(self._path(number))
        except OSError as err:
            self.errno = self.errno or err.errno or -1

    def _next(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._number += 1
        self._file = os.open(self._path(self._number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._room = self._size
        if self._number > 2:
            os.unlink(self._path(self._number - 2))

    def _path(self, number: int) -> str:
        return f"{self._job}/output.{number}"


class Child:
    """The running command: its process, its output through a pipe, and the request to end it."""

    def __init__(self, pid: int, pipe: int, wake: int, output: Output, guard: Guard) -> None:
        self.pid = pid
        self.status: int | None = None
        self.is_open = True
        self._guard = guard
        self._pipe = pipe
        self._wake = wake
        self._output = output
        self._poller = select.poll()
        self._poller.register(pipe, select.POLLIN)
        self._poller.register(wake, select.POLLIN)

    def has_ended(self) -> bool:
        while self.status is None:
            pid, status = os.waitpid(-1, os.WNOHANG)  # others too: what was adopted
            if not pid:
                break
            if pid == self.pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def follow(self, seconds: float, stop: Stop | None = None, *, to_the_end_of_output: bool = False) -> None:
        """Keep reading until the program has ended, a stop is asked for, or the time is over.

        Args:
            to_the_end_of_output: until the pipe is closed at the other end, instead of the program's end.
        """
        deadline = time.monotonic() + seconds
        while self.is_open if to_the_end_of_output else not self.has_ended():
            left = deadline - time.monotonic()
            if left <= 0 or (stop is not None and (stop.look() or self._guard.look(self.pid))):
                return
            pause = min(left, self._guard.seconds, stop.owner.seconds if stop is not None else left)
            for source, _ in self._poller.poll(pause * 1000 + 1):
                if source == self._pipe:
                    self._read()
                else:
                    os.read(self._wake, READ_BYTES)

    def _read(self) -> None:
        if data := os.read(self._pipe, READ_BYTES):
            self._output.write(data)
        else:
            self._poller.unregister(self._pipe)
            self.is_open = False

    def end(self, grace_s: float) -> None:
        """Ask the program to end unless it has, then kill what is left of its group.

        A sandbox passes no request on, so its first process is asked, which leads a group as well. When that one is
        killed, all that is in the sandbox is gone before the sandbox itself ends. Who broke a rule is not asked.
        """
        first = first_child(self.pid) if self._guard.is_on else 0
        if (
            not self.has_ended()
            and not self._guard.reason
            and send_signal(os.killpg, first or self.pid, signal.SIGTERM)
        ):
            self.follow(grace_s)
        if first and not self.has_ended() and send_signal(os.kill, first, signal.SIGKILL):
            self.follow(SANDBOX_END_S)
        send_signal(os.killpg, self.pid, signal.SIGKILL)
        while not self.has_ended():
            self.follow(1.0)


def main() -> int:
    """Run the command of the job unless that was done; return 1 when it is not known what it came to.

    Returns 0 as well when another runner had it, once that one has ended.
    """
    job = sys.argv[1]
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    try:
        spec = Spec(sys.stdin.buffer.read())
    except ValueError:
        return 0  # whoever started this died before it had said what to run
    try:
        said = detach() if spec.orphan_s else -1
        claim = os.open(f"{job}/claim", os.O_RDWR | os.O_CREAT, 0o600)
        _lock(claim, stop, said)
        if os.path.exists(f"{job}/result") or stop.requested:
            return 0
        if os.fstat(claim).st_size:
            end_left_over(claim)
            put_right(noted_guarded(job), job)
            return 0
        note_guarded(job, spec.guarded)
        take_claim(job, claim)
    except FileNotFoundError:
        return 0  # the job is done and removed
    except OSError as err:
        print(f"nothing was run: {err.strerror}", file=sys.stderr)
        return 1
    try:
        stop.owner = Owner(job, spec.orphan_s)
        _finish(job, _run(job, spec, claim, stop, said))
    except OSError as err:
        print(f"what the command came to can not be stored: {err.strerror}", file=sys.stderr)
        return 1
    return 0


def _lock(claim: int, stop: Stop, said: int) -> None:
    """Wait for the claim; where somebody waits for the command to begin alone, they are told once it has."""
    while not try_lock(claim):
        if said >= 0 and not os.fstat(claim).st_size:
            time.sleep(0.01)
            continue
        if said >= 0:
            say_begun(said)
        stop.held_claim = claim
        fcntl.lockf(claim, fcntl.LOCK_EX)
        stop.held_claim = -1
        return


def _run(job: str, spec: Spec, claim: int, stop: Stop, said: int) -> dict[str, float]:
    """Return what the command came to; with "errno" alone when it could not be started.

    Args:
        said: where it is told that a command in the background was begun; -1 = it is not in the background.
    """
    started = time.monotonic()
    if not spec.max_tasks:
        adopt_orphans()
    wake = _woken_by_signals()
    read_end, write_end = os.pipe()
    guard = Guard(spec.guarded, spec.max_tasks)
    pid, number = _spawn(spec, write_end)
    os.close(write_end)
    if number:
        return {"errno": number}
    note_command(claim, pid)
    if said >= 0:
        say_begun(said)
    output = Output(job, spec.segment_bytes)
    child = Child(pid, read_end, wake, output, guard)
    cut_short, stopped = _followed(child, spec, stop)
    made = put_right(spec.guarded, job)
    if fault := guard.reason or ("it made what no command may make" if made else ""):
        kept = f": {', '.join(made)}, now kept in {aside_of(job)}" if made else ""
        ended = "was ended" if cut_short else "failed"
        output.write(os.fsencode(f"\n[... this command {ended}: {fault}{kept} ...]\n"))
    output.sync()
    return {
        "exit_code": child.status or bool(made),
        "timed_out": cut_short and not stopped and not guard.reason,
        "stopped": stopped,
        "seconds": round(time.monotonic() - started, 3),
        "output_errno": output.errno,
    }


def _woken_by_signals() -> int:
    """Return what can be read from whenever a child ends or a signal comes."""
    wake, awake = os.pipe()
    os.set_blocking(awake, False)
    signal.set_wakeup_fd(awake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # only to be woken
    return wake


def _followed(child: Child, spec: Spec, stop: Stop) -> tuple[bool, bool]:
    """Follow the command until nothing of it is left; return whether it was cut short, and whether by a stop."""
    child.follow(spec.timeout_s, stop)
    cut_short = not child.has_ended()
    stopped = cut_short and stop.requested
    if not cut_short:
        child.follow(spec.drain_s, to_the_end_of_output=True)
    child.end(spec.grace_s)
    if not spec.max_tasks:
        end_children()
    child.follow(spec.drain_s, to_the_end_of_output=True)
    return cut_short, stopped


def _spawn(spec: Spec, output: int) -> tuple[int, int]:
    """Return the command's pid, and the number of the error with which it could not be started, 0 = none."""
    fault, report = os.pipe()
    try:
        pid = os.fork()
    except OSError as err:
        return 0, err.errno or -1
    if not pid:
        try:
            _become(spec, output)
        except OSError as err:
            os.write(report, str(err.errno or -1).encode())
        finally:
            os._exit(127)
    os.close(report)
    reported = os.read(fault, 20)  # closed by the exec
    os.close(fault)
    if reported:
        os.waitpid(pid, 0)
    return pid, int(reported or 0)


def _become(spec: Spec, output: int) -> None:
    os.setsid()
    if spec.network >= 0:
        join_network(spec.network)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python, and that would be inherited
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for place, data in enumerate(spec.feeds, spec.first_feed):
        # A file in memory: a pipe would fill up before the program is there to read it.
        feed = os.memfd_create("feed")
        os.write(feed, data)
        os.lseek(feed, 0, os.SEEK_SET)
        os.dup2(feed, place)
    os.chdir(spec.cwd)
    _execute(spec.argv, spec.env)


def _execute(argv: list[bytes], env: dict[bytes, bytes]) -> None:
    """Become the program, found as os.execvpe finds it, which imports more than all of this."""
    folders = [b""] if b"/" in argv[0] else env.get(b"PATH", os.defpath.encode()).split(b":")
    fault = OSError(errno.ENOENT, "")
    for folder in folders:
        try:
            os.execve(os.path.join(folder, argv[0]), argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as err:
            fault = err
    raise fault


def _finish(job: str, result: dict[str, float]) -> None:
    text = "{" + ", ".join(f'"{name}": {float(value):g}' for name, value in result.items()) + "}"
    file = os.open(f"{job}/result.new", os.O_WRONLY)
    os.write(file, text.ljust(RESULT_BYTES).encode())
    os.fsync(file)
    os.close(file)
    os.rename(f"{job}/result.new", f"{job}/result")
    sync(job)


if __name__ == "__main__":
    os._exit(main())  # nothing is left to tidy, and that would take its time as well
