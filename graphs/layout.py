"""Where the boxes and arrows of a drawing lie, in character cells: the layout of draw_svg.py and draw_ascii.py.

Boxes stand in ranks below each other, arrows run down through the gaps between them, and back up for a loop. In each
rank an arrow that passes through has a place of its own, so it crosses no box; its label has room beside it.
Source: Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..core.texts import width as text_width
from .picture import Arrow, Box, Picture
from .tracks import Strand, pack_strands

MAX_LABEL = 32
"""Columns of a label; what is longer is cut."""
_GAP = 3
_SWEEPS = 9
"""Odd, so that the last one goes down: the lines from a box to the ones below it are kept straight."""


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """A box and its cells; `x`, `y` is its upper left one."""

    box: Box
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PlacedArrow:
    """An arrow: its corners, the last one being where it arrives, and where its label begins.

    `label` is what there is room for; `arrow.label` has all of it.
    """

    arrow: Arrow
    points: tuple[tuple[int, int], ...]
    label: str
    label_at: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A laid out picture; `width` and `height` in cells."""

    name: str
    width: int
    height: int
    boxes: tuple[PlacedBox, ...]
    arrows: tuple[PlacedArrow, ...]


@dataclass(slots=True, eq=False)
class _Item:
    """What has a place in a rank: a box, or an arrow on its way (`box` is None). `x` is its left column."""

    rank: int
    width: int
    box: Box | None = None
    label: str = ""
    loop: Arrow | None = None
    above: list[_Item] = field(default_factory=list)
    below: list[_Item] = field(default_factory=list)
    x: int = 0

    @property
    def line(self) -> int:
        """The width of what arrows meet: the box without its loop, or the one column of the line."""
        return box_width(self.box) if self.box else 1

    @property
    def middle(self) -> float:
        return self.x + (self.line - 1) / 2

    @property
    def height(self) -> int:
        return 1 if self.box is None else 4 if self.box.note or self.loop else 3


@dataclass(slots=True)
class _Course:
    """An arrow's way through the ranks from its upper box to its lower one. `up`: it points against it."""

    arrow: Arrow
    items: list[_Item]
    up: bool


def box_width(box: Box) -> int:
    """Return the columns of a box with its frame."""
    return max(text_width(box.name), text_width(box.note), 3) + 4


def lay_out(picture: Picture) -> Drawing:
    """Return the places of everything; the same picture always gives the same."""
    ranks, courses = _ranked(picture)
    _order(ranks)
    _place(ranks)
    return _drawn(picture.name, ranks, courses)


def _ranked(picture: Picture) -> tuple[list[list[_Item]], list[_Course]]:
    """Return the ranks of items, arrows that pass through among them, and the arrows between different boxes."""
    used = {name for arrow in picture.arrows for name in (arrow.source, arrow.target)}
    boxes = [box for box in picture.boxes if box.name in used]
    back = _back_arrows(boxes, picture.arrows)
    down = [(a, False) if a not in back else (a, True) for a in picture.arrows if a.source != a.target]
    pairs = [(a.target, a.source) if up else (a.source, a.target) for a, up in down]
    depth = _depths([box.name for box in boxes], pairs)
    labelled = _labelled_gaps(down, depth)
    rank_of = {name: at + sum(gap < at for gap in labelled) for name, at in depth.items()}
    items = {box.name: _Item(rank_of[box.name], box_width(box), box) for box in boxes}
    for arrow in picture.arrows:
        if arrow.source == arrow.target:
            items[arrow.source].loop = arrow
            items[arrow.source].width += 5 + text_width(_cut(arrow.label))
    courses = [_course(arrow, up, items) for arrow, up in down]
    ranks: list[list[_Item]] = [[] for _ in range(max(rank_of.values()) + 1)]
    for item in (*items.values(), *(inner for course in courses for inner in course.items[1:-1])):
        ranks[item.rank].append(item)
    return ranks, courses


