"""A node: plain Python between two agents, checked by its type hints."""

from dataclasses import dataclass

from flowloom import node


@dataclass
class Found:
    text: str
    length: int


@node
def longest(texts: list[str]) -> Found:
    """Return the longest text; of two that are equally long the first."""
    text = max(texts, key=len, default="")
    return Found(text, len(text))
