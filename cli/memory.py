"""`flow memory show` and `flow memory edit`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from ..core.errors import FlowError, UsageError
from .context import CliOptions, app_context
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..app.context import AppContext
    from ..app.memory import MemoryView, ShownMemory
    from ..app.memory_edit import MemoryEdit

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, help="Show and edit what agents are told at the start."
)

_HEAD = ("LAYER", "STATE", "PROMPT", "TOKENS", "BYTES", "FILE")
_NONE = "There are no memory files. `flow init` writes .agent.md, `flow memory edit user` opens your own notes."


@app.command("show")
def show(ctx: typer.Context) -> None:
    """List the memory files in the order in which agents are told them, and print what they are told.

    STATE is own (your notes), trusted, new or changed (not trusted, so not told) or unusable. PROMPT is whole, cut,
    "left out" (no room) or repeated (it says the same as an earlier file). Tokens are estimated.
    """
    from ..app.memory import view_memory

    options: CliOptions = ctx.obj
    view = view_memory(app_context(options))
    if options.json:
        files = [_facts(shown) for shown in view.files]
        print_json({"files": files, "budget": view.budget, "text": view.text})
    elif not view.files:
        print(_NONE)
    else:
        _print(view)


def _facts(shown: ShownMemory) -> dict[str, Any]:
    source = shown.source
    return {
        "name": source.name,
        "path": str(source.path),
        "layer": source.layer,
        "state": source.state,
        "problem": source.problem or None,
        "size_bytes": None if source.content is None else len(source.content),
        "tokens": shown.tokens,
        "prompt": shown.fit,
    }


def _print(view: MemoryView) -> None:
    from .runs import columns

    print("\n".join(columns([_HEAD, *map(_row, view.files)])))
    if view.text:
        print(f"\n{visible(view.text)}")
    if view.lost:
        print(f"flow: {visible(view.lost)}", file=sys.stderr)
    if any(shown.source.state in ("new", "changed") for shown in view.files):
        print("flow: What is not trusted is not told. `flow trust` lists and shows it.", file=sys.stderr)


def _row(shown: ShownMemory) -> tuple[str, ...]:
    source = shown.source
    size = "-" if source.content is None else f"{len(source.content):,}"
    problem = f" ({source.problem})" if source.problem else ""
    name = visible(source.name).replace("\n", "<U+000A>")
    return (source.layer, source.state, shown.fit or "-", f"{shown.tokens:,}", size, f"{name}{problem}")


@app.command("edit")
def edit(
    ctx: typer.Context,
    layer: str = typer.Argument("project", metavar="user|project|local|auto", help="Whose notes."),
) -> None:
    """Open a memory file in your editor (VISUAL, EDITOR, else vi).

    user: your notes for every project; project: .agent.md; local: .agent.local.md, yours in this project; auto: what
    agents remembered. What you changed is trusted as you leave it; a file that was not trusted before is asked for.
    """
    from ..app.memory_edit import editing
    from ..configs.memory import EDITABLE

    options: CliOptions = ctx.obj
    wanted = next((name for name in EDITABLE if name == layer), None)
    if wanted is None:
        raise UsageError(f"There is no memory {layer!r}.", hint=f"Choose one of {', '.join(EDITABLE)}.")
    context = app_context(options)
    command = _editor(options)
    with editing(context, wanted) as held:
        _open(command, str(held.path))
    if held.outcome == "untrusted":
        _ask_for(options, context, held)
    _tell(options, held)


def _editor(options: CliOptions) -> list[str]:
    """Return the editor's program and arguments.

    Raises:
        UsageError: none is set, it cannot be read, or there is no such program.
    """
    import shutil

    from .editor import DEFAULT, HINT, set_editor

    words = set_editor(options.env)
    if not words and not options.input_allowed:
        raise UsageError("No editor is set.", hint=HINT)
    name, *arguments = words or [DEFAULT]
    program = shutil.which(name, path=options.env.get("PATH"))
    if program is None:
        raise UsageError(f"The editor {name!r} was not found.", hint=HINT)
    return [os.path.abspath(program), *arguments]


def _open(command: list[str], path: str) -> None:
    import subprocess

    try:
        code = subprocess.run([*command, path], check=False).returncode
    except OSError as err:
        raise FlowError(f"The editor {command[0]!r} cannot be started: {err.strerror}.") from err
    if code:
        raise FlowError(
            f"The editor {command[0]!r} ended with code {code}; what it wrote is not trusted.",
            hint="`flow memory show` tells what agents are told.",
        )


def _ask_for(options: CliOptions, context: AppContext, held: MemoryEdit) -> None:
    from ..configs.project_files import ProjectFile
    from ..configs.trust import trust_command
    from .trust_asking import ask_each, listed

    if options.input_allowed:
        ask_each(context.trust, listed(context.trust, [ProjectFile(held.path, "instructions")], context.workspace))
    if context.trust.state(held.path) == "trusted":
        held.outcome = "written"
    else:
        print(
            f"flow: It was not trusted before. Look at all of it, then: {trust_command(held.path)}", file=sys.stderr
        )


def _tell(options: CliOptions, held: MemoryEdit) -> None:
    if options.json:
        print_json({"path": str(held.path), "layer": held.layer, "outcome": held.outcome})
    elif not options.quiet:
        said = {"written": "written; agents of later runs are told it", "untrusted": "written, not trusted"}
        print(f"{visible(str(held.path))}: {said.get(held.outcome, held.outcome)}", file=sys.stderr)
