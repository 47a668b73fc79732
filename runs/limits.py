"""The limits of one run, checked before anything is spent. Nodes and the agent loop ask it as the port `StepGate`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import TypeVar

from ..core.errors import LimitReached, WallTimeReached
from ..core.prices import Prices
from ..core.run_ports import PlannedCall
from ..graphs.spec import Limits
from .rows import RunUsage, belongs_to, call_name, tally
from .store import RunStore

MIN_ANSWER = 1024
"""Tokens that must be left for an answer whose cap is not smaller itself: one that is cut is paid for and no use."""


@dataclass(frozen=True, slots=True)
class _OpenCall:
    """What is set aside for a call under way."""

    visit: str
    tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class _Budget:
    """What a budget has for an answer, in its own unit.

    Attributes:
        left: after all that was used, and the prompt.
        open: set aside for calls under way.
        used: what was used of how much, for a person.
        per_token: what a token of the answer takes.
    """

    left: float
    open: float
    used: str
    hint: str
    per_token: float = 1.0

    def cap(self, open: float) -> float:
        """Return the tokens of an answer that it holds beside what is set aside; below 0 = not even the prompt."""
        rest = self.left - open
        if rest < 0:
            return -1
        return rest / self.per_token if self.per_token else inf


class RunLimits:
    """Implements the port `StepGate` from the run's own events: what earlier processes used counts as well.

    Time counts while a process works on the run; neither pauses nor a person's thinking do.

    Args:
        limits: of the whole graph; None in it = no limit.
        prices: of the models.
        max_cost: of all model calls; None = no limit.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        store: RunStore,
        run_id: str,
        limits: Limits,
        *,
        prices: Prices | None = None,
        max_cost: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._limits = limits
        self._prices = prices or Prices()
        self._max_cost = max_cost
        self._clock = clock
        self._bounds: dict[str, Limits] = {}
        self._open: list[_OpenCall] = []
        self._freed = asyncio.Event()
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
            self._refuse(
                node, "node runs", usage.node_runs, self._limits.node_runs, self._by_option("--max-node-runs N")
            )
            for visit, limits in self._bounds_of(node):
                # A visit counts itself as one of its runs.
                used = usage.of_visit(visit).node_runs - 1
                self._refuse(node, "node runs", used, limits.node_runs, self._of_node("node_runs"), visit)
        return node not in usage.shown

    def before_tool(self, node: str, call_id: str) -> bool:
        """Return when the call may run: whether it is new since the run was started or resumed.

        Raises:
            LimitReached: the tool calls are used up. WallTimeReached: the time is.
        """
        usage, name = self._check(node), call_name(node, call_id)
        if name not in usage.open_tools:
            for visit, limits in self._bounds_of(node):
                used = usage.of_visit(visit).tool_calls
                self._refuse(node, "tool calls", used, limits.tool_calls, self._of_node("tool_calls"), visit)
        return name not in usage.shown

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
        """Let a visit and all that runs in it use no more than this; see core.run_ports.StepGate."""
        old = self._bounds.get(visit, Limits())
        self._bounds[visit] = Limits(
            node_runs=_least(old.node_runs, node_runs),
            model_calls=_least(old.model_calls, model_calls),
            tool_calls=_least(old.tool_calls, tool_calls),
            tokens=_least(old.tokens, tokens),
            wall_s=_least(old.wall_s, wall_s),
        )

    def release(self, visit: str) -> None:
        """Forget the bounds of a visit that ended."""
        self._bounds.pop(visit, None)

    def time_left(self, visit: str) -> float | None:
        """Return the seconds that the visit's own bound leaves it; None = it has none."""
        limit = self._bounds.get(visit, Limits()).wall_s
        return None if limit is None else max(limit - self._worked_s(visit, self.usage()), 0.0)

    def _worked_s(self, visit: str, usage: RunUsage) -> float:
        began = usage.of_visit(visit).began_s
        return 0.0 if began is None else self.active_s() - began

    def _bounds_of(self, label: str) -> list[tuple[str, Limits]]:
        """Return what is bound and holds the label, the widest first."""
        found = [(visit, limits) for visit, limits in self._bounds.items() if belongs_to(label, visit)]
        return sorted(found, key=lambda bound: len(bound[0]))

    @asynccontextmanager
    async def model_call(self, visit: str, planned: PlannedCall, key: str = "") -> AsyncIterator[int]:
        """Give the output cap that one more model call may be made with; see core.run_ports.StepGate.

        Raises:
            LimitReached: a budget is used up. WallTimeReached: the time is.
        """
        if key and key in self._check(visit).called:
            yield planned.max_tokens
            return
        cap = await self._granted(visit, planned)
        price = self._prices.of(planned.model)
        cost = price.of(planned.prompt_tokens, cap) if price else 0.0
        call = _OpenCall(visit, planned.prompt_tokens + cap, cost)
        self._open.append(call)
        try:
            yield cap
        finally:
            self._open.remove(call)
            self._freed.set()
            self._freed = asyncio.Event()

    async def _granted(self, visit: str, planned: PlannedCall) -> int:
        """Return the output cap, once every budget holds the call.

        Calls under way most often use less than is set aside for them: they are waited for where the call would fit
        without them.
        """
        floor = min(MIN_ANSWER, planned.max_tokens)
        while True:
            usage = self._check(visit)
            calls = usage.models.calls + len(self._open)
            self._refuse(
                visit, "model calls", calls, self._limits.model_calls, self._by_option("--max-model-calls N")
            )
            for bound, limits in self._bounds_of(visit):
                calls = usage.of_visit(bound).model_calls + self._open_in(bound)
                self._refuse(visit, "model calls", calls, limits.model_calls, self._of_node("model_calls"), bound)
            budgets = [*self._token_budgets(visit, planned, usage), *self._cost_budget(planned, usage)]
            for budget in budgets:
                if budget.cap(0.0) < floor:
                    raise LimitReached(
                        f"{budget.used}; the next request of {visit!r} needs about {planned.prompt_tokens:,} tokens "
                        f"and at least {floor:,} for its answer, so it was not sent.",
                        hint=budget.hint,
                    )
            cap = min([planned.max_tokens, *(budget.cap(budget.open) for budget in budgets)])
            if cap >= floor:
                return int(cap)
            await self._freed.wait()

    def _token_budgets(self, visit: str, planned: PlannedCall, usage: RunUsage) -> Iterator[_Budget]:
        if (limit := self._limits.tokens) is not None:
            used = usage.models.tokens
            yield _Budget(
                limit - used - planned.prompt_tokens,
                sum(call.tokens for call in self._open),
                f"The run has used {used:,} of at most {limit:,} tokens",
                self._by_option("--max-tokens N"),
            )
        for bound, limits in self._bounds_of(visit):
            if limits.tokens is not None:
                used = usage.of_visit(bound).tokens
                yield _Budget(
                    limits.tokens - used - planned.prompt_tokens,
                    sum(call.tokens for call in self._open if belongs_to(call.visit, bound)),
                    f"{bound!r} has used {used:,} of at most {limits.tokens:,} tokens",
                    self._of_node("tokens"),
                )

    def _open_in(self, bound: str) -> int:
        return sum(belongs_to(call.visit, bound) for call in self._open)

    def _cost_budget(self, planned: PlannedCall, usage: RunUsage) -> Iterator[_Budget]:
        if self._max_cost is None:
            return
        price = self._prices.of(planned.model)
        if price is None:
            raise unpriced(planned.model)
        used = usage.models.cost or 0.0
        yield _Budget(
            self._max_cost - used - price.of(planned.prompt_tokens, 0),
            sum(call.cost for call in self._open),
            f"The run has cost {used:,.4f} of at most {self._max_cost:,.4f}",
            self._by_option("--max-cost N"),
            price.of(0, 1),
        )

    def calls_left(self, visit: str, planned: PlannedCall) -> int | None:
        """Return how many more such calls the budgets hold, each with the least answer; None = there are none."""
        usage, nothing = self.usage(), replace(planned, prompt_tokens=0)
        answer = min(MIN_ANSWER, planned.max_tokens)
        held: list[float] = []
        if (limit := self._limits.model_calls) is not None:
            held.append(limit - usage.models.calls)
        for bound, limits in self._bounds_of(visit):
            if limits.model_calls is not None:
                held.append(limits.model_calls - usage.of_visit(bound).model_calls)
        size = planned.prompt_tokens + answer
        held += [budget.left / size for budget in self._token_budgets(visit, nothing, usage)]
        price = self._prices.of(planned.model)
        if self._max_cost is not None and price and (cost := price.of(planned.prompt_tokens, answer)):
            held += [budget.left / cost for budget in self._cost_budget(nothing, usage)]
        return max(int(min(held)), 0) if held else None

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
        usage = self.usage()
        for visit, limits in self._bounds_of(node):
            if limits.wall_s is not None and (used := self._worked_s(visit, usage)) >= limits.wall_s:
                raise WallTimeReached(
                    f"{visit!r} has worked {_duration(used)} of at most {_duration(limits.wall_s)}; stopped before "
                    f"{node!r}.",
                    hint=self._of_node("wall"),
                )
        return usage

    def _refuse(self, node: str, what: str, used: int, limit: int | None, hint: str, visit: str = "") -> None:
        if limit is not None and used >= limit:
            whose = repr(visit) if visit else "The run"
            raise LimitReached(
                f"{whose} has used {used:,} of at most {limit:,} {what}; stopped before {node!r}.", hint=hint
            )

    def _by_option(self, option: str) -> str:
        return f"Allow more with `flow resume {self._run_id} {option}`."

    def _of_node(self, name: str) -> str:
        place = "under `limits` of the node in the graph's file"
        return f"Raise {name!r} {place}, then `flow resume {self._run_id} --force-graph`."


_Number = TypeVar("_Number", int, float)


def _least(one: _Number | None, other: _Number | None) -> _Number | None:
    return min((each for each in (one, other) if each is not None), default=None)


def unpriced(model: str) -> LimitReached:
    """Return the error for a model without a price in a run whose cost is limited."""
    return LimitReached(
        f"The cost of the run is limited, and the model {model!r} has no price.",
        hint="Set one in models.prices; 0 for a model that costs nothing.",
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
