"""A graph as a drawing in one of its forms."""

from __future__ import annotations

from ..graphs.draw_ascii import ascii_drawing
from ..graphs.draw_mermaid import mermaid
from ..graphs.draw_svg import svg
from ..graphs.layout import lay_out
from ..graphs.picture import picture_of
from ..graphs.spec import GraphSpec


def draw_graph(spec: GraphSpec, form: str, *, plain: bool = False) -> str:
    """Return the drawing of a checked graph as text.

    Args:
        form: "ascii", "svg" or "mermaid".
        plain: True where characters beyond ASCII cannot be shown; of the form ascii alone.
    """
    picture = picture_of(spec)
    if form == "mermaid":
        return mermaid(picture)
    drawing = lay_out(picture)
    return svg(drawing) if form == "svg" else ascii_drawing(drawing, plain=plain)
