"""Options that every command shares, read before any command is looked up; commands get them as `ctx.obj`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.errors import UsageError
from .printing import visible

if TYPE_CHECKING:
    from ..app.context import AppContext
    from ..app.surroundings import Setup

OUTPUTS = ("text", "json", "jsonl")

GLOBAL_OPTIONS = (
    ("-C DIR", "Work in DIR instead of the current folder."),
    ("-c KEY=VALUE", "Set one setting for this command (dotted key, TOML value); may be repeated."),
    ("-o text|json|jsonl", "Form of the answer on stdout."),
    ("-q", "No progress, only answers, questions and errors."),
    ("-v", "Say more; show the traceback of a bug."),
    ("--no-color", "No colours."),
    ("--no-input", "Never ask; an open question ends the command with exit code 4."),
    ("--version", "Print the version and end."),
)
"""What the help of `flow` says about the options below, form and meaning."""

_WITH_VALUE = ("-C", "-c", "-o")
_SWITCHES = ("-q", "-v", "--no-color", "--no-input")


@dataclass(frozen=True, slots=True)
class CliOptions:
    """The shared options of one command line.

    Attributes:
        directory: absolute folder the command works in; it exists.
        overrides: the texts of every `-c`, in order.
        output: "text", "json" or "jsonl".
        output_given: True when `-o` was on the command line, so that it beats the setting `output`.
        color: False when colours are not wanted; where True, still only on a terminal.
        input_allowed: True when a person can be asked: no `--no-input`, and stdin is a terminal.
        env: the environment, for settings and directories.
    """

    directory: Path
    env: Mapping[str, str]
    overrides: tuple[str, ...] = ()
    output: str = "text"
    output_given: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = True
    input_allowed: bool = False

    @property
    def json(self) -> bool:
        """True when stdout carries JSON, in one piece or in lines."""
        return self.output != "text"


class CommandLine(NamedTuple):
    """A command line without its shared options; `command` is what is left for the command table."""

    options: CliOptions
    command: list[str]
    version: bool


def read_command_line(argv: Sequence[str], env: Mapping[str, str], *, cwd: Path, stdin_is_tty: bool) -> CommandLine:
    """Return the shared options and the rest. They may stand before or after the command's name, up to a `--`.

    They are taken out here, not by typer: typer loads pydantic for every option that holds a value, which would
    triple the time of `flow --help`.

    Raises:
        UsageError: a missing or impossible value.
    """
    found: dict[str, list[str]] = {}
    rest: list[str] = []
    version = False
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += [word, *words]
            break
        if word in _SWITCHES:
            found.setdefault(word, []).append("")
        elif word in _WITH_VALUE:
            found.setdefault(word, []).append(_value(word, words))
        elif not rest and word[:2] in _WITH_VALUE and not word.startswith("--"):
            found.setdefault(word[:2], []).append(word[2:].removeprefix("="))
        elif word == "--version" and not rest:
            version = True
        else:
            rest.append(word)
    return CommandLine(_options(found, env, cwd, stdin_is_tty), rest, version)


def _value(option: str, words: list[str]) -> str:
    if not words:
        wanted = next(form for form, _ in GLOBAL_OPTIONS if form.startswith(f"{option} "))
        raise UsageError(f"The option {option} needs a value.", hint=f"Write it as: {wanted}")
    return words.pop(0)


def _options(found: Mapping[str, list[str]], env: Mapping[str, str], cwd: Path, stdin_is_tty: bool) -> CliOptions:
    return CliOptions(
        directory=_directory(found.get("-C", []), cwd),
        env=env,
        overrides=tuple(found.get("-c", ())),
        output=_output(found.get("-o", []), env),
        output_given="-o" in found,
        quiet="-q" in found,
        verbose="-v" in found,
        color="--no-color" not in found and not env.get("NO_COLOR") and env.get("TERM") != "dumb",
        input_allowed="--no-input" not in found and stdin_is_tty,
    )


def _directory(given: Sequence[str], cwd: Path) -> Path:
    directory = cwd
    for name in given:
        directory = directory / Path(name).expanduser()
    if not directory.is_dir():
        raise UsageError(f"-C {str(directory)!r} is not a folder.", hint="Name a folder that exists.")
    return directory.absolute()


def _output(given: Sequence[str], env: Mapping[str, str]) -> str:
    if not given:
        # A wrong FLOW_OUTPUT is reported where the settings are read, with the rest of the environment.
        return name if (name := env.get("FLOW_OUTPUT", "")) in OUTPUTS else "text"
    if given[-1] not in OUTPUTS:
        raise UsageError(f"-o {given[-1]!r} is not a form of output.", hint=f"Choose one of {', '.join(OUTPUTS)}.")
    return given[-1]


def load_setup(options: CliOptions, flags: Mapping[str, Any] | None = None) -> Setup:
    """Return the settings of this command with where they came from; notices are in `loaded.notices`, unprinted.

    Args:
        flags: dotted key -> value of the command's own options; a value of None was not given.

    Raises:
        ConfigError: settings that cannot be used.
    """
    from ..app.surroundings import load_setup as load

    output = options.output if options.output_given else None
    return load(options.directory, options.env, options.overrides, {"output": output, **(flags or {})})


def app_context(options: CliOptions, flags: Mapping[str, Any] | None = None) -> AppContext:
    """Return what the functions of app/ start from; notices about the settings go to stderr, unless -q.

    Args:
        flags: as for load_setup.

    Raises:
        ConfigError: settings that cannot be used.
    """
    setup = load_setup(options, flags)
    print_notices(options, setup.loaded.notices)
    return setup.context(options.directory)


def print_notices(options: CliOptions, notices: Sequence[str]) -> None:
    """Print what a person should know on stderr, one line each; nothing with -q."""
    if options.quiet:
        return
    for notice in notices:
        print(f"flow: {visible(notice)}", file=sys.stderr)
