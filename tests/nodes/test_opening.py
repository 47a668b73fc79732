from __future__ import annotations

import asyncio

import pytest

from flowloom.core.errors import RunFailed
from flowloom.nodes.agent_state import AgentState
from flowloom.nodes.opening import Opening

BEGUN: AgentState = {"messages": [{"content": "do it"}], "turn": 0}
SAID: AgentState = {"final": "done", "turn": 1}


class Steps:
    """An agent loop's first steps. `hold`: asking waits for it; `fault`: beginning raises it."""

    def __init__(self, *, fault: Exception | None = None, hold: asyncio.Event | None = None) -> None:
        self.asked: list[AgentState] = []
        self.cancelled = 0
        self._fault = fault
        self._hold = hold

    async def begin(self, state: AgentState) -> AgentState:
        if self._fault:
            raise self._fault
        return BEGUN

    async def call_model(self, state: AgentState) -> AgentState:
        self.asked.append(state)
        try:
            if self._hold:
                await self._hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return SAID


async def test_model_is_asked_before_anybody_takes_the_steps_over() -> None:
    steps = Steps()
    opening = Opening(steps.begin, steps.call_model)
    await asyncio.sleep(0.01)
    assert steps.asked == [{"pending": [], **BEGUN}]
    await opening.aclose()


async def test_steps_that_are_taken_over_are_not_made_again() -> None:
    steps = Steps()
    opening = Opening(steps.begin, steps.call_model)
    assert await opening.begin({"pending": []}) == BEGUN
    assert await opening.call_model(BEGUN) == SAID
    assert len(steps.asked) == 1
    await opening.aclose()


async def test_later_turns_ask_anew() -> None:
    steps = Steps()
    opening = Opening(steps.begin, steps.call_model)
    later: AgentState = {"turn": 3}
    assert await opening.call_model(later) == SAID
    assert later in steps.asked
    await opening.aclose()


async def test_fault_of_the_beginning_is_raised_where_it_is_taken_over() -> None:
    steps = Steps(fault=RunFailed("no disk"))
    opening = Opening(steps.begin, steps.call_model)
    with pytest.raises(RunFailed, match="no disk"):
        await opening.begin({"pending": []})
    assert steps.asked == []
    await opening.aclose()


async def test_closing_ends_a_request_that_nobody_took_over() -> None:
    steps = Steps(hold=asyncio.Event())
    opening = Opening(steps.begin, steps.call_model)
    await asyncio.sleep(0.01)
    await opening.aclose()
    assert steps.cancelled == 1


async def test_wait_for_the_request_ends_once_it_is_sent() -> None:
    steps = Steps(hold=asyncio.Event())
    opening = Opening(steps.begin, steps.call_model)
    waiting = asyncio.ensure_future(opening.asked(0))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    opening.note_asked()
    await asyncio.wait_for(waiting, 3)
    await opening.aclose()


async def test_wait_for_the_request_ends_when_there_will_be_none() -> None:
    steps = Steps(fault=RunFailed("no disk"))
    opening = Opening(steps.begin, steps.call_model)
    await asyncio.wait_for(opening.asked(0), 3)
    await opening.aclose()
