"""`flow resume`: go on with a run, or answer its question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .context import CliOptions, app_context

if TYPE_CHECKING:
    from ..app.context import AppContext
    from ..core.questions import Answer


def resume(
    ctx: typer.Context,
    ref: str = typer.Argument("last", metavar="RUN", help="Id of a run, its beginning, or last."),
    answer: str = typer.Option("", "--answer", metavar="[ID=]CHOICE", help="Answer an open question."),
    force_graph: bool = typer.Option(False, "--force-graph", help="Go on although the graph was changed."),
    compact: bool = typer.Option(False, "--compact", help="Make the conversation smaller first."),
    model: list[str] = typer.Option(
        None, "-m", "--model", metavar="[ROLE=]MODEL", help="Another model for one role, or for all."
    ),
    max_tokens: str = typer.Option(None, "--max-tokens", metavar="N", help="New limit of the run's tokens."),
    max_time: str = typer.Option(None, "--max-time", metavar="TIME", help="New limit of the run's time."),
    max_cost: str = typer.Option(None, "--max-cost", metavar="N", help="New limit of its cost."),
) -> int:
    """Go on with a run that was stopped, waits for an answer, lost its server, or whose process died."""
    from ..app.resume import ResumeRequest, resume_run
    from .amounts import read_amount, read_cost, read_duration
    from .run import read_models
    from .surface import drive

    options: CliOptions = ctx.obj
    context = app_context(options)
    request = ResumeRequest(
        ref=ref,
        answer=_answer(context, ref, answer) if answer else None,
        force_graph=force_graph,
        models=read_models(model or []),
        compact=compact,
        max_tokens=None if max_tokens is None else read_amount("--max-tokens", max_tokens),
        max_time_s=None if max_time is None else read_duration("--max-time", max_time),
        max_cost=None if max_cost is None else read_cost("--max-cost", max_cost),
    )
    return drive(options, context, lambda surface: resume_run(context, request, surface))


def _answer(context: AppContext, ref: str, text: str) -> tuple[str, Answer]:
    from ..app.context import runs_db
    from ..runs.store import RunStore
    from .asking import parse_answer

    with RunStore(runs_db(context)) as store:
        row = store.find_run(ref, context.workspace)
        question, answer = parse_answer(text, store.questions(row.id))
    return question.id, answer
