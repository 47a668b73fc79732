"""Cuts lists of lines to a token budget. Called by the map and the retriever."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.ports import TokenCounter


def count_fitting_lines(lines: Sequence[str], budget: int, counter: TokenCounter, header: str = "") -> int:
    """Return how many lines from the first on, joined below the header, stay within the budget; 0 = not even one.

    Args:
        header: a line that is counted in front of them; "" = none.
    """
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high + 1) // 2
        if count_block(lines[:middle], counter, header) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def count_block(lines: Sequence[str], counter: TokenCounter, header: str = "") -> int:
    """Return the tokens of the lines as one block below its header."""
    return counter.count("\n".join([header, *lines] if header else lines))
