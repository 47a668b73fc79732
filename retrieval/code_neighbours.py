"""What a file uses and what uses it, and drawings of that. Called by `flow map --graph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .code_snapshot import CodeSnapshot

_SHOWN_NAMES = 3
_ROW = 34
_BOX_HEIGHT = 24
_CHAR = 7.2
_GAP = 190
_PAD = 12


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A file with the names through which it is used or uses, the weightiest first; () = by an import alone."""

    path: str
    weight: float
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A file with those that use it and those that it uses, the weightiest first; how many more there are."""

    path: str
    users: tuple[Neighbour, ...]
    used: tuple[Neighbour, ...]
    more_users: int
    more_used: int


def neighbourhood(snapshot: CodeSnapshot, path: str, most: int) -> Neighbourhood:
    """Return what surrounds an indexed file.

    Args:
        most: files on each side at most.
    """
    paths, graph = snapshot.paths(), snapshot.graph()
    at = paths.index(path)
    incoming = _heaviest(paths, graph.incoming.get(at, ()))
    outgoing = _heaviest(paths, graph.outgoing.get(at, ()))
    users, used = incoming[:most], outgoing[:most]
    names = snapshot.names_between([path, *(other for other, _ in users)])
    return Neighbourhood(
        path,
        tuple(Neighbour(other, weight, names.get((other, path), ())) for other, weight in users),
        tuple(Neighbour(other, weight, names.get((path, other), ())) for other, weight in used),
        len(incoming) - len(users),
        len(outgoing) - len(used),
    )


def _heaviest(paths: Sequence[str], edges: Sequence[tuple[int, float]]) -> list[tuple[str, float]]:
    ordered = sorted(edges, key=lambda edge: (-round(edge[1], 6), paths[edge[0]]))
    return [(paths[other], weight) for other, weight in ordered]


def to_mermaid(around: Neighbourhood) -> str:
    """Return the neighbourhood as a Mermaid flowchart."""
    lines = ["flowchart LR", f'  f0["{_mermaid_text(around.path)}"]:::focus']
    nodes: dict[str, str] = {}
    for neighbours, points_here in ((around.users, True), (around.used, False)):
        for each in neighbours:
            if each.path not in nodes:
                nodes[each.path] = f"f{len(nodes) + 1}"
                lines.append(f'  {nodes[each.path]}["{_mermaid_text(each.path)}"]')
            ends = (nodes[each.path], "f0") if points_here else ("f0", nodes[each.path])
            label = f"|{_mermaid_text(_label(each.names))}|" if each.names else ""
            lines.append(f"  {ends[0]} -->{label} {ends[1]}")
    lines.append("  classDef focus stroke-width:3px")
    return "\n".join(lines) + "\n"


def _label(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more


def _mermaid_text(text: str) -> str:
    """Return a text that can not end the quotes or the edge that it stands in."""
    return "".join(char if char.isalnum() or char in "/._-, " else f"#{ord(char)};" for char in text)


def to_svg(around: Neighbourhood) -> str:
    """Return the neighbourhood as an SVG image: users on the left, what is used on the right."""
    rows = max(len(around.users), len(around.used), 1)
    height = rows * _ROW + 2 * _PAD
    left = max([len(each.path) for each in around.users] or [0]) * _CHAR + 2 * _PAD
    middle = len(around.path) * _CHAR + 2 * _PAD
    right = max([len(each.path) for each in around.used] or [0]) * _CHAR + 2 * _PAD
    gap_left, gap_right = (_GAP if around.users else 0), (_GAP if around.used else 0)
    centre_x = _PAD + (left if around.users else 0) + gap_left
    right_x = centre_x + middle + gap_right
    width = right_x + (right if around.used else 0) + _PAD
    centre_y = height / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        'font-family="monospace" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>',
    ]
    for row, each in enumerate(around.users):
        y = _row_y(row, len(around.users), height)
        parts.append(_arrow(_PAD + left, y, centre_x, centre_y, each.names))
        parts.append(_box(_PAD, y, left, each.path, "#f4f4f4"))
    for row, each in enumerate(around.used):
        y = _row_y(row, len(around.used), height)
        parts.append(_arrow(centre_x + middle, centre_y, right_x, y, each.names))
        parts.append(_box(right_x, y, right, each.path, "#f4f4f4"))
    parts += [_box(centre_x, centre_y, middle, around.path, "#dbe9ff"), "</svg>"]
    return "\n".join(parts) + "\n"


def _row_y(row: int, rows: int, height: float) -> float:
    return height / 2 + (row - (rows - 1) / 2) * _ROW


def _box(x: float, y: float, width: float, text: str, fill: str) -> str:
    top = y - _BOX_HEIGHT / 2
    return (
        f'<rect x="{x:.0f}" y="{top:.0f}" width="{width:.0f}" height="{_BOX_HEIGHT}" rx="4" fill="{fill}" '
        f'stroke="#555"/><text x="{x + _PAD:.0f}" y="{y + 4:.0f}">{escape(text)}</text>'
    )


def _arrow(x1: float, y1: float, x2: float, y2: float, names: Sequence[str]) -> str:
    line = f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#555" marker-end="url(#tip)"/>'
    title = f"<title>{escape(', '.join(names))}</title>" if names else ""
    return f"<g>{title}{line}</g>"
