"""The title of a run in lists: the beginning of its task, or what the role light calls it.

It is asked for beside the run, after the first answer and only of a model that no other role has. Whoever ends the
run does not wait for it: a title that has not come by then is not had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ..core.errors import FlowError
from ..core.events import EventRecord, Phase
from ..graphs.inputs import positional_input
from ..graphs.spec import GraphSpec
from ..nodes.deps import NodeDeps
from ..nodes.title import ask_title, text_title
from ..runs.store import RunRow, RunStore
from .context import Watcher
from .model_pool import ModelPool

LIMIT_S = 60.0
"""A small model that takes longer has other things to do."""


class FirstAnswer:
    """Passes on what a run tells, and notices its first answer."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()

    def record(self, record: EventRecord) -> None:
        if record.type == "model_call" and not record.data["fault"]:
            # Events may be told from other threads.
            self._loop.call_soon_threadsafe(self._came.set)
        self._watcher.record(record)

    def progress(self, node: str, phase: Phase, amount: int) -> None:
        self._watcher.progress(node, phase, amount)

    def notice(self, text: str) -> None:
        self._watcher.notice(text)

    async def wait(self) -> None:
        await self._came.wait()


@asynccontextmanager
async def titled(
    row: RunRow,
    store: RunStore,
    spec: GraphSpec,
    pool: ModelPool,
    deps: NodeDeps,
    first: FirstAnswer,
    *,
    wished: bool,
) -> AsyncIterator[None]:
    """Ask for the run's title while the block runs, where somebody can be asked and has not been.

    Args:
        wished: the setting models.titles.
    """
    text = task_text(row, spec)
    # A recording holds what the run itself asked, and no more.
    if not wished or not text or row.options["record"] or row.title != text_title(text) or not _has_light(pool):
        yield
        return
    task = asyncio.ensure_future(_ask(row.id, store, pool, deps, first, text))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def task_text(row: RunRow, spec: GraphSpec) -> str:
    """Return the run's newest input, as far as it is text: the plain argument; "" = there is none."""
    return str(row.input.get(positional_input(spec), ""))


def _has_light(pool: ModelPool) -> bool:
    names = dict(pool.names)
    return names.pop("light", "") not in ("", *names.values())


async def _ask(run_id: str, store: RunStore, pool: ModelPool, deps: NodeDeps, first: FirstAnswer, text: str) -> None:
    await first.wait()
    try:
        async with asyncio.timeout(LIMIT_S):
            title = await ask_title(pool.model("light"), deps, text)
    except (FlowError, TimeoutError):
        return  # the task's own words stay
    if title:
        store.update_run(run_id, title=deps.toolbox.secrets.mask(title))
