"""`flow run`: start a graph on this repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..core.errors import UsageError
from .context import CliOptions, app_context

if TYPE_CHECKING:
    from ..app.context import AppContext
    from ..app.run import RunRequest


def run(
    ctx: typer.Context,
    graph: str = typer.Argument(
        ..., metavar="GRAPH", help="Name of a graph, such as plan-and-code, or the path of a graph file."
    ),
    text: str = typer.Argument(
        None,
        metavar="[INPUT]",
        help="The graph's plain input, such as the task, in quotes; @PATH in it attaches a file.",
        show_default=False,
    ),
    inputs: list[str] = typer.Option(None, "-i", "--input", metavar="NAME=VALUE", help="One input; may be repeated."),
    input_file: str = typer.Option(None, "--input-file", metavar="FILE", help="Read the plain input; - is stdin."),
    model: list[str] = typer.Option(
        None, "-m", "--model", metavar="[ROLE=]MODEL", help="Model of one role, or of all; may be repeated."
    ),
    mode: str = typer.Option(None, "--mode", help="plan, ask, auto-edit or auto."),
    record: Path = typer.Option(None, "--record", metavar="FILE", help="Write the model's answers to a cassette."),
    replay: Path = typer.Option(None, "--replay", metavar="FILE", help="Answer from a cassette, without a model."),
    max_tokens: str = typer.Option(None, "--max-tokens", metavar="N", help="Tokens of the run; k and M may follow."),
    max_time: str = typer.Option(None, "--max-time", metavar="TIME", help="Time of the run, such as 30m."),
    max_cost: str = typer.Option(None, "--max-cost", metavar="N", help="Cost of the run, by models.prices."),
    max_model_calls: str = typer.Option(None, "--max-model-calls", metavar="N", help="Model calls of the run."),
    max_node_runs: str = typer.Option(None, "--max-node-runs", metavar="N", help="Visits of all its nodes together."),
    no_preflight: bool = typer.Option(
        False, "--no-preflight", help="Do not ask each model for one token before the run begins."
    ),
    worktree: bool = typer.Option(False, "--worktree", help="Work in a new checkout of the last commit."),
    dry_run: bool = typer.Option(
        False,
        "--dry-run",
        help="Show the route, the prompts' sizes, tools and limits; ask no server, change nothing.",
    ),
) -> int:
    """Run a graph. Its own inputs may also be given as options, such as --no-approve-plan or --task=TEXT.

    flow run GRAPH --help tells the inputs of a graph.
    """
    from ..app.run import RunRequest
    from .amounts import read_limits

    options: CliOptions = ctx.obj
    request = RunRequest(
        graph=graph_file(options, _graph(graph)),
        text=None if input_file is None else _text(options, input_file),
        text_is_read=input_file is not None,
        inputs=read_pairs(inputs or []),
        # Options of the graph, which are not known here, stand among the arguments in their order.
        words=(*(() if text is None else (text,)), *ctx.args),
        own_options=tuple(option for param in ctx.command.params for option in param.opts),
        record=_from(options, record),
        replay=_from(options, replay),
        worktree=worktree,
        **read_limits(
            {
                "--max-tokens": max_tokens,
                "--max-time": max_time,
                "--max-cost": max_cost,
                "--max-model-calls": max_model_calls,
                "--max-node-runs": max_node_runs,
            }
        ),
    )
    flags = {**read_models(model or []), "mode": mode, "models.preflight": False if no_preflight else None}
    return _begin(options, request, flags, dry_run=dry_run)


def _begin(options: CliOptions, request: RunRequest, flags: Mapping[str, object], *, dry_run: bool) -> int:
    """Start what was asked for, or show what it would do; return the exit code. `flags`: settings by their keys."""
    from ..app.run import start_run
    from .surface import drive
    from .trust_asking import ask_before_run

    # Before the settings are read: those of the repository may be among what is trusted now.
    ask_before_run(options, request.graph)
    context = app_context(options, flags)
    if dry_run:
        return _show_dry_run(options, context, request)
    return drive(options, context, lambda surface: start_run(context, request, surface))


def _show_dry_run(options: CliOptions, context: AppContext, request: RunRequest) -> int:
    import asyncio

    from ..app.dry_run import plan_run
    from .context import print_notices
    from .dry_run import dry_run_data, dry_run_lines
    from .printing import print_json, shows_lines

    planned = asyncio.run(plan_run(context, request))
    print_notices(options, planned.notices)
    if options.json:
        print_json(dry_run_data(planned), indent=2 if options.output == "json" else None)
    else:
        print("\n".join(dry_run_lines(planned, plain=not shows_lines())))
    return 0


def read_pairs(texts: list[str]) -> dict[str, str]:
    """Return NAME=VALUE texts as a map.

    Raises:
        UsageError: a text without `=`.
    """
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"-i {text!r} sets no input.", hint="Write it as -i NAME=VALUE.")
        pairs[name] = value
    return pairs


def read_models(texts: list[str]) -> dict[str, str]:
    """Return `-m` texts as settings; a text without a role names the model of every role.

    Raises:
        UsageError: a role that does not exist.
    """
    if not texts:
        # What follows imports the whole HTTP client, which a refused resume does without.
        return {}
    from ..app.models import model_flags

    choices = {}
    for text in texts:
        role, equals, name = text.partition("=")
        choices[role if equals else "main"] = name if equals else text
    return model_flags(choices)


def graph_file(options: CliOptions, name: str) -> str:
    """Return a file's path as seen from the folder the command works in, made absolute; a name as it is.

    Raises:
        UsageError: there is no such file.
    """
    file, colon, attribute = name.rpartition(":") if ".py:" in name else (name, "", "")
    if not (colon or "/" in name or name.endswith((".yaml", ".yml"))):
        return name
    path = os.path.abspath(options.directory / Path(file).expanduser())
    if not os.path.isfile(path):
        raise UsageError(
            f"There is no graph file {file!r}.", hint="Name a file that exists, or a graph such as plan-and-code."
        )
    return f"{path}{colon}{attribute}"


def _graph(word: str) -> str:
    if word.startswith("-"):
        raise UsageError(f"`flow run` begins with a GRAPH, got {word!r}.", hint="Write it as: flow run GRAPH [INPUT]")
    return word


def _text(options: CliOptions, input_file: str) -> str:
    if input_file == "-":
        import sys

        return sys.stdin.read()
    try:
        return (options.directory / input_file).read_text("utf-8")
    except OSError as err:
        raise UsageError(f"--input-file {input_file!r} cannot be read: {err.strerror}.") from err
    except UnicodeDecodeError as err:
        raise UsageError(f"--input-file {input_file!r} is not UTF-8 text.", hint="Save the file as UTF-8.") from err


def _from(options: CliOptions, path: Path | None) -> Path | None:
    return None if path is None else options.directory / path
