"""Asking a model server again until a reply is whole or the patience is used up. Shared by the chat models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from ..core.events import Phase
from ..core.ports import OnProgress
from .faults import BrokenStream, Patience, Refused, Silence, Verdict, next_delay

Exchange = TypeVar("Exchange")
Answer = TypeVar("Answer")


async def ask_until_whole(
    make: Callable[[], Exchange],
    attempt: Callable[[Exchange], Awaitable[Answer]],
    judged: Callable[[Exception, Exchange], Verdict],
    patience: Patience,
    on_progress: OnProgress | None = None,
) -> Answer:
    """Return what the first attempt brings that succeeds.

    Args:
        make: gives each attempt the object in which it keeps what was sent and what came.
        judged: says what a failed attempt means.
        patience: how long is asked again, from the first failure on.
        on_progress: is told of each wait, and once why; None = nobody.

    Raises:
        FlowError: the verdict on the last attempt.
    """
    first_failure: float | None = None
    retries = broken = 0
    told = ""
    while True:
        exchange = make()
        try:
            return await attempt(exchange)
        except (Refused, BrokenStream, Silence, httpx.HTTPError) as err:
            verdict = judged(err, exchange)
            now = time.monotonic()
            first_failure = now if first_failure is None else first_failure
            broken += verdict.retry == "few"
            delay_s = next_delay(verdict.retry, retries, broken, now - first_failure, patience)
            if delay_s is None:
                raise verdict.error from err
        retries += 1
        if on_progress is not None:
            reason = verdict.error.message
            phase: Phase = "loading model" if verdict.retry == "loading" else "waiting to ask again"
            on_progress(phase, retries, "" if reason == told else reason)
            told = reason
        await asyncio.sleep(delay_s)
