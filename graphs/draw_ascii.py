"""A picture of a graph in characters, for a terminal."""

from __future__ import annotations

from itertools import pairwise

from ..core.texts import width as text_width
from .layout import Drawing, PlacedArrow, PlacedBox

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = {
    0: " ",
    _UP: "│",
    _DOWN: "│",
    _LEFT: "─",
    _RIGHT: "─",
    _UP | _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _DOWN | _RIGHT: "┌",
    _DOWN | _LEFT: "┐",
    _UP | _RIGHT: "└",
    _UP | _LEFT: "┘",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤",
    _DOWN | _LEFT | _RIGHT: "┬",
    _UP | _LEFT | _RIGHT: "┴",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}
_PLAIN = str.maketrans("│─┌┐└┘├┤┬┴┼▼▲◀…", "|-+++++++++v^<~")


def ascii_drawing(drawing: Drawing, *, plain: bool = False) -> str:
    """Return the drawing as lines without trailing blanks.

    Args:
        plain: True where only ASCII can be shown.
    """
    canvas = _Canvas(drawing.width, drawing.height)
    for arrow in drawing.arrows:
        canvas.line(arrow)
    for box in drawing.boxes:
        canvas.box(box)
    for arrow in drawing.arrows:
        canvas.head(arrow)
        canvas.text(*arrow.label_at, arrow.label)
    text = canvas.lines()
    return text.translate(_PLAIN) if plain else text


class _Canvas:
    """Cells: how lines go through each, and what stands over them. A wide character covers the cell behind it."""

    def __init__(self, width: int, height: int) -> None:
        self._ways = [[0] * (width + 1) for _ in range(height + 1)]
        self._over: dict[tuple[int, int], str] = {}

    def line(self, arrow: PlacedArrow) -> None:
        for (x, y), (to_x, to_y) in pairwise(arrow.points):
            if x == to_x:
                self._stroke([(x, at) for at in range(min(y, to_y), max(y, to_y) + 1)], _DOWN, _UP)
            else:
                self._stroke([(at, y) for at in range(min(x, to_x), max(x, to_x) + 1)], _RIGHT, _LEFT)

    def _stroke(self, cells: list[tuple[int, int]], onward: int, back: int) -> None:
        for (x, y), (next_x, next_y) in pairwise(cells):
            self._ways[y][x] |= onward
            self._ways[next_y][next_x] |= back

    def box(self, placed: PlacedBox) -> None:
        inner = placed.width - 2
        self.text(placed.x, placed.y, "┌" + "─" * inner + "┐")
        for row, text in enumerate((placed.box.name, placed.box.note)[: placed.height - 2], 1):
            self.text(placed.x, placed.y + row, "│ " + text + " " * (inner - 1 - text_width(text)) + "│")
        self.text(placed.x, placed.y + placed.height - 1, "└" + "─" * inner + "┘")

    def head(self, arrow: PlacedArrow) -> None:
        (_, y), (end_x, end_y) = arrow.points[-2:]
        self._over[end_x, end_y] = "◀" if y == end_y else "▼" if end_y > y else "▲"

    def text(self, x: int, y: int, text: str) -> None:
        for char in text:
            self._over[x, y] = char
            if text_width(char) > 1:
                self._over[x + 1, y] = ""
            x += text_width(char)

    def lines(self) -> str:
        rows = []
        for y, row in enumerate(self._ways):
            cells = [self._over.get((x, y), _LINES[way]) for x, way in enumerate(row)]
            rows.append("".join(cells).rstrip())
        return "\n".join(rows).strip("\n") + "\n"
