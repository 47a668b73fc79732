"""Decisions about effects as events of the run, and how many more effects may happen unasked.

Used by the effect runner through the port `Decisions`.
"""

from __future__ import annotations

from ..core.events import Decided
from ..core.ports import CallRef, EventSink
from .store import RunStore


class RunDecisions:
    """Implements the port `Decisions` for one run; the events are the count, so it holds across a resume.

    Args:
        limit: effects that may happen without a person's word; None = no limit.
    """

    def __init__(self, store: RunStore, run_id: str, sink: EventSink, limit: int | None) -> None:
        self._sink = sink
        self._limit = limit
        stored = [record for record in store.events(run_id) if record.type == Decided.type]
        # A call that waits for a person is decided again when the run goes on.
        self._told = {(record.node, record.data["call_id"], record.data["verdict"]) for record in stored}
        self._unasked = sum(record.data["unasked"] for record in stored)

    def used_up(self) -> str:
        """Return why nothing more may happen unasked; "" = it may."""
        if self._limit is None or self._unasked < self._limit:
            return ""
        return f"this run has had its {self._limit} effects without a question (approvals.max_requests)"

    def tell(self, ref: CallRef, decided: Decided) -> None:
        """Store a decision; one that was stored for this call before counts once."""
        key = (ref.agent, ref.call_id, decided.verdict)
        if key in self._told:
            return
        self._told.add(key)
        self._unasked += decided.unasked
        self._sink.emit(ref.agent, decided)
