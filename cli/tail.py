"""`flow runs tail`: the events of a run as they come, whichever process works on it."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

from .background import job_lines, running_jobs
from .printing import visible
from .render import JsonlView, ProgressView

if TYPE_CHECKING:
    from ..core.events import EventRecord
    from ..runs.store import RunStore
    from .context import CliOptions


class _EventTime:
    """The clock of a view on events of any age: the seconds of the event that is shown."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def move(self, event: EventRecord) -> None:
        self.now = datetime.fromisoformat(event.at).timestamp()


def show_events(store: RunStore, run_id: str, options: CliOptions) -> None:
    """Print what runs in the background now, then every event of the run, past ones first, until nobody works on it.

    Ctrl-C ends the looking alone. As JSON the events alone are printed.
    """
    from ..runs.steps import follow

    clock = _EventTime()
    if not options.json and (lines := job_lines(running_jobs(store, run_id))):
        print(visible("\n".join(lines)), flush=True)
    view: ProgressView | JsonlView | None = JsonlView(sys.stdout, sys.stderr) if options.json else None
    try:
        for event in follow(store, run_id):
            clock.move(event)
            view = view or ProgressView(sys.stdout, verbose=options.verbose, clock=clock)
            view.record(event)
    except KeyboardInterrupt:
        # The run is another process's; nothing of it was stopped.
        return
