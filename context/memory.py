"""Memory in the first message: which files fit into its budget, and what becomes of the others by a fixed rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.ports import TokenCounter
from .blocks import cut_to_tokens

Fit = Literal["whole", "cut", "left out", "repeated"]


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A memory file that a model is told.

    Attributes:
        path: what it is called to the model.
        gives_way: True for what agents remembered: it loses before the others, and its first lines before its last.
    """

    path: str
    text: str
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class FittedFile:
    """A memory file with its place in a prompt. `shown`: heading and text as the model gets them; "" = nothing."""

    file: MemoryFile
    fit: Fit
    shown: str


def fit_memory(files: Sequence[MemoryFile], budget: int, counter: TokenCounter) -> list[FittedFile]:
    """Return the files in their order, together within the budget.

    They are taken in their order, those that give way last. The first that does not fit is cut at whole lines, and
    all after it are left out. A text that stands in an earlier file is not told twice.
    """
    found: dict[int, FittedFile] = {}
    room, told = budget, set[str]()
    for index in sorted(range(len(files)), key=lambda each: files[each].gives_way):
        file = files[index]
        if file.text.strip() in told:
            found[index] = FittedFile(file, "repeated", "")
            continue
        told.add(file.text.strip())
        found[index] = _fitted(file, room, counter)
        used = counter.count(f"{found[index].shown}\n\n") if found[index].shown else 0
        room = room - used if found[index].fit == "whole" else 0
    return [found[index] for index in range(len(files))]


def _fitted(file: MemoryFile, room: int, counter: TokenCounter) -> FittedFile:
    heading, text = f"## {file.path}\n", file.text.strip()
    if not text:
        return FittedFile(file, "whole", "")
    if counter.count(f"{heading}{text}\n\n") <= room:
        return FittedFile(file, "whole", heading + text)
    left = max(0, room - counter.count(f"{heading}\n\n"))
    cut = cut_to_tokens(text, left, counter, keep_end=file.gives_way)
    is_empty = cut == cut_to_tokens(text, 0, counter, keep_end=file.gives_way)
    return FittedFile(file, "left out", "") if is_empty else FittedFile(file, "cut", heading + cut)


def memory_text(fitted: Sequence[FittedFile]) -> str:
    """Return the text of the block; "" = there is nothing to tell."""
    return "\n\n".join(each.shown for each in fitted if each.shown)


def lost_line(fitted: Sequence[FittedFile], budget: int) -> str:
    """Return in one line what does not fit; "" = everything does."""
    told = [
        f"{', '.join(names)} {fit}"
        for fit in ("cut", "left out")
        if (names := [each.file.path for each in fitted if each.fit == fit])
    ]
    if not told:
        return ""
    return f"Memory files have more than {budget:,} tokens: {'; '.join(told)}."
