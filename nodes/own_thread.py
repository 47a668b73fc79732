"""Running code that may block, or never end, beside the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T], name: str) -> T:
    """Return what the work returns; raises what it raises.

    Cancelled, it ends at once: the thread is left behind, since nothing can stop it, and does not keep the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(put: Callable[[Any], None], what: Any) -> None:
        def put_if_wanted() -> None:
            if not future.done():
                put(what)

        if not loop.is_closed():
            loop.call_soon_threadsafe(put_if_wanted)

    def run() -> None:
        try:
            result = context.run(work)
        except BaseException as err:  # noqa: BLE001 - whoever waits gets it
            settle(future.set_exception, err)
        else:
            settle(future.set_result, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
