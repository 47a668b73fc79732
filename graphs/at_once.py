"""Nodes and items of a graph that run at once: how many, and what becomes of the others when one fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..core.errors import RunInterrupted

_LOOK_S = 0.2
"""Seconds between two looks whether a person wants the run to stop."""


class AtOnce:
    """What runs now of one graph, by the path of its invocation.

    LangGraph cancels everything beside a node that fails. Here one that fails waits first until what runs beside it
    has come to its end, so that nothing that was paid for is lost; what has not begun yet does not begin any more.
    """

    def __init__(self) -> None:
        self._working: Counter[str] = Counter()
        self._failed: dict[str, Exception] = {}
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def working(self, graph: str) -> AsyncIterator[None]:
        """Let the block run as one of those of a graph.

        Raises:
            Exception: what another one failed with before this one began.
        """
        from langgraph.errors import GraphBubbleUp

        if graph in self._failed:
            await self._others(graph)
            raise self._failed[graph]
        self._working[graph] += 1
        try:
            yield
        except GraphBubbleUp:
            # A question, or a stop: the others go on.
            self._leave(graph)
            raise
        except Exception as err:
            self._failed[graph] = err
            self._leave(graph)
            await self._others(graph)
            raise
        except BaseException:
            self._leave(graph)
            raise
        self._leave(graph)

    def _leave(self, graph: str) -> None:
        self._working[graph] -= 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def _others(self, graph: str) -> None:
        while self._working[graph]:
            await self._changed.wait()


def require_wanted() -> None:
    """Return when nobody asked the run to stop.

    Raises:
        RunInterrupted: somebody did.
    """
    if _stop_is_wanted():
        raise RunInterrupted("Stopped after the steps that were under way.")


async def pause(seconds: float) -> None:
    """Wait that long, or until somebody asks the run to stop."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0 and not _stop_is_wanted():
        await asyncio.sleep(min(left, _LOOK_S))


def _stop_is_wanted() -> bool:
    from langgraph.runtime import get_runtime

    return bool(get_runtime().drain_requested)
