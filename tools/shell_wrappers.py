"""Programs that run another command given as arguments: timeout, nice, env, command, bash -c, ..."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from .shell_programs import Reading, program_name
from .shell_words import Word

Wrapper = Callable[[Sequence[Word]], Reading]

_ASSIGNS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_HARMLESS_VALUE = re.compile(r"[A-Za-z0-9_.@,+-]*")
_HARMLESS_NAMES = frozenset(
    {"CI", "NODE_ENV", "FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}
    | {"TERM", "COLUMNS", "LINES", "RUST_BACKTRACE", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONHASHSEED"}
    | {"PYTHONUTF8", "DEBUG", "VERBOSE"}
)
_SHELLS = frozenset({"bash", "sh", "dash"})
_NEVER = {
    "eval": "eval runs text as commands",
    "source": "source runs a file",
    ".": "source runs a file",
    "exec": "exec replaces the shell",
    "sudo": "sudo runs it as another user",
    "doas": "doas runs it as another user",
    "su": "su runs it as another user",
    "trap": "trap runs text later",
    "alias": "alias changes what names mean",
    "builtin": "builtin is not looked through",
    "coproc": "coproc runs a command in the background",
    "setsid": "setsid takes a command out of reach",
    "nohup": "nohup is for commands that outlive this one",
    "parallel": "parallel runs commands that are put together from its input",
    "watch": "watch runs a command again and again",
    "script": "script writes a file",
    "let": "let calculates with names",
    "enable": "enable loads code into the shell",
    "hash": "hash changes what names mean",
}


def harmless_assignment(source: str) -> bool:
    """Tell whether NAME=value before a command changes nothing about what it runs or reads."""
    name, _, value = source.partition("=")
    return name in _HARMLESS_NAMES and _HARMLESS_VALUE.fullmatch(value) is not None


def unwrap(words: Sequence[Word]) -> Reading | None:
    """Return what a wrapper runs, or why that is not looked at; None = the program is no wrapper."""
    name = program_name(words[0])
    if name in _NEVER:
        return Reading(_NEVER[name], hides=True)
    if name in _SHELLS:
        return _shell(words)
    wrapper = _WRAPPERS.get(name)
    return wrapper(words) if wrapper is not None else None


def _inner(words: Sequence[Word], name: str) -> Reading:
    if not words:
        return Reading(f"{name} is given no command")
    return Reading(inner=(tuple(words),))


def _skipping(flags: str, takes: str = "") -> Callable[[Sequence[Word]], list[Word] | None]:
    """Return a function that drops known options; it gives None for one that is not known."""
    known, values = flags.split(), takes.split()

    def skip(words: Sequence[Word]) -> list[Word] | None:
        rest = list(words)
        while rest and rest[0].text.startswith("-"):
            option = rest.pop(0).text
            if option == "--":
                break
            if option in values and rest:
                rest.pop(0)
            elif option not in known and not any(
                option.startswith(f"{value}=") for value in values if len(value) > 2
            ):
                return None
        return rest

    return skip


_TIMEOUT = _skipping("--preserve-status --foreground -v --verbose", "-k --kill-after -s --signal")
_NICE = _skipping("", "-n --adjustment")
_TIME = _skipping("-p")
_STDBUF = _skipping("-oL -o0 -eL -e0 -i0 -iL", "-o -e -i --output --error --input")


def _timeout(words: Sequence[Word]) -> Reading:
    rest = _TIMEOUT(words[1:])
    if not rest or not re.fullmatch(r"[0-9.]+[smhd]?", rest[0].text):
        return Reading("timeout has an option that is not known", hides=True)
    return _inner(rest[1:], "timeout")


def _simple(skip: Callable[[Sequence[Word]], list[Word] | None]) -> Wrapper:
    def wrapper(words: Sequence[Word]) -> Reading:
        rest = skip(words[1:])
        name = words[0].text
        return Reading(f"{name} has an option that is not known", hides=True) if rest is None else _inner(rest, name)

    return wrapper


def _command(words: Sequence[Word]) -> Reading:
    if len(words) > 1 and words[1].text in ("-v", "-V"):
        return Reading()
    if len(words) > 1 and words[1].text.startswith("-"):
        return Reading("command has an option that is not known", hides=True)
    return _inner(words[1:], "command")


def _env(words: Sequence[Word]) -> Reading:
    rest = list(words[1:])
    while rest and rest[0].text in ("-i", "-", "--ignore-environment"):
        rest.pop(0)
    while rest and _ASSIGNS.match(rest[0].text):
        if not harmless_assignment(rest.pop(0).text):
            return Reading("env sets a variable that may change what runs", hides=True)
    if not rest:
        return Reading("env shows the whole environment")
    if rest[0].text.startswith("-"):
        return Reading("env has an option that is not known", hides=True)
    return _inner(rest, "env")


def _shell(words: Sequence[Word]) -> Reading:
    name = words[0].text
    if len(words) == 3 and re.fullmatch(r"-[elux]*c", words[1].text) and words[2].fixed:
        return Reading(script=words[2].text)
    return Reading(f"{name} runs commands that are not known", hides=True)


_WRAPPERS: Mapping[str, Wrapper] = {
    "command": _command,
    "env": _env,
    "ionice": _simple(_skipping("-t", "-c -n --class --classdata")),
    "nice": _simple(_NICE),
    "stdbuf": _simple(_STDBUF),
    "time": _simple(_TIME),
    "timeout": _timeout,
}


def runs_others(name: str) -> bool:
    """Tell whether a program runs commands that its arguments hold."""
    return name in _NEVER or name in _SHELLS or name in _WRAPPERS or name in _MORE


_MORE = frozenset({"xargs", "find", "fd", "zsh", "fish", "ksh", "busybox", "chroot", "flock", "strace", "unshare"})
