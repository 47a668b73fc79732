"""Whether the server read the whole prompt: some cut a long one from the front, say nothing and answer the rest.

Called by the chat models after each reply.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import httpx

from ..core.errors import NoRoom
from ..core.messages import Message, ModelRequest, ToolDef
from .faults import BrokenStream, Refused, Silence
from .tokens import EstimatingCounter, count_request

_LEAST_OF_ESTIMATE = 1 / 3
"""Share of our estimate that every tokenizer counts at least: the estimate is at most 2.5 x of Gemma's count of
Japanese, where it is furthest off."""
_LEAST_OF_COUNTED = 0.9
"""Share of an earlier count of the same messages that is counted again."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the server counted of an agent's last request: its tokens, its messages, its tools."""

    tokens: int
    messages: tuple[Message, ...]
    tools: tuple[ToolDef, ...]


class CutWatch:
    """Compares the server's counts of prompts with what one chat model sent.

    A count that is too low is looked into once: servers have left out what they had cached. The same prompt behind a
    new beginning, which nothing cached can serve, tells the two apart.

    Args:
        window: tokens that the server was asked for.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._counted: dict[str, _Counted] = {}
        self._leaves_out_cached = False

    async def check(
        self,
        request: ModelRequest,
        counted: int | None,
        count_again: Callable[[ModelRequest], Awaitable[int | None]],
    ) -> None:
        """Return when nothing says that the prompt was cut.

        Args:
            counted: tokens of the prompt by the server; None or 0 = it does not tell, and nothing is known.
            count_again: asks the server about a request and returns its count.

        Raises:
            NoRoom: the server read only a part; the reply is worth nothing.
        """
        if not counted or self._leaves_out_cached:
            return
        least = self._least(request)
        if counted < least:
            again = await _without_cache(request, count_again)
            if again is None:
                return
            if again < least:
                raise self._cut(request, again)
            self._leaves_out_cached = True
            return
        self._counted[_agent(request)] = _Counted(counted, request.messages, request.tools)

    def _least(self, request: ModelRequest) -> float:
        """Return the tokens that the whole prompt has at least."""
        least = _estimate(request) * _LEAST_OF_ESTIMATE
        before = self._counted.get(_agent(request))
        if before is None or before.tools != request.tools:
            return least
        known = len(before.messages)
        # A conversation that was made smaller has another beginning.
        if request.messages[:known] != before.messages:
            return least
        grown = count_request(request.messages[known:], (), EstimatingCounter())
        return max(least, (before.tokens + grown * _LEAST_OF_ESTIMATE) * _LEAST_OF_COUNTED)

    def _cut(self, request: ModelRequest, counted: int) -> NoRoom:
        return NoRoom(
            f"the server read only {counted:,} tokens of a prompt of about {_estimate(request):,}: it cut "
            "the rest off without a word, so its window is smaller than the "
            f"{self._window:,} tokens that were asked for.",
            window=counted,
            hint="Resume with the window that it has (-c models.num_ctx=N), or start the server with a larger one.",
        )


async def _without_cache(
    request: ModelRequest, count_again: Callable[[ModelRequest], Awaitable[int | None]]
) -> int | None:
    """Return the server's count of a prompt of which nothing is cached; None = it gave none."""
    first, *rest = request.messages
    new = replace(first, content=f"({time.time_ns()}) {first.content}")
    try:
        return await count_again(replace(request, messages=(new, *rest), max_tokens=1)) or None
    except (Refused, BrokenStream, Silence, httpx.HTTPError):
        return None


def _estimate(request: ModelRequest) -> int:
    return count_request(request.messages, request.tools, EstimatingCounter())


def _agent(request: ModelRequest) -> str:
    return f"{request.key.node}#{request.key.visit}"
