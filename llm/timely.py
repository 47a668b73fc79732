"""Reading a stream under watch: a server that falls silent, or never ends, is left. Shared by the chat models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

from ..core.messages import Usage
from .faults import BrokenStream, Silence

Piece = TypeVar("Piece")

_HELD_BACK_FACTOR = 2.0
"""How much longer than at its usual speed a server may take for a call that it holds back."""
_PIECES_PER_TOKEN = 4
"""A piece holds a token or more; this is far above what any server sends, and bounds one that never ends."""
_PIECES_APART = 1000
"""Pieces that may come beside those of the reply: progress of the prompt, empty ones."""


class Silences:
    """How long one model on one server may send nothing.

    Args:
        first_token_s: seconds before the first piece of a reply, in which the model may be loading.
        stall_s: seconds between two pieces.
    """

    def __init__(self, first_token_s: float, stall_s: float) -> None:
        self._first_token_s = first_token_s
        self._stall_s = stall_s
        self._token_s = 0.0

    def learn(self, usage: Usage) -> None:
        """Remember how slow the model is."""
        if usage.decode_s and usage.completion_tokens:
            self._token_s = max(self._token_s, usage.decode_s / usage.completion_tokens)

    def allowed(self, *, began: bool, holds_back: bool, max_tokens: int) -> Silence:
        """Return the silence that is too long, as the error that it is.

        Args:
            began: a piece of the reply came.
            holds_back: the request has tools: many servers send nothing of a call until it is complete, which on a
                slow machine takes as long as all the tokens of the reply.
            max_tokens: the most tokens of the reply.
        """
        if began and not holds_back:
            return Silence(self._stall_s, "server.stall_timeout_s")
        held_s = self._token_s * max_tokens * _HELD_BACK_FACTOR if began else 0.0
        return Silence(max(self._first_token_s, held_s), "server.first_token_timeout_s")


async def timely(
    stream: AsyncIterator[Piece], allowed: Callable[[], Silence], max_tokens: int
) -> AsyncGenerator[Piece, None]:
    """Yield the pieces of a stream.

    Args:
        allowed: gives the silence that is too long, asked anew before each piece.
        max_tokens: the most tokens of the reply.

    Raises:
        Silence: a piece took too long.
        BrokenStream: the stream goes on and on.
    """
    for _ in range(max_tokens * _PIECES_PER_TOKEN + _PIECES_APART):
        silence = allowed()
        try:
            async with asyncio.timeout(silence.seconds):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as err:
            raise silence from err
        yield piece
    raise BrokenStream(f"it went on far beyond its limit of {max_tokens} tokens")
