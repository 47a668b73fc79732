"""Ports of a run's bookkeeping: what holds it to its limits, and which visits have ended. See ports.py."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol


class VisitEnds(Protocol):
    """Keeps what visits came to until a checkpoint holds it, so that none whose end was told is made again."""

    def find(self, visit: str) -> dict[str, Any] | None:
        """Return what a visit wrote that ended before this process began; None = it did not."""
        ...

    def keeping(self, visit: str, graph: str, update: dict[str, Any]) -> AbstractContextManager[None]:
        """Return a block whose events are on disk together with what the visit wrote, or not at all.

        Args:
            graph: path of the invocation of the visit's graph, "" at the top.
        """
        ...


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """What a model call will use at most, in tokens.

    Attributes:
        prompt_tokens: never below what will be counted.
        max_tokens: output cap.
    """

    model: str
    prompt_tokens: int
    max_tokens: int


class StepGate(Protocol):
    """Checked before anything is spent."""

    def before_node(self, node: str) -> bool:
        """Return whether the visit is new to this process: after a question a node runs again from its top.

        A visit that began before is not held to the number of node runs again.

        Raises:
            LimitReached, WallTimeReached.
        """
        ...

    def before_tool(self, node: str, call_id: str) -> bool:
        """Return whether the call is new to this process, as for nodes.

        Raises:
            LimitReached, WallTimeReached.
        """
        ...

    def bound(
        self,
        visit: str,
        tokens: int | None = None,
        *,
        node_runs: int | None = None,
        model_calls: int | None = None,
        tool_calls: int | None = None,
        wall_s: float | None = None,
    ) -> None:
        """Let a visit, its sub-agents and the graph that it runs use no more than this in all; None = as before.

        Args:
            wall_s: seconds in which the run is worked on.
        """
        ...

    def release(self, visit: str) -> None:
        """Forget the bounds of a visit that ended; one that has none is left alone."""
        ...

    def time_left(self, visit: str) -> float | None:
        """Return the seconds that the visit's own bound leaves it, 0 when it is used up; None = it has none."""
        ...

    def calls_left(self, visit: str, planned: PlannedCall) -> int | None:
        """Return how many more such calls the budgets hold, each with a short answer; None = no budget is set."""
        ...

    def model_call(self, visit: str, planned: PlannedCall, key: str = "") -> AbstractAsyncContextManager[int]:
        """Return a block in which the call may be made; it gives the output cap, which is lowered to what is left.

        What the call may use is set aside until the block ends: calls side by side do not pass a limit together. One
        that was made and counted before a kill may be made, whatever is used up.

        Args:
            visit: the visit's label.
            key: name of the call; "" = it has none.

        Raises:
            LimitReached: what is left does not hold the prompt and an answer of some length. WallTimeReached.
        """
        ...
