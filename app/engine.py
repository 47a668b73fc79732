"""Importing what drives a graph, while the first request is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..nodes.opening import Opening
from .late_packages import put_off

if TYPE_CHECKING:
    from ..runs.fence import Fence
    from ..runs.runner import Runner
    from ..runs.saver import RunSaver

_ALONE_S = 0.02
"""Time for a request to be on its way: the import holds the interpreter for milliseconds at a time."""


class Engine(NamedTuple):
    """What drives a graph: gives a saver on the run database; drives a run with it."""

    open_saver: Callable[[Path, Fence | None], AbstractAsyncContextManager[RunSaver]]
    runner: type[Runner]


@asynccontextmanager
async def engine_beside(opening: Opening | None) -> AsyncIterator[Engine]:
    """Give the engine, its libraries imported beside the opening's first request.

    Args:
        opening: what is under way already; what nobody took over of it ends here. None = nothing is.
    """
    try:
        if opening is not None:
            await opening.asked(_ALONE_S)
        yield await asyncio.to_thread(_import_engine)
    finally:
        if opening is not None:
            await opening.aclose()


def _import_engine() -> Engine:
    # langgraph takes most of a second to import: only now, when a run really starts.
    with put_off():
        from langgraph.graph import StateGraph  # noqa: F401 - graphs/build.py imports it on the event loop's own thread

        from ..runs.checkpoints import open_saver
        from ..runs.runner import Runner

    return Engine(open_saver, Runner)
