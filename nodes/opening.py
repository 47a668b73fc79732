"""The first steps of an agent visit, under way before there is a graph to run them.

Importing LangGraph takes most of a second of CPU, and an agent that a graph begins with needs none of it to put its
first question to the model. So the agent loop's own first steps run beside the import, and the graph takes over what
they came to. A kill in between loses no more than one within a step: a whole reply is kept (runs/replies.py), and the
steps of a visit without a checkpoint are made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .agent_state import AgentState

Superstep = Callable[[AgentState], Awaitable[AgentState]]

FIRST: AgentState = {"pending": []}
"""The state that a visit begins with."""


class Opening:
    """The first two supersteps of a visit, begun when this is made; to be closed, taken over or not.

    Args:
        begin: makes the first messages.
        call_model: asks the model once.
    """

    def __init__(self, begin: Superstep, call_model: Superstep) -> None:
        self._call_model = call_model
        self._asked = asyncio.Event()
        self._begun = asyncio.ensure_future(begin(FIRST))
        self._answered = asyncio.ensure_future(self._ask())

    async def begin(self, state: AgentState) -> AgentState:
        """Return what the first superstep came to; raises what it raised."""
        return await self._begun

    async def call_model(self, state: AgentState) -> AgentState:
        """Return what asking the model came to, for the first time this once; raises what it raised."""
        return await (self._call_model(state) if state["turn"] else self._answered)

    def note_asked(self) -> None:
        """Take note that the first request is being sent."""
        self._asked.set()

    async def asked(self, moment_s: float) -> None:
        """Return a moment after the first request was sent, or when there will be none."""
        asked = asyncio.ensure_future(self._asked.wait())
        await asyncio.wait({asked, self._answered}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        await asyncio.wait({self._answered}, timeout=moment_s)

    async def aclose(self) -> None:
        """End what nobody took over."""
        steps = (self._begun, self._answered)
        for step in steps:
            step.cancel()
        await asyncio.gather(*steps, return_exceptions=True)

    async def _ask(self) -> AgentState:
        return await self._call_model({**FIRST, **await self._begun})
