"""A picture of a graph as an SVG file: no script, nothing loaded, the same bytes for the same graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from ..core.texts import visible
from ..core.texts import width as text_width
from .layout import Drawing, PlacedArrow, PlacedBox

_CELL_W, _CELL_H = 8.0, 16.0
"""Pixels of a character cell."""
_MARGIN = 16.0
_RADIUS = 5.0

# Text has a contrast of at least 4.5:1 in both; a viewer that knows no media queries shows the light one.
_STYLE = """
  text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "Noto Sans Mono CJK JP", monospace; }
  text { fill: #1f2328; }
  .note, .label { font-size: 12px; fill: #59636e; }
  .label { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }
  rect { fill: #f6f8fa; stroke: #59636e; }
  .paper { fill: #ffffff; stroke: none; }
  .planner, .coder, .reviewer, .sub_agent, .agent, .llm { fill: #ddf4ff; }
  .human { fill: #fff1c2; }
  .fail { fill: #ffebe9; }
  .shell, .tool, .python, .commit { fill: #e6f6e6; }
  path { fill: none; stroke: #59636e; stroke-width: 1.3; }
  .limit, .error { stroke-dasharray: 5 4; }
  .head { fill: #59636e; stroke: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note, .label { fill: #9198a1; }
    .label { stroke: #0d1117; }
    rect { fill: #161b22; stroke: #9198a1; }
    .paper { fill: #0d1117; }
    .planner, .coder, .reviewer, .sub_agent, .agent, .llm { fill: #0c2d4d; }
    .human { fill: #3d2e00; }
    .fail { fill: #4a1a1a; }
    .shell, .tool, .python, .commit { fill: #12301a; }
    path { stroke: #9198a1; }
    .head { fill: #9198a1; }
  }
"""


def svg(drawing: Drawing) -> str:
    """Return the SVG text of a drawing. Every arrow and box tells in full what it is when it is pointed at."""
    width = drawing.width * _CELL_W + 2 * _MARGIN
    height = drawing.height * _CELL_H + 2 * _MARGIN
    name = escape(visible(drawing.name))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img">',
        f"<title>{name}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto"><path class="head" d="M0 1 L10 5 L0 9 z"/></marker></defs>',
        f'<rect class="paper" width="{width:g}" height="{height:g}"/>',
        *(_path(arrow, drawing) for arrow in drawing.arrows),
        *(line for box in drawing.boxes for line in _box(box)),
        *(_label(arrow) for arrow in drawing.arrows if arrow.label),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _box(placed: PlacedBox) -> Iterator[str]:
    box = placed.box
    x, y = _MARGIN + placed.x * _CELL_W, _MARGIN + placed.y * _CELL_H
    width, height = placed.width * _CELL_W, placed.height * _CELL_H
    # The frame runs through the middle of the cells that it has in a terminal.
    frame = (
        f'x="{x + _CELL_W / 2:g}" y="{y + _CELL_H / 2:g}" width="{width - _CELL_W:g}" height="{height - _CELL_H:g}"'
    )
    radius = (height - _CELL_H) / 2 if not box.type else 6
    yield f'<rect class={quoteattr(box.type or "end")} {frame} rx="{radius:g}"/>'
    middle = x + width / 2
    yield _text("name", middle, y + 1.75 * _CELL_H, box.name, anchor="middle")
    if box.note:
        yield _text("note", middle, y + 2.75 * _CELL_H, box.note, anchor="middle")


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    # The length that was laid out, so that it fits whatever font there is.
    length = f' textLength="{text_width(text) * _CELL_W * 0.94:g}" lengthAdjust="spacingAndGlyphs"'
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}{length}>{escape(visible(text))}</text>'


def _path(arrow: PlacedArrow, drawing: Drawing) -> str:
    points = [_middle_of(x, y) for x, y in _to_frames(arrow)]
    told = f"{arrow.arrow.source} to {arrow.arrow.target}" + (f": {arrow.arrow.label}" if arrow.arrow.label else "")
    title = f"<title>{escape(visible(told))}</title>"
    return f'<path class="{arrow.arrow.kind}" d="{_rounded(points)}" marker-end="url(#head)">{title}</path>'


def _to_frames(arrow: PlacedArrow) -> list[tuple[float, float]]:
    """Return the corners with both ends drawn out to the frames of their boxes, half a cell further."""
    points: list[tuple[float, float]] = [*arrow.points]
    for end, inner, reach in ((0, 1, 1.0), (-1, -2, 1.0)):
        (x, y), (_, near_y) = points[end], arrow.points[inner]
        points[end] = (x - reach, y) if y == near_y else (x, y + (reach if y > near_y else -reach))
    return points


def _middle_of(x: float, y: float) -> tuple[float, float]:
    return _MARGIN + (x + 0.5) * _CELL_W, _MARGIN + (y + 0.5) * _CELL_H


def _rounded(points: Sequence[tuple[float, float]]) -> str:
    """Return path data through the points, its corners round."""
    drawn = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(corner, before), _towards(corner, after)
        drawn.append(f"L{near[0]:g} {near[1]:g} Q{corner[0]:g} {corner[1]:g} {far[0]:g} {far[1]:g}")
    drawn.append(f"L{points[-1][0]:g} {points[-1][1]:g}")
    return " ".join(drawn)


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return the point on the way from a corner to another one where its rounding begins."""
    length = abs(other[0] - corner[0]) + abs(other[1] - corner[1])
    share = min(_RADIUS, length / 2) / length if length else 0
    return corner[0] + (other[0] - corner[0]) * share, corner[1] + (other[1] - corner[1]) * share


def _label(arrow: PlacedArrow) -> str:
    x, y = arrow.label_at
    return _text("label", _MARGIN + x * _CELL_W, _MARGIN + (y + 0.75) * _CELL_H, arrow.label)
