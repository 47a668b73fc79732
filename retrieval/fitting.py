"""Finds how much fits a token budget with few counts. Called by the map and the retriever."""

from __future__ import annotations

from collections.abc import Callable


def find_most(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to the limit that fits, by halving; 0 = not even 1 does.

    Args:
        fits: true up to some number and false from there on; not asked about 0.
    """
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
