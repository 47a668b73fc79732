"""What one visit of a node is held to: its time, its limits, and when a failed one is tried again. Called by
node_step.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from ..core.errors import Denied, FlowError, ModelFault, ModelUnavailable, RunFailed, TookTooLong, WallTimeReached
from ..core.run_ports import StepGate
from ..nodes.call import NodeResult
from .spec import MODEL_NODES, Limits, NodeSpec, Retry

MAX_PAUSE_S = 300.0
"""Longest pause before a visit is tried again."""

_OWN_TIMEOUT = frozenset({"shell"})
"""Types that end their work in time by themselves, and tell what it came to until then."""
_OWN_STEPS = MODEL_NODES | {"graph"}
"""Types whose visits have steps of their own; a limit of time is looked at between these."""


def bounded(gate: StepGate, visit: str, node: NodeSpec) -> AbstractContextManager[None]:
    """Hold a visit, and all that runs in it, to the node's limits; a graph that it runs may add its own."""
    return nullcontext() if node.type != "graph" and node.limits == Limits() else _held(gate, visit, node)


@contextmanager
def _held(gate: StepGate, visit: str, node: NodeSpec) -> Iterator[None]:
    limits = node.limits
    # An agent counts its own calls, and tells its model how many are left.
    model_calls = None if node.type in MODEL_NODES else limits.model_calls
    gate.bound(visit, limits.tokens, model_calls=model_calls, tool_calls=limits.tool_calls, wall_s=limits.wall_s)
    try:
        yield
    finally:
        gate.release(visit)


async def in_time(node: NodeSpec, visit: str, gate: StepGate, work: Awaitable[NodeResult]) -> NodeResult:
    """Return what the work gives.

    Raises:
        TookTooLong: it reached the node's `timeout`.
        WallTimeReached: it reached the limit `wall` of a node whose visits have no steps of their own.
    """
    if node.timeout_s is None and node.limits.wall_s is None:
        return await work
    timeout = None if node.type in _OWN_TIMEOUT else node.timeout_s
    left = None if node.type in _OWN_STEPS or node.limits.wall_s is None else gate.time_left(visit)
    ends = [each for each in (timeout, left) if each is not None]
    try:
        async with asyncio.timeout(min(ends, default=None)) as clock:
            return await work
    except TimeoutError as err:
        if not clock.expired():
            raise
        if timeout is not None and (left is None or timeout <= left):
            raise TookTooLong(f"{visit} took longer than its timeout of {duration(timeout)}.") from err
        raise WallTimeReached(
            f"{visit!r} has worked {duration(node.limits.wall_s or 0)}, all that its limit `wall` allows.",
            hint="Raise 'wall' under `limits` of the node in the graph's file, then resume with --force-graph.",
        ) from err


def is_tried_again(retry: Retry | None, attempt: int, err: FlowError) -> bool:
    """Return whether a visit that failed with this error is made once more.

    Args:
        attempt: number of the try that failed, from 1.
    """
    return retry is not None and attempt < retry.max_attempts and bool(_kinds(err) & {*retry.on})


def pause_before(retry: Retry | None, attempt: int) -> float:
    """Return the seconds to wait before a try; 0 before the first."""
    if retry is None or attempt < 2:
        return 0.0
    return min(retry.backoff_s * 2.0 ** min(attempt - 2, 40), MAX_PAUSE_S)


def kind_of_failure(err: FlowError) -> str:
    """Return one of spec.RETRY_KINDS, or "denied" for what a person or a rule refused."""
    if isinstance(err, ModelUnavailable):
        return "server"
    if err.exit_code == Denied.exit_code:
        return "denied"
    if isinstance(err, TookTooLong):
        return "timeout"
    is_of_reply = isinstance(err, ModelFault) or any(isinstance(cause, ModelFault) for cause in _causes(err))
    return "reply" if is_of_reply else "failure"


def _kinds(err: FlowError) -> set[str]:
    """Return what `retry_on` may call the error: its kind, and the exceptions that it came of by name."""
    kind = kind_of_failure(err)
    if isinstance(err, (ModelUnavailable, ModelFault)):
        return {kind}
    if not isinstance(err, RunFailed) or kind == "denied":
        # What a person refused is not asked again.
        return set()
    return {kind, *(each.__name__ for cause in _causes(err) for each in type(cause).__mro__)}


def _causes(err: BaseException) -> Iterator[BaseException]:
    cause = err.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__


def duration(seconds: float) -> str:
    """Return a time for a person: "1.5 s", "2 min 5 s"."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{rest:g} s"
