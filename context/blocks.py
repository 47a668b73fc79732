"""Blocks: marked frames around text that was read, so that a model can tell data from its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.fences import fenced
from ..core.hits import Hit, place_text
from ..core.ports import TokenCounter


@dataclass(frozen=True, slots=True)
class Block:
    """A named frame of text in the first message; `tag` is its mark, `text` may be empty (then it is left out).

    Attributes:
        name: which of several frames with this mark it is; "" = there is but one.
    """

    tag: str
    text: str
    name: str = ""

    def render(self) -> str:
        """Return the frame; a closing mark inside the text is defused and invisible characters are dropped."""
        return fenced(self.tag, self.text, self.name)


def hits_text(hits: Sequence[Hit]) -> str:
    """Return passages one after the other, each under its path and line span."""
    return "\n\n".join(f"{_place(hit)}\n{hit.text.rstrip()}" for hit in hits)


def map_text(hits: Sequence[Hit]) -> str:
    """Return file outlines one after the other; an outline names its file itself."""
    return "\n".join(hit.text.rstrip() for hit in hits)


def cut_to_tokens(text: str, budget: int, counter: TokenCounter, *, keep_end: bool = False) -> str:
    """Return the longest run of whole lines within the budget, with a note of what is left out.

    Args:
        keep_end: lines are kept from the end, not from the start.
    """
    if counter.count(text) <= budget:
        return text
    lines = text.splitlines()
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high + 1) // 2
        if counter.count(_shortened(lines, middle, keep_end)) <= budget:
            low = middle
        else:
            high = middle - 1
    return _shortened(lines, low, keep_end)


def _shortened(lines: list[str], kept: int, keep_end: bool) -> str:
    left_out = len(lines) - kept
    if keep_end:
        return "\n".join([f"[{left_out} earlier lines left out]", *lines[left_out:]])
    return "\n".join([*lines[:kept], f"[{left_out} more lines left out]"])


def _place(hit: Hit) -> str:
    heading = f" ({hit.heading})" if hit.heading else ""
    return f"## {place_text(hit.path, hit.page, hit.start_line, hit.end_line)}{heading}"
