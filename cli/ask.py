"""`flow ask`: a question to the documents, answered with its sources; `flow run docs-qa` in short."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from ..core.errors import UsageError
from .context import CliOptions, app_context

if TYPE_CHECKING:
    from ..app.context import Surface
    from ..runs.runner import Outcome


def ask(
    ctx: typer.Context,
    question: str = typer.Argument(..., metavar="QUESTION", help="In any language, in quotes."),
    sources: list[str] = typer.Option(
        None, "--in", metavar="NAME|GLOB", help="Look in this collection, or in paths like these; may be repeated."
    ),
    model: list[str] = typer.Option(
        None, "-m", "--model", metavar="[ROLE=]MODEL", help="Model of one role, or of all; may be repeated."
    ),
    no_preflight: bool = typer.Option(
        False, "--no-preflight", help="Do not ask each model for one token before the question."
    ),
) -> int:
    """Answer a question from the documents that you added, with the sources of every statement.

    Nothing is passed on that the documents do not bear out: each statement is cited, each citation is looked up. What
    they do not say is told as such, with the nearest passages.
    """
    from ..app.run import RunRequest, start_run
    from .run import read_models
    from .surface import drive
    from .trust_asking import ask_before_run

    options: CliOptions = ctx.obj
    if not question.strip():
        raise UsageError("The question is missing.", hint='Write it as: flow ask "QUESTION"')
    ask_before_run(options)
    # It reads alone, so it may run beside a run that changes files.
    flags = {"mode": "plan", "models.preflight": False if no_preflight else None}
    context = app_context(options, {**read_models(model or []), **flags})
    request = RunRequest("docs-qa", inputs={"question": question, "sources": list(sources or [])})

    async def asked(surface: Surface) -> Outcome:
        # What others change meanwhile is none of its business.
        return replace(await start_run(context, request, surface), diff="")

    return drive(options, context, asked)
