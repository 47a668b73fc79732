"""The limits of one run, checked before anything is spent. Nodes and the agent loop ask it as the port `StepGate`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..core.errors import LimitReached, WallTimeReached
from ..graphs.spec import Limits
from .rows import RunUsage, call_name, tally
from .store import RunStore


class RunLimits:
    """Implements the port `StepGate` from the run's own events: what earlier processes used counts as well.

    Time counts while a process works on the run; neither pauses nor a person's thinking do.

    Args:
        limits: of the whole graph; None in it = no limit.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        store: RunStore,
        run_id: str,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._limits = limits
        self._clock = clock
        self._usage = store.usage(run_id)
        self._earlier_s = self._usage.active_s
        self._began = clock()
        self._paused_s = 0.0

    def before_node(self, node: str) -> bool:
        """Return when the node may run: whether its visit is new since the run was started or resumed.

        Raises:
            LimitReached: a budget is used up. WallTimeReached: the time is.
        """
        usage = self._check(node)
        if node not in usage.unfinished:
            self._refuse(node, "node runs", usage.node_runs, self._limits.node_runs, self._in_the_graph("node_runs"))
        return node not in usage.shown

    def before_tool(self, node: str, call_id: str) -> bool:
        """Return when the call may run: whether it is new since the run was started or resumed.

        Raises:
            WallTimeReached: the time is used up.
        """
        return call_name(node, call_id) not in self._check(node).shown

    def before_model_call(self, node: str, key: str = "") -> None:
        """Return when one more model call may be made.

        Args:
            key: name of the call; one that was counted before a kill is not held to the limits again. "" = none.

        Raises:
            LimitReached: a budget is used up. WallTimeReached: the time is.
        """
        usage = self._check(node)
        if key and key in usage.called:
            return
        self._refuse(
            node, "model calls", usage.model_calls, self._limits.model_calls, self._in_the_graph("model_calls")
        )
        self._refuse(node, "tokens", usage.tokens, self._limits.tokens, self._by_option("--max-tokens N"))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside the `with` out of the count: a person is being asked."""
        began = self._clock()
        try:
            yield
        finally:
            self._paused_s += self._clock() - began

    def usage(self) -> RunUsage:
        """Return what the run has used until now, all its processes together."""
        self._usage = tally(self._store.events(self._run_id, after=self._usage.last_seq), self._usage)
        return self._usage

    def active_s(self) -> float:
        """Return the seconds in which the run was worked on until now, all its processes together."""
        return self._earlier_s + self._clock() - self._began - self._paused_s

    def _check(self, node: str) -> RunUsage:
        limit = self._limits.wall_s
        if limit is not None and (used := self.active_s()) >= limit:
            raise WallTimeReached(
                f"The run has worked {_duration(used)} of at most {_duration(limit)}; stopped before {node!r}.",
                hint=self._by_option("--max-time TIME"),
            )
        return self.usage()

    def _refuse(self, node: str, what: str, used: int, limit: int | None, hint: str) -> None:
        if limit is not None and used >= limit:
            raise LimitReached(
                f"The run has used {used:,} of at most {limit:,} {what}; stopped before {node!r}.",
                hint=hint,
            )

    def _by_option(self, option: str) -> str:
        return f"Allow more with `flow resume {self._run_id} {option}`."

    def _in_the_graph(self, name: str) -> str:
        return f"Raise {name!r} under `limits` in the graph's file, then `flow resume {self._run_id} --force-graph`."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
