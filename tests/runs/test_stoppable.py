from __future__ import annotations

import asyncio
import threading

import pytest

from flowloom.core.errors import RunInterrupted
from flowloom.core.events import Phase
from flowloom.core.messages import CallKey, Message, ModelReply, ModelRequest
from flowloom.core.ports import OnProgress
from flowloom.runs.stoppable import Stoppable

REQUEST = ModelRequest((Message("user", "Go."),), CallKey("code", 1, 0))


class Slow:
    """A model that tells one phase and answers when it is let."""

    name = "slow"
    window = 4096

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.left = False

    async def complete(self, request: ModelRequest, on_progress: OnProgress) -> ModelReply:
        on_progress(self.phase, 1)
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.left = True
            raise
        return ModelReply("whole")


def ignore(phase: Phase, amount: int, fault: str = "") -> None:
    """Take progress and do nothing."""


@pytest.mark.parametrize("phase", ["waiting for model", "loading model", "reading prompt", "waiting to ask again"])
async def test_what_gave_nothing_yet_is_left_when_the_run_is_to_stop(phase: Phase) -> None:
    model, stop = Slow(phase), threading.Event()
    asked = asyncio.ensure_future(Stoppable(model, stop).complete(REQUEST, ignore))
    await model.begun.wait()
    stop.set()
    async with asyncio.timeout(5):
        with pytest.raises(RunInterrupted):
            await asked
    await asyncio.sleep(0)
    assert model.left


async def test_reply_that_is_arriving_is_waited_for() -> None:
    model, stop = Slow("generating"), threading.Event()
    asked = asyncio.ensure_future(Stoppable(model, stop).complete(REQUEST, ignore))
    await model.begun.wait()
    stop.set()
    await asyncio.sleep(0.3)
    model.go_on.set()
    assert (await asked).text == "whole"


async def test_second_ctrl_c_reaches_the_model() -> None:
    model = Slow("generating")
    asked = asyncio.ensure_future(Stoppable(model, threading.Event()).complete(REQUEST, ignore))
    await model.begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.sleep(0)
    assert model.left
