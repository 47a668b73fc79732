"""The room in which a join waits for branches that may still lead to it: a LangGraph node before the join itself."""

from __future__ import annotations

from typing import Any

from langgraph.constants import END as LANGGRAPH_END

from .routing import NOWHERE, Router, room_of

State = dict[str, Any]
Update = dict[str, Any]


class JoinStep:
    """Lets a join go on when nothing under way leads to it any more.

    It runs whenever a branch arrives, or leaves for elsewhere, so most often it lets nothing go on yet.
    """

    def __init__(self, join: str, router: Router) -> None:
        self._join = join
        self._room = room_of(join)
        self._router = router

    async def run(self, state: State) -> Update:
        """Return what this look at the join writes. Raises: RunFailed: a limit leads nowhere."""
        looks = state["visits"].get(self._room, 0) + 1
        update: Update = {"visits": {self._room: looks}}
        ways = NOWHERE if state.get("failed") else self._router.released(self._join, state)
        if not ways.targets:
            return update
        arrived = state["under_way"][self._room]
        moves = self._router.moves(self._room, ways, arrived)
        return {
            **update,
            "under_way": moves,
            "cursor": {self._room: {"passed": looks, "to": [*ways.targets, *ways.looks]}},
        }

    def follow(self, state: State) -> list[str]:
        """Return the LangGraph nodes that follow, once `run` has written."""
        mark = (state.get("cursor") or {}).get(self._room)
        if mark is None or mark["passed"] != state["visits"].get(self._room):
            return [LANGGRAPH_END]
        return list(mark["to"])
