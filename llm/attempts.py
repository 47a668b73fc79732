"""Asking a model server again until a reply is whole or the patience is used up. Shared by the chat models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from .faults import BrokenStream, Refused, Silence, Verdict, next_delay

Exchange = TypeVar("Exchange")
Answer = TypeVar("Answer")


async def ask_until_whole(
    make: Callable[[], Exchange],
    attempt: Callable[[Exchange], Awaitable[Answer]],
    judged: Callable[[Exception, Exchange], Verdict],
    patience_s: float,
) -> Answer:
    """Return what the first attempt brings that succeeds.

    Args:
        make: gives each attempt the object in which it keeps what was sent and what came.
        judged: says what a failed attempt means.
        patience_s: seconds of asking again, from the first failure on.

    Raises:
        FlowError: the verdict on the last attempt.
    """
    first_failure: float | None = None
    retries = 0
    while True:
        exchange = make()
        try:
            return await attempt(exchange)
        except (Refused, BrokenStream, Silence, httpx.HTTPError) as err:
            verdict = judged(err, exchange)
            now = time.monotonic()
            first_failure = now if first_failure is None else first_failure
            delay_s = next_delay(verdict.retry, retries, now - first_failure, patience_s)
            if delay_s is None:
                raise verdict.error from err
        retries += 1
        await asyncio.sleep(delay_s)
