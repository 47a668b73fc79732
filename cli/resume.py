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
    answer: list[str] = typer.Option(
        None, "--answer", metavar="[ID=]CHOICE", help="Answer an open question; several with their ids."
    ),
    force_graph: bool = typer.Option(False, "--force-graph", help="Go on although the graph was changed."),
    compact: bool = typer.Option(False, "--compact", help="Make the conversation smaller first."),
    model: list[str] = typer.Option(
        None, "-m", "--model", metavar="[ROLE=]MODEL", help="Another model for one role, or for all."
    ),
    max_tokens: str = typer.Option(None, "--max-tokens", metavar="N", help="New limit of the run's tokens."),
    max_time: str = typer.Option(None, "--max-time", metavar="TIME", help="New limit of the run's time."),
    max_cost: str = typer.Option(None, "--max-cost", metavar="N", help="New limit of its cost."),
    max_model_calls: str = typer.Option(None, "--max-model-calls", metavar="N", help="New limit of its model calls."),
    max_node_runs: str = typer.Option(None, "--max-node-runs", metavar="N", help="New limit of its nodes' visits."),
) -> int:
    """Go on with a run that was stopped, waits for an answer, lost its server, or whose process died."""
    from ..app.resume import ResumeRequest, resume_run
    from .amounts import read_limits
    from .run import read_models
    from .surface import drive

    options: CliOptions = ctx.obj
    context = app_context(options)
    request = ResumeRequest(
        ref=ref,
        answers=_answers(context, ref, answer) if answer else (),
        force_graph=force_graph,
        models=read_models(model or []),
        compact=compact,
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
    return drive(options, context, lambda surface: resume_run(context, request, surface))


def _answers(context: AppContext, ref: str, texts: list[str]) -> tuple[tuple[str, Answer], ...]:
    from ..app.context import runs_db
    from ..core.errors import UsageError
    from ..runs.store import RunStore
    from .asking import parse_answer

    with RunStore(runs_db(context)) as store:
        row = store.find_run(ref, context.workspace)
        given = [parse_answer(text, store.questions(row.id)) for text in texts]
    ids = [question.id for question, _ in given]
    for place, name in enumerate(ids):
        if name in ids[:place]:
            raise UsageError(f"The question {name[:8]} is answered twice.", hint="Give one --answer for each.")
    return tuple((question.id, answer) for question, answer in given)
