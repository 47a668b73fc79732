"""A system call filter for sandboxed commands: what namespaces do not keep apart is refused.

Refused are kernel keyrings (one session's keys are everybody's), sockets of families that know no network namespace
(vsock reaches the host of a virtual machine), files that run with their owner's rights whoever starts them, nested
user namespaces, and interfaces that builds do without and kernels get broken by.

Source: seccomp(2), bpf(4); the calls of Docker's default profile that need no privilege.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import NamedTuple

_LOAD, _EQUAL, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""BPF: load a word, jump if equal, if not below, if a bit is set; return."""
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000
"""Numbers from here on are a second way to call x86-64 kernels."""
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_FAMILIES = (1, 2, 10, 16)
"""unix, inet, inet6, netlink: each has its own world in a network namespace, or needs a path."""
_LOCAL = (1, 16)
_SET_USER = 0o4000
_NEW_USER = 0x10000000
_CREATES = 0o100 | 0o20000000
"""O_CREAT and O_TMPFILE: only with one of them a mode is given."""


class _Machine(NamedTuple):
    """A machine's name in a filter and its numbers of calls.

    Attributes:
        refused: keyctl, add_key, request_key, bpf, perf_event_open, userfaultfd, io_uring_setup, kexec_load.
        absent: openat2 and clone3, whose arguments a filter can not see; programs do without on older kernels.
        flags: calls that make namespaces, and which argument says so.
        modes: calls that give a file a mode, and which argument that is.
        opens: calls that do so when they create one, with the arguments that say so and the mode.
    """

    arch: int
    socket: int
    ioctl: int
    refused: tuple[int, ...]
    absent: tuple[int, ...]
    flags: tuple[tuple[int, int], ...]
    modes: tuple[tuple[int, int], ...]
    opens: tuple[tuple[int, int, int], ...]


_MACHINES = {
    "x86_64": _Machine(
        arch=0xC000003E,
        socket=41,
        ioctl=16,
        refused=(250, 248, 249, 321, 298, 323, 425, 246),
        absent=(437, 435),
        flags=((272, 0), (56, 0)),  # unshare, clone
        # chmod, fchmod, fchmodat, fchmodat2, creat, mknod, mknodat
        modes=((90, 1), (91, 1), (268, 2), (452, 2), (85, 1), (133, 1), (259, 2)),
        opens=((2, 1, 2), (257, 2, 3)),
    ),
    "aarch64": _Machine(
        arch=0xC00000B7,
        socket=198,
        ioctl=29,
        refused=(219, 217, 218, 280, 241, 282, 425, 104),
        absent=(437, 435),
        flags=((97, 0), (220, 0)),
        modes=((52, 1), (53, 2), (452, 2), (33, 2)),
        opens=((56, 2, 3),),
    ),
}


def syscall_filter(machine: str = "", *, sockets: bool = True) -> bytes:
    """Return the filter as the kernel takes it; b"" = none is known for this machine.

    Args:
        machine: as uname gives it; "" = this one.
        sockets: False = no internet sockets at all, for where no network namespace keeps them apart.
    """
    known = _MACHINES.get(machine or os.uname().machine)
    if known is None:
        return b""
    steps = [*_loaded(_ARCH_AT), *_unless(_EQUAL, known.arch, errno.ENOSYS)]
    steps += [*_loaded(_NUMBER_AT), *_if(_AT_LEAST, _X32, errno.ENOSYS)]
    for number in known.refused:
        steps += _if(_EQUAL, number, errno.EPERM)
    for number in known.absent:
        steps += _if(_EQUAL, number, errno.ENOSYS)
    for number, flags in known.flags:
        steps += _only_for(number, [*_argument(flags), *_if(_HAS, _NEW_USER, errno.EPERM)])
    for number, mode in known.modes:
        steps += _only_for(number, [*_argument(mode), *_if(_HAS, _SET_USER, errno.EPERM)])
    for number, flags, mode in known.opens:
        refused = [*_argument(mode), *_if(_HAS, _SET_USER, errno.EPERM)]
        steps += _only_for(number, [*_argument(flags), _step(_HAS, _CREATES, 0, len(refused)), *refused])
    typed = [*_if(_EQUAL, _TIOCSTI, errno.EPERM), *_if(_EQUAL, _TIOCLINUX, errno.EPERM)]
    steps += _only_for(known.ioctl, [*_argument(1), *typed])
    opened = [*_argument(0), *_one_of(_FAMILIES if sockets else _LOCAL), *_returned(_ERRNO | errno.EAFNOSUPPORT)]
    steps += _only_for(known.socket, opened)
    return b"".join(steps + _returned(_ALLOW))


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _loaded(offset: int) -> list[bytes]:
    return [_step(_LOAD, offset)]


def _returned(value: int) -> list[bytes]:
    return [_step(_RETURN, value)]


def _if(test: int, value: int, error: int) -> list[bytes]:
    """Refuse with the error when the word passes the test."""
    return [_step(test, value, 0, 1), *_returned(_ERRNO | error)]


def _unless(test: int, value: int, error: int) -> list[bytes]:
    return [_step(test, value, 1, 0), *_returned(_ERRNO | error)]


def _one_of(values: tuple[int, ...]) -> list[bytes]:
    """Allow when the word is one of the values."""
    return [step for value in values for step in (_step(_EQUAL, value, 0, 1), *_returned(_ALLOW))]


def _argument(place: int) -> list[bytes]:
    """Load the lower half of an argument, which all of those looked at here fit into."""
    return _loaded(_ARGUMENTS_AT + 8 * place)


def _only_for(number: int, steps: list[bytes]) -> list[bytes]:
    """Take the steps for this call alone; what they do not decide is allowed."""
    whole = [*steps, *_returned(_ALLOW)]
    return [_step(_EQUAL, number, 0, len(whole)), *whole]
