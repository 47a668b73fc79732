"""`flow init`: write down what agents should know of this repository, as far as its files tell it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from ..core.errors import Denied
from .context import CliOptions, app_context
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..app.init import InitPlan

WAITING = 4


def init(
    ctx: typer.Context,
    yes: bool = typer.Option(False, "--yes", help="Write without asking."),
    force: bool = typer.Option(False, "--force", help="Replace an .agent.md that says something else."),
) -> int:
    """Write .agent.md from this repository's own files: languages, commands, folders, entry points, conventions.

    No model is asked. Agents of later runs are told it; it is yours to edit (`flow memory edit`). .agent.local.md,
    for your own notes, is added to .gitignore. The difference is shown and asked for; without a terminal that takes
    --yes.
    """
    from ..app.init import apply_init, plan_init

    options: CliOptions = ctx.obj
    context = app_context(options)
    plan = plan_init(context, force=force)
    is_done = bool(plan.files) and (yes or options.input_allowed)
    if plan.files and not (yes and options.quiet) and not options.json:
        print(_diffs(plan), end="", file=sys.stderr if is_done else sys.stdout)
    if is_done:
        if not yes and not _confirmed():
            raise Denied("Nothing was written.")
        apply_init(context, plan)
    _tell(options, plan, done=is_done)
    return 0 if is_done or not plan.files else WAITING


def _diffs(plan: InitPlan) -> str:
    return "".join(file.diff for file in plan.files)


def _confirmed() -> bool:
    sys.stderr.write("Write this? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes", "ｙ", "はい")


def _tell(options: CliOptions, plan: InitPlan, *, done: bool) -> None:
    for note in plan.notes:
        print(f"flow: {visible(note)}", file=sys.stderr)
    if plan.files and not done:
        print("flow: Nothing was written: there is nobody to ask. --yes does it.", file=sys.stderr)
    if options.json:
        print_json(_facts(plan, done=done))
    elif not plan.files:
        print("There is nothing to write: .agent.md is up to date.")
    elif done:
        print("\n".join(f"{'Created' if file.before is None else 'Changed'} {file.name}" for file in plan.files))


def _facts(plan: InitPlan, *, done: bool) -> dict[str, Any]:
    files = [
        {"path": file.name, "action": "create" if file.before is None else "change", "diff": file.diff}
        for file in plan.files
    ]
    return {"done": done, "files": files, "notes": list(plan.notes)}
