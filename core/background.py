"""What is known of a command that runs in the background of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

JobState = Literal["running", "ended", "stopped", "gone"]
"""`stopped`: on request or with its run. `gone`: it was cut short, with its machine or by a kill."""


@dataclass(frozen=True, slots=True)
class BackgroundJob:
    """One command in the background.

    Attributes:
        number: from 1, in the order in which the jobs of the run were begun.
        agent, call_id: the call that began it.
        command: as one would type it, without secrets and anything invisible.
        pid: its process on this machine; 0 = there is none any more.
        began_at: seconds since 1970.
        seconds: how long it has run so far, or did; 0 where that is not known.
        exit_code: None unless it ended by itself; 128 + signal when a signal ended it.
    """

    number: int
    agent: str
    call_id: str
    command: str
    pid: int
    began_at: float
    state: JobState
    seconds: float = 0.0
    exit_code: int | None = None

    @property
    def is_running(self) -> bool:
        return self.state == "running"

    def status(self) -> str:
        """Return its state in a few words."""
        if self.state == "ended":
            return f"ended with exit code {self.exit_code}"
        if self.state == "gone":
            return "gone, cut short with its machine or by a kill"
        return f"running for {self.seconds:.0f} s" if self.is_running else "stopped"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)
