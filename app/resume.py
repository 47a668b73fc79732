"""Resuming runs: who may, before anything that takes time. Used by the CLI, the demo and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..core.errors import UsageError
from ..core.questions import Answer
from ..runs.lease import RunLease, take_lease
from ..runs.store import RunRow, RunStore
from .context import AppContext, Surface, runs_db

if TYPE_CHECKING:
    from ..runs.runner import Outcome


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """What `flow resume` was asked for.

    Attributes:
        ref: id, prefix or "last".
        answers: ids of open questions, each with its answer.
        force_graph: go on although the graph's file says something else now.
        models: settings of other models than the run had, such as {"models.coder": NAME}.
        compact: make the next conversation with a model smaller before anything is asked.
    """

    ref: str = "last"
    answers: tuple[tuple[str, Answer], ...] = ()
    force_graph: bool = False
    models: Mapping[str, str] = field(default_factory=dict)
    compact: bool = False
    max_tokens: int | None = None
    max_time_s: float | None = None
    max_cost: float | None = None
    max_model_calls: int | None = None
    max_node_runs: int | None = None


class Held(NamedTuple):
    """A run that this process may work on."""

    row: RunRow
    store: RunStore
    lease: RunLease


async def resume_run(context: AppContext, request: ResumeRequest, surface: Surface) -> Outcome:
    """Go on with a run that waits, was stopped, or whose process died.

    Raises:
        LeaseLost: another process took the run over, or may have; this one has written nothing since.
        FlowError: it cannot go on (finished, held by another process, changed graph); the run is as it was.
    """
    with RunStore(runs_db(context)) as store:
        row = _unfinished(store.find_run(request.ref, context.workspace))
        # Before anything that takes time: of several resumers all but one end here.
        with take_lease(store, row, on_lost=surface.stop.set) as lease:
            row = _unfinished(store.get_run(row.id))
            # Imported late: it takes longer than all the rest of what a refused resumer does.
            from .run import go_on

            return await go_on(context, request, surface, Held(row, store, lease))


def _unfinished(row: RunRow) -> RunRow:
    if row.status == "done":
        raise UsageError(f"Run {row.id} is done.", hint=f"See `flow runs show {row.id}`.")
    return row
