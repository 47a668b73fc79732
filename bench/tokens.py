"""Counting what a request costs, and how much of it a server with one prompt slot has to compute again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any


@cache
def _cl100k() -> Any:
    from rs_bpe.bpe import openai

    return openai.cl100k_base()


def count_tokens(text: str) -> int:
    """Return the number of cl100k tokens."""
    count: int = _cl100k().count(text)
    return count


def canonical(body: Mapping[str, Any]) -> bytes:
    """Return the prompt of a request as bytes: its tools, then its messages, one JSON line each, keys sorted.

    Appending a message only appends bytes, so the common front of two requests is what a server's cache serves.
    """
    parts = [*(body.get("tools") or ()), *body["messages"]]
    return "".join(f"{json.dumps(part, ensure_ascii=False, sort_keys=True)}\n" for part in parts).encode()


def common_front(old: bytes, new: bytes) -> int:
    """Return how many leading bytes are the same."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[:middle] == new[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
