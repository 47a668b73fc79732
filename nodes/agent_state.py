"""The state of one agent visit, as its checkpoints hold it."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from typing_extensions import TypedDict

from ..context.view import View


class AgentState(TypedDict, total=False):
    """State of one visit.

    `messages` only grows; `view` is what of them is sent (see context/view.py); `pending` holds the calls of the last
    reply that have not run; `measured` is what the server counted for the last request (see window.py), None after a
    compaction; `compacting` numbers the try of a compaction that comes next, 0 = none does; `jobs_told` numbers the
    ended jobs in the background that the model knows of; `reminded` is what reminders.Told keeps; `ratio` is how many
    tokens the model counts for one that is estimated (window.Ratio); `refused` is True from a request
    that the server had no room for to the next reply, and `granted` the window that it has (window.Granted);
    `unmet` is True once an answer was sent back since it would not do.
    """

    messages: Annotated[list[dict[str, Any]], operator.add]
    pending: list[dict[str, Any]]
    turn: int
    faults: int
    todos: list[dict[str, str]]
    files_before: dict[str, str]
    final: str | None
    structuring: bool
    measured: dict[str, Any] | None
    view: dict[str, Any]
    compacting: int
    jobs_told: list[int]
    reminded: dict[str, int]
    ratio: dict[str, Any]
    refused: bool
    granted: dict[str, Any]
    unmet: bool
    value: Any


def view_of(state: AgentState) -> View:
    """Return what of the conversation is sent."""
    return View.from_dict(state.get("view"))
