"""A chat model that is not waited for once the run is to stop, unless its reply is arriving. Built by app/."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ..core.errors import RunInterrupted
from ..core.events import Phase
from ..core.messages import ModelReply, ModelRequest
from ..core.ports import ChatModel, OnProgress

if TYPE_CHECKING:
    from .runner import Stop

_LOOK_S = 0.1
_STILL_ARRIVING_S = 2.0
"""Seconds since the last piece of a reply in which it is taken to be still arriving."""


class Stoppable:
    """A model of a run that may be told to stop (core.ports.ChatModel).

    A step under way is let finish, since it may have done or cost something. A server that loads a model, reads the
    prompt, is silent or away has given nothing yet that could be lost.
    """

    def __init__(self, model: ChatModel, stop: Stop) -> None:
        self._model = model
        self._stop = stop
        self.name = model.name
        self.window = model.window

    async def complete(self, request: ModelRequest, on_progress: OnProgress) -> ModelReply:
        """Return the model's reply.

        Raises:
            RunInterrupted: the run is to stop and nothing of the reply is arriving.
        """
        arrived: float | None = None

        def note(phase: Phase, amount: int, fault: str = "") -> None:
            nonlocal arrived
            arrived = time.monotonic() if phase == "generating" else None
            on_progress(phase, amount, fault)

        asked = asyncio.ensure_future(self._model.complete(request, note))
        try:
            while not (await asyncio.wait({asked}, timeout=_LOOK_S))[0]:
                arriving = arrived is not None and time.monotonic() - arrived < _STILL_ARRIVING_S
                if self._stop.is_set() and not arriving:
                    raise RunInterrupted("Stopped while the model was waited for.")
            return asked.result()
        finally:
            asked.cancel()
