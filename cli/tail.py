"""`flow runs tail`: the events of a run as they come, whichever process works on it."""

from __future__ import annotations

import sys
import time
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
    """The clock of a view on events of any age: the seconds of the event that is shown, or the present's when there
    is none newer."""

    def __init__(self) -> None:
        self.now = 0.0
        self._caught_up = False

    def __call__(self) -> float:
        return max(self.now, time.time()) if self._caught_up else self.now

    def move(self, event: EventRecord) -> None:
        self.now = datetime.fromisoformat(event.at).timestamp()

    def wait(self, seconds: float) -> None:
        """Wait for further events: those there are were shown, so that time goes on by itself from here."""
        self._caught_up = True
        time.sleep(seconds)


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
        for event in follow(store, run_id, pause=clock.wait):
            clock.move(event)
            view = view or _progress(options, clock)
            view.record(event)
    except KeyboardInterrupt:
        # The run is another process's; nothing of it was stopped.
        return
    finally:
        if view is not None:
            view.close()


def _progress(options: CliOptions, clock: _EventTime) -> ProgressView:
    live = sys.stdout.isatty() and options.env.get("TERM") != "dumb" and options.color and not options.quiet
    return ProgressView(
        sys.stdout, live=live, board=live, color=options.color and live, verbose=options.verbose, clock=clock
    )
