"""A picture of a graph as Mermaid text, which GitHub and many editors draw."""

from __future__ import annotations

from .picture import Arrow, Box, Picture
from .spec import END

_SHAPES = {"": ("([", "])"), "human": ("{{", "}}"), "graph": ("[[", "]]"), "fail": ("[/", "/]")}
"""By type; all others are rectangles."""


def mermaid(picture: Picture) -> str:
    """Return a flowchart. What the file says stands in quotes, escaped, so that no text of it is read as Mermaid."""
    ids = {box.name: f"n{at}" for at, box in enumerate(picture.boxes)}
    lines = ["flowchart TD"]
    drawn = {arrow.target for arrow in picture.arrows}
    lines += [f"  {ids[box.name]}{_shape(box)}" for box in picture.boxes if box.name != END or END in drawn]
    lines += [f"  {ids[arrow.source]} {_line(arrow)} {ids[arrow.target]}" for arrow in picture.arrows]
    return "\n".join(lines) + "\n"


def _shape(box: Box) -> str:
    before, after = _SHAPES.get(box.type, ("[", "]"))
    text = _text(box.name) + (f"<br/><small>{_text(box.note)}</small>" if box.note else "")
    return f'{before}"{text}"{after}'


def _line(arrow: Arrow) -> str:
    line = "-->" if arrow.kind == "edge" else "-.->"
    return f'{line}|"{_text(arrow.label)}"|' if arrow.label else line


def _text(text: str) -> str:
    """Return a text with everything that Mermaid or HTML could read as its own spelled by number."""
    plain = " ".join(text.split())
    return "".join(char if char.isalnum() or char in " _-.,=+'" else f"#{ord(char)};" for char in plain)
