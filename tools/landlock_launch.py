"""A script that runs one command under Landlock; tools/landlock.py names the words it is started with.

Imports the standard library alone: it runs in a process of its own, outside of the package. It stays as the parent of
whatever the command starts, also of what puts itself into a session of its own, and ends it all with the command.

Source: landlock(7), prctl(2).
"""

import ctypes
import os
import resource
import signal
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_SET_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _SET_SUBREAPER = 1, 38, 22, 36
_SECCOMP_FILTER = 2
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION = 0x20080522

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER, _TRUNCATE, _IOCTL = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_READING = _EXECUTE | _READ_FILE | _READ_FOLDER
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_ALL_OF_ABI = (0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1)
"""Every file right that a kernel of this version knows; later versions add none."""
_TCP_FROM, _SCOPES_FROM = 4, 6
_GRACE_S = 2.0
_DRAIN_S = 0.5
_AGAIN_S = 0.05


def system(number: int, *words: object) -> int:
    """Return what a system call gives.

    Raises:
        OSError: it failed.
    """
    result: int = _libc().syscall(number, *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *words: object) -> None:
    if _libc().prctl(option, *words) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def abi() -> int:
    """Return the version of Landlock that the kernel offers; 0 = none."""
    try:
        return system(CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    except OSError:
        return 0


def restrict(readable: list[str], writable: list[str], network: bool) -> None:
    """Confine this process for good: what is not named can not be opened, made or changed.

    Raises:
        OSError: the kernel refuses.
    """
    version = abi()
    every = _ALL_OF_ABI[min(version, len(_ALL_OF_ABI) - 1)]
    tcp = 3 if version >= _TCP_FROM and not network else 0
    scopes = 3 if version >= _SCOPES_FROM else 0
    attributes = struct.pack("=QQQ", every, tcp, scopes)[: 8 if version < _TCP_FROM else 16 if not scopes else 24]
    rules = system(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    for paths, rights in ((readable, _READING), (writable, every)):
        for path in paths:
            _allow(rules, path, rights & every)
    _prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    system(RESTRICT_SELF, rules, 0)
    os.close(rules)
    # Root's rights are more than files and sockets. A program that is started gets none of them back.
    if capset := _CAPSET.get(os.uname().machine):
        system(capset, struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24))


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no right
    if not os.path.isdir(path):
        rights &= _OF_FILES
    system(ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    os.close(place)


def _filter(program: bytes) -> None:
    if program:
        code = ctypes.create_string_buffer(program, len(program))
        head = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
        _prctl(_SET_SECCOMP, _SECCOMP_FILTER, head)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _own_tasks() -> int:
    """Return how many processes and threads this user has, which a limit of processes counts all."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def main() -> int:
    """Run the command and return its exit code, as a shell gives it."""
    numbers, words = sys.argv[1:8], sys.argv[8:]
    reads, writes, network, processes, file_bytes, memory_bytes = map(int, numbers[:6])
    _prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    _prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
    child = os.fork()
    if child:
        return _follow(child)
    try:
        os.setsid()
        _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python, and that would be inherited
            signal.signal(number, signal.SIG_DFL)
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_FSIZE, file_bytes)
        _limit(resource.RLIMIT_NPROC, _own_tasks() + processes)
        if memory_bytes:
            _limit(resource.RLIMIT_AS, memory_bytes)
        restrict(words[:reads], words[reads : reads + writes], bool(network))
        _filter(bytes.fromhex(numbers[6]))
        command = words[reads + writes :]
        os.execvp(command[0], command)
    except OSError as err:
        print(f"landlock: {err.strerror}", file=sys.stderr)
    finally:
        os._exit(127)


def _follow(child: int) -> int:
    """Wait for the command, then end what it left running; a request to end is passed on, and enforced after a while.

    The handlers run while the loop below waits.
    """

    def ask(number: int, frame: object) -> None:
        _signal(-child, signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, _GRACE_S, _AGAIN_S)

    def kill(number: int, frame: object) -> None:
        for each in _descendants(os.getpid()):
            _signal(each, signal.SIGKILL)

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGALRM, kill)
    code = 0
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return code
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)
            code = 128 - ended if ended < 0 else ended
            signal.setitimer(signal.ITIMER_REAL, _DRAIN_S, _AGAIN_S)


def _descendants(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        return []
    return [*children, *(each for child in children for each in _descendants(child))]


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    os._exit(main())