def _back_arrows(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> set[Arrow]:
    """Return the arrows that lead back to a box on the way to their own, found in the order of the file."""
    following: dict[str, list[Arrow]] = {box.name: [] for box in boxes}
    for arrow in arrows:
        following[arrow.source].append(arrow)
    back: set[Arrow] = set()
    done: set[str] = set()
    for start in following:
        if start in done:
            continue
        way, open_arrows = [start], [iter(following[start])]
        while way:
            onward = next(open_arrows[-1], None)
            if onward is None:
                done.add(way.pop())
                open_arrows.pop()
            elif onward.target in way:
                back.add(onward)
            elif onward.target not in done:
                way.append(onward.target)
                open_arrows.append(iter(following[onward.target]))
    return back


def _depths(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return for each box the length of the longest way to it; the pairs have no cycle."""
    depth = dict.fromkeys(names, 0)
    known = list(pairs)
    for _ in names:
        raised = False
        for upper, lower in known:
            if depth[lower] <= depth[upper]:
                depth[lower], raised = depth[upper] + 1, True
        if not raised:
            break
    return depth


def _labelled_gaps(down: Sequence[tuple[Arrow, bool]], depth: Mapping[str, int]) -> set[int]:
    """Return the depths below which a rank of its own holds labels: next to the box that an arrow comes from."""
    return {depth[arrow.source] - up for arrow, up in down if arrow.label}


def _course(arrow: Arrow, up: bool, items: Mapping[str, _Item]) -> _Course:
    first, last = (arrow.target, arrow.source) if up else (arrow.source, arrow.target)
    way = [items[first]]
    label = _cut(arrow.label)
    for rank in range(items[first].rank + 1, items[last].rank):
        is_next = rank == (items[last].rank - 1 if up else items[first].rank + 1)
        shown = label if is_next else ""
        way.append(_Item(rank, 2 + text_width(shown) if shown else 1, label=shown))
    way.append(items[last])
    for upper, lower in pairwise(way):
        upper.below.append(lower)
        lower.above.append(upper)
    return _Course(arrow, way, up)


def _cut(label: str) -> str:
    label = " ".join(label.split())
    if text_width(label) <= MAX_LABEL:
        return label
    while text_width(label) > MAX_LABEL - 1:
        label = label[:-1]
    return label + "…"


def _order(ranks: list[list[_Item]]) -> None:
    """Put each rank in the order in which few arrows cross: by the mean place of the neighbours, again and again."""
    best, fewest = [list(rank) for rank in ranks], _crossings(ranks)
    for sweep in range(_SWEEPS):
        downward = sweep % 2 == 0
        for rank in ranks[1:] if downward else ranks[-2::-1]:
            place = {id(item): at for row in ranks for at, item in enumerate(row)}
            means = {
                id(item): sum(place[id(other)] for other in near) / len(near) if near else place[id(item)]
                for item in rank
                for near in (item.above if downward else item.below,)
            }
            rank.sort(key=lambda item, means=means: means[id(item)])  # type: ignore[misc]  # mypy: no default here
        if (count := _crossings(ranks)) < fewest:
            best, fewest = [list(rank) for rank in ranks], count
    for rank, kept in zip(ranks, best, strict=True):
        rank[:] = kept


def _crossings(ranks: Sequence[Sequence[_Item]]) -> int:
    count = 0
    for rank in ranks[:-1]:
        place = {id(item): at for at, item in enumerate(ranks[rank[0].rank + 1])} if rank else {}
        ends = [(at, place[id(lower)]) for at, upper in enumerate(rank) for lower in upper.below]
        count += sum(a < c and b > d for a, b in ends for c, d in ends)
    return count


def _place(ranks: list[list[_Item]]) -> None:
    """Give every item its column: as near to its neighbours as its rank's order allows."""
    for rank in ranks:
        at = 0
        for item in rank:
            item.x, at = at, at + item.width + _GAP
    for sweep in range(_SWEEPS):
        upward = sweep % 2 == 1
        for rank in ranks[-2::-1] if upward else ranks[1:]:
            _settle(rank, upward)
    left = min(item.x for rank in ranks for item in rank)
    for rank in ranks:
        for item in rank:
            item.x -= left


def _settle(rank: Sequence[_Item], upward: bool) -> None:
    """Move the items of a rank to where they want to be, kept in order and apart, with the least squared error.

    Source: pool adjacent violators (Ayer et al. 1955).
    """
    offset, blocks = 0, []
    for item in rank:
        near = (item.below if upward else item.above) or [*item.above, *item.below] or [item]
        # A line that passes through is kept straight before boxes are centred.
        weights = [8 if item.box is None and other.box is None else 1 for other in near]
        wished = sum(other.middle * weight for other, weight in zip(near, weights, strict=True)) / sum(weights)
        blocks.append((wished - (item.line - 1) / 2 - offset, float(sum(weights)), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (second, heavy, many), (first, weight, count) = blocks.pop(), blocks.pop()
            mean = (first * weight + second * heavy) / (weight + heavy)
            blocks.append((mean, weight + heavy, count + many))
        offset += item.width + _GAP
    offset, at = 0, iter(rank)
    for start, _, count in blocks:
        for _ in range(count):
            item = next(at)
            item.x = round(start) + offset
            offset += item.width + _GAP


def _drawn(name: str, ranks: list[list[_Item]], courses: Sequence[_Course]) -> Drawing:
    strands = _strands(ranks, courses)
    tops, y = [], 0
    for at, rank in enumerate(ranks):
        tops.append(y)
        y += max((item.height for item in rank), default=1)
        if at + 1 < len(ranks):
            # Below a box a line comes out of it before it turns; above one there is room for the arrow's head.
            y += pack_strands(strands[at]) + _has_box(rank) + _has_box(ranks[at + 1])
    floors = [top + max((item.height for item in rank), default=1) for top, rank in zip(tops, ranks, strict=True)]
    boxes = [
        PlacedBox(item.box, item.x, tops[item.rank], item.line, item.height)
        for rank in ranks
        for item in rank
        if item.box is not None
    ]
    arrows = [_loop(item, tops[item.rank]) for rank in ranks for item in rank if item.loop is not None]
    taken = [iter(strands[at]) for at in range(len(ranks))]
    arrows += [
        _arrow(course, [next(taken[item.rank]) for item in course.items[:-1]], tops, floors) for course in courses
    ]
    width = max(item.x + item.width for rank in ranks for item in rank)
    return Drawing(name, width, y, tuple(boxes), tuple(arrows))


def _has_box(rank: Sequence[_Item]) -> bool:
    return any(item.box is not None for item in rank)


def _strands(ranks: list[list[_Item]], courses: Sequence[_Course]) -> list[list[Strand]]:
    """Return for the gap below each rank its pieces of arrows, in the order of the arrows, with their columns."""
    steps = [(at, step) for at, course in enumerate(courses) for step in range(len(course.items) - 1)]
    middles = {(at, step): courses[at].items[step + 1].middle for at, step in steps}
    starts = _ports(ranks, courses, middles)
    ends = _ports(ranks, courses, {(at, step + 1): starts[at, step] for at, step in steps})
    found: list[list[Strand]] = [[] for _ in ranks]
    for at, course in enumerate(courses):
        for step, item in enumerate(course.items[:-1]):
            found[item.rank].append(Strand(starts[at, step], ends[at, step + 1]))
    return found


def _ports(
    ranks: list[list[_Item]], courses: Sequence[_Course], wishes: Mapping[tuple[int, int], float]
) -> dict[tuple[int, int], int]:
    """Return the column at which each arrow leaves (or meets) each of its items, by arrow and step.

    Args:
        wishes: the columns they would best have.
    """
    meeting: dict[int, list[tuple[float, int, int]]] = {}
    for (at, step), wish in wishes.items():
        meeting.setdefault(id(courses[at].items[step]), []).append((wish, at, step))
    columns: dict[tuple[int, int], int] = {}
    for item in (item for rank in ranks for item in rank):
        wished = sorted(meeting.get(id(item), []))
        for (_, at, step), x in zip(wished, _spread(item, [wish for wish, _, _ in wished]), strict=True):
            columns[at, step] = x
    return columns


def _spread(item: _Item, wishes: Sequence[float]) -> list[int]:
    """Return different columns of an item near the wished ones, in their order."""
    if item.box is None:
        return [item.x for _ in wishes]
    least, most = item.x + 1, item.x + item.line - 2
    step = 2 if (len(wishes) - 1) * 2 <= most - least else 1
    found: list[int] = []
    for at, wish in enumerate(wishes):
        lowest = found[-1] + step if found else least
        highest = most - step * (len(wishes) - 1 - at)
        found.append(min(max(round(wish), lowest), max(highest, lowest)))
    return found


def _arrow(course: _Course, strands: Sequence[Strand], tops: Sequence[int], floors: Sequence[int]) -> PlacedArrow:
    points: list[tuple[int, int]] = []
    for item, strand in zip(course.items, strands, strict=False):
        floor, ceiling = floors[item.rank], tops[item.rank + 1] - 1
        # Below labels alone a line may turn at once.
        turn = floor + strand.track - (floor - tops[item.rank] == 1)
        # A box of a rank with higher ones has a longer way down from its own floor.
        start = tops[item.rank] + item.height
        points += [(strand.start, min(start, floor)), (strand.start, turn), (strand.end, turn), (strand.end, ceiling)]
    label = next((item for item in course.items if item.label), None)
    label_at = (label.x + 2, tops[label.rank]) if label else (0, 0)
    path = _straightened(points)
    return PlacedArrow(
        course.arrow, tuple(reversed(path)) if course.up else tuple(path), label.label if label else "", label_at
    )


def _straightened(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the points without those that lie on the straight way between their neighbours."""
    kept: list[tuple[int, int]] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and (kept[-2][0] == kept[-1][0] == point[0] or kept[-2][1] == kept[-1][1] == point[1]):
            kept.pop()
        kept.append(point)
    return kept


def _loop(item: _Item, top: int) -> PlacedArrow:
    """Return an arrow from a box back to itself, at its right side."""
    if item.loop is None:
        raise ValueError("the item has no loop")
    x = item.x + item.line
    points = ((x, top + 1), (x + 2, top + 1), (x + 2, top + 2), (x, top + 2))
    return PlacedArrow(item.loop, points, _cut(item.loop.label), (x + 4, top + 1))
