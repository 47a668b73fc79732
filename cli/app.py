"""The `flow` command: shared options, the table of commands, and the border where errors become exit codes.

A command is one row of COMMANDS: its name, the function or `typer.Typer` behind it as "module:name" of this folder,
and its line of help. The module is imported when the command is called or its own help is shown, never for
`flow --help`. A function takes typer's arguments and, as `ctx: typer.Context`, the shared options (`ctx.obj`, a
CliOptions). It returns None or its exit code, raises FlowError for a person, and keeps its heavy imports inside.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from ..core.errors import FlowError, UsageError
from ..core.programs import safe_path
from .context import GLOBAL_OPTIONS, CliOptions, read_command_line

INTERRUPTED = 130

_HELP = ("-h", "--help")


class CommandEntry(NamedTuple):
    """One command.

    Attributes:
        open_options: options it does not declare reach it in `ctx.args` (a graph's own inputs).
        more_help: "module:function" that returns, for the words behind the command, what its help has to add.
    """

    name: str
    target: str
    help: str
    open_options: bool = False
    more_help: str = ""


COMMANDS = (
    CommandEntry("run", "run:run", "Run a graph on this repository.", True, "input_help:input_help"),
    CommandEntry("resume", "resume:resume", "Go on with a run that was stopped, or answer its question."),
    CommandEntry("undo", "undo:undo", "Take back the last commit of flow, or what a run wrote."),
    CommandEntry("runs", "runs:app", "List, show and remove runs."),
    CommandEntry("graphs", "graphs:app", "List, check, draw and test graphs."),
    CommandEntry("demo", "demo:demo", "Watch a small repository being mended, with or without a model."),
    CommandEntry("doctor", "doctor:doctor", "Check this machine: programs, model server, model, folders."),
    CommandEntry("models", "models:app", "List, choose, download and test models."),
    CommandEntry("search", "search:search", "Find files and definitions of this repository."),
    CommandEntry("map", "map:show_map", "Show the files that matter most, as outlines, or draw what uses what."),
    CommandEntry("index", "index:app", "Build, show and delete the index of the code."),
    CommandEntry("docs", "docs:app", "Add documents (Markdown, PDF, Word, ...) and search them."),
    CommandEntry("ask", "ask:ask", "Answer a question from the documents, with its sources."),
    CommandEntry("tools", "tools:app", "List the tools agents have, or call one."),
    CommandEntry("prompts", "prompts:app", "Show what a model is sent by a node, and what it costs."),
    CommandEntry("permissions", "permissions:app", "Tell whether a shell command would be asked for."),
    CommandEntry("config", "config:app", "Show settings and where they come from."),
    CommandEntry("init", "init:init", "Write .agent.md, what agents should know of this repository."),
    CommandEntry("memory", "memory:app", "Show and edit what agents are told at the start of every run."),
    CommandEntry("trust", "trust:trust", "Let files of this repository act: settings, graphs, code, instructions."),
    CommandEntry("completion", "completion:completion", "Print the completion script of a shell.", open_options=True),
    CommandEntry("version", "version:version", "Print the version."),
)

_SUMMARY = "Multi-agent coding workflows on your own machine and your own models."
_CODES = (
    "Exit codes: 0 done, 1 failed, 2 usage or settings, 3 limit reached, 4 waiting for a person, 5 no model server "
    "or model, 6 graph invalid, 7 denied, 124 out of time, 130 interrupted (saved)."
)


class CommandTable(TyperGroup):
    """The top of the command line; its commands are built when they are needed.

    Contexts and commands are typer's internal classes, which it gives no public name; hence Any.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the built command.

        Raises:
            UsageError: no such command, with the names near it.
        """
        entry = next((entry for entry in COMMANDS if entry.name == cmd_name), None)
        if entry is None:
            raise _unknown_command(cmd_name)
        return _build(entry)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Options (before or after the command)"):
            formatter.write_dl([*GLOBAL_OPTIONS, ("-h, --help", "Show this help, or that of a command, and end.")])
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.help) for entry in COMMANDS])


def _unknown_command(name: str) -> UsageError:
    from difflib import get_close_matches

    near = get_close_matches(name, [entry.name for entry in COMMANDS])
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "`flow --help` lists the commands."
    return UsageError(f"There is no command {name!r}.", hint=hint)


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(f".{module}", __package__), name)


def _build(entry: CommandEntry) -> Any:
    target = _imported(entry.target)
    if isinstance(target, typer.Typer):
        # Set here, since typer would load rich for a sub-app that forgot to say so.
        target.rich_markup_mode = None
        command = typer.main.get_command(target)
    else:
        holder = typer.Typer(rich_markup_mode=None, add_completion=False)
        settings = {"allow_extra_args": True, "ignore_unknown_options": True} if entry.open_options else None
        holder.command(entry.name, context_settings=settings)(target)
        command = typer.main.get_command(holder)
    command.name = entry.name
    _without_help_option(command)
    return command


def _without_help_option(command: Any) -> None:
    # Typer loads pydantic to read a help option that is not given; _show_help does its work.
    command.add_help_option = False
    for inner in getattr(command, "commands", {}).values():
        _without_help_option(inner)


def main() -> None:
    """Run the command line of this process and end it with its exit code."""
    # Importing LangGraph makes 200,000 objects that live to the end; with Python's own thresholds the collector
    # walks them again and again, a fifth of the CPU time of a short run. 3,000 of them are garbage.
    gc.set_threshold(300_000, 10, 10)
    # Without its own command line, an optional extra, httpx loads neither rich nor pygments nor click: a tenth of the
    # CPU time until the first model request. None is Python's own mark for a module that cannot be imported, which
    # httpx takes for the extra not being there.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # typed as if None could not stand there
    # A path or a model's text can hold what the terminal's encoding cannot show; that must not end a command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    os.environ["PATH"] = safe_path(os.environ.get("PATH", ""))
    code = run_command_line(sys.argv[1:], os.environ)
    # An ending interpreter collects garbage twice: it need not walk what is about to be given back as a whole.
    gc.freeze()
    sys.exit(code)


def run_command_line(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run one command line in the current folder and return its exit code; errors are printed, not raised."""
    options: CliOptions | None = None
    try:
        stdin_is_tty = sys.stdin is not None and sys.stdin.isatty()
        options, command, version = read_command_line(argv, env, cwd=Path.cwd(), stdin_is_tty=stdin_is_tty)
        return _run(["version"] if version else command, options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except FlowError as err:
        return _report(options, type(err).__name__, err.message, err.hint, err.exit_code)
    except typer.TyperException as err:
        return _report(options, "UsageError", err.format_message(), _help_hint(err), err.exit_code)
    except typer.Abort:
        return _report(options, "Abort", "Stopped: there was no answer.", "", 1)
    except BrokenPipeError:
        return _leave_pipe()
    except Exception as err:  # noqa: BLE001 - the border: a bug becomes one line and an exit code
        return _report_bug(options, err)


def _run(command: list[str], options: CliOptions) -> int:
    table = CommandTable(name="flow", help=_SUMMARY, epilog=_CODES, rich_markup_mode=None, add_help_option=False)
    words = command[: command.index("--")] if "--" in command else command
    if not command or words[:1] == ["help"] or any(word in _HELP for word in words):
        _show_help(table, options, [word for word in words if word not in (*_HELP, "help")])
        return 0
    try:
        with table.make_context("flow", command, obj=options) as ctx:
            result = table.invoke(ctx)
    except typer.Exit as end:
        result = end.exit_code
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _show_help(table: CommandTable, options: CliOptions, words: list[str]) -> None:
    """Print the help of the innermost command that the words name, and what it adds for the words that follow."""
    command: Any = table
    context = typer.Context(command, info_name="flow")
    rest = list(words)
    while rest and isinstance(command, TyperGroup):
        inner = command.get_command(context, rest[0])
        if inner is None:
            break
        context = typer.Context(inner, parent=context, info_name=rest.pop(0))
        command = inner
    print(command.get_help(context))
    entry = next((entry for entry in COMMANDS if words and entry.name == words[0]), None)
    if entry is not None and entry.more_help and rest:
        print(_imported(entry.more_help)(options, command, rest), end="")
    if command is not table:
        print("\nOptions that every command has: flow --help")


def _help_hint(err: typer.TyperException) -> str:
    context = getattr(err, "ctx", None)
    if context is None:
        return ""
    group = context.command if isinstance(context.command, TyperGroup) else None
    names = f"Commands: {', '.join(group.list_commands(context))}. " if group is not None else ""
    return f"{names}See: {context.command_path} --help"


def _report(options: CliOptions | None, kind: str, message: str, hint: str, exit_code: int) -> int:
    """Print an error on stderr, and as JSON on stdout where that was asked for; return the exit code."""
    print(f"flow: {message}", file=sys.stderr)
    if hint:
        print(hint, file=sys.stderr)
    if options is not None and options.json:
        import json

        error = {"type": kind, "message": message, "hint": hint, "exit_code": exit_code}
        print(json.dumps({"error": error}, ensure_ascii=False), flush=True)
    return exit_code


def _report_bug(options: CliOptions | None, err: Exception) -> int:
    if options is not None and options.verbose:
        import traceback

        traceback.print_exception(err)
        return _report(options, type(err).__name__, f"bug: {type(err).__name__}: {err}", "", 1)
    hint = "This is a fault of flow itself. Run it again with -v to see where."
    return _report(options, type(err).__name__, f"bug: {type(err).__name__}: {err}", hint, 1)


def _leave_pipe() -> int:
    """End quietly when the reader of stdout is gone (`flow runs list | head`)."""
    # Python flushes stdout once more at its end, which would print a second complaint.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
