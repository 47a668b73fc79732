from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowloom.graphs.beside import KeptFiles
from flowloom.graphs.draw_ascii import ascii_drawing
from flowloom.graphs.draw_mermaid import mermaid
from flowloom.graphs.draw_svg import svg
from flowloom.graphs.find import SHIPPED_FOLDER
from flowloom.graphs.layout import Drawing, lay_out
from flowloom.graphs.picture import Arrow, Box, Picture, picture_of
from flowloom.graphs.read import read_text

LOOP = """\
flow: 1
name: loop
input: {task: {type: string}}
nodes:
  code: {type: coder, prompt: p, max_visits: 3, on_limit: stuck, on_error: stuck}
  test: {type: shell, run: [ls], if: input.task}
  ask: {type: human, show: s, choices: [again, end, stop], headless: end}
  stuck: {type: fail, message: m}
edges:
  - [START, code, test]
  - {from: test, when: output.exit_code == 0, to: ask, else: code}
  - {from: ask, switch: output.choice, cases: {again: ask, end: END, stop: END}}
"""


def picture(text: str = LOOP) -> Picture:
    return picture_of(next(iter(read_text(text, "g.yaml").values())))


def test_every_way_of_the_file_is_an_arrow_with_its_reason() -> None:
    assert picture().arrows == (
        Arrow("START", "code"),
        Arrow("code", "test"),
        Arrow("code", "stuck", "at its limit", "limit"),
        Arrow("code", "stuck", "on an error", "error"),
        Arrow("test", "ask", "output.exit_code == 0"),
        Arrow("test", "code", "else"),
        Arrow("ask", "ask", "again"),
        Arrow("ask", "END", "end, stop"),
    )


def test_a_box_tells_the_type_and_what_bounds_the_node() -> None:
    assert [box.note for box in picture().boxes] == ["", "coder, max 3", "shell, optional", "human", "fail", ""]


def test_a_small_loop_is_drawn_in_characters() -> None:
    text = """flow: 1
name: loop
nodes:
  code: {type: coder, prompt: p, max_visits: 3, on_limit: stuck}
  test: {type: shell, run: [ls]}
  stuck: {type: fail, message: m}
edges:
  - [START, code, test]
  - {from: test, when: output.exit_code == 0, to: END, else: code}
"""
    assert ascii_drawing(lay_out(picture(text))) == SMALL


SMALL = """\
    ┌───────┐
    │ START │
    └───────┘
        │
        ▼
┌──────────────┐
│ code         │
│ coder, max 3 │
└──────────────┘
  │   ▲       │
  │   │       └┐
  │   │ else   │ at its limit
  ▼   │        ▼
┌───────┐   ┌───────┐
│ test  │   │ stuck │
│ shell │   │ fail  │
└───────┘   └───────┘
    │
    │ output.exit_code == 0
    ▼
 ┌─────┐
 │ END │
 └─────┘
"""


def test_plain_drawing_is_ascii_of_the_same_shape() -> None:
    drawing = lay_out(picture())
    plain = ascii_drawing(drawing, plain=True)
    assert plain.isascii()
    assert list(map(len, plain.splitlines())) == list(map(len, ascii_drawing(drawing).splitlines()))


def test_wide_characters_take_two_columns_in_a_box() -> None:
    text = LOOP.replace("code", "計画").replace("exit_計画", "exit_code").replace("計画r", "coder")
    lines = ascii_drawing(lay_out(picture(text))).splitlines()
    (row,) = (line for line in lines if "計画" in line)
    border = lines[lines.index(row) - 1]
    assert len(row.rstrip()) + 2 == len(border.rstrip())


def test_a_long_condition_is_cut_in_the_drawing_and_whole_in_the_picture() -> None:
    condition = "output.exit_code == 0 and input.task == 'a very long text indeed'"
    drawing = lay_out(picture(LOOP.replace("output.exit_code == 0", f'"{condition}"')))
    (arrow,) = (arrow for arrow in drawing.arrows if arrow.arrow.target == "ask" and arrow.arrow.source == "test")
    assert arrow.label.endswith("…") and len(arrow.label) == 32
    assert condition in svg(drawing)


@pytest.mark.parametrize("path", sorted(SHIPPED_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_graphs_are_drawn_alike_each_time(path: Path) -> None:
    for spec in read_text(path.read_text("utf-8"), str(path), KeptFiles({})).values():
        first, second = (lay_out(picture_of(spec)) for _ in range(2))
        assert first == second
        assert_readable(first)


def test_svg_is_well_formed_loads_nothing_and_has_every_text() -> None:
    text = svg(lay_out(picture()))
    root = ElementTree.fromstring(text)
    assert not re.search(r"<script|href|url\((?!#head)|@import", text)
    shown = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"START", "END", "code", "test", "ask", "output.exit_code == 0", "end, stop", "again"} <= set(shown)


def test_names_and_conditions_of_a_file_stay_text_in_svg_and_mermaid() -> None:
    evil = LOOP.replace("[again, end, stop]", "['</text><script>x()</script>\"]; click n0', end, stop]")
    evil = evil.replace("cases: {again:", "cases: {'</text><script>x()</script>\"]; click n0':")
    found = picture(evil)
    assert "<script" not in svg(lay_out(found))
    ElementTree.fromstring(svg(lay_out(found)))
    assert not re.search(r'<script|"\]; click', mermaid(found))


def test_mermaid_has_a_line_a_box_and_a_line_an_arrow() -> None:
    lines = mermaid(picture()).splitlines()
    assert lines[0] == "flowchart TD"
    assert '  n1["code<br/><small>coder, max 3</small>"]' in lines
    assert '  n2 -->|"output.exit_code == 0"| n3' in lines
    assert '  n1 -.->|"at its limit"| n4' in lines
    assert len(lines) == 1 + 6 + 8


names = st.sampled_from(["START", "a", "bb", "ccc", "dddd", "e", "一二", "END"])
arrows = st.lists(st.tuples(names, names, st.sampled_from(["", "yes", "output.exit_code == 0"])), min_size=1)


@settings(max_examples=150, deadline=None)
@given(arrows)
def test_whatever_is_drawn_stays_readable(found: list[tuple[str, str, str]]) -> None:
    unique = {(source, target): Arrow(source, target, label) for source, target, label in found}
    boxes = tuple(Box(name, "" if name.isupper() else "shell", "" if name.isupper() else "shell") for name in ALL)
    drawing = lay_out(Picture("g", boxes, tuple(unique.values())))
    assert len(drawing.arrows) == len(unique)
    assert_readable(drawing)
    ElementTree.fromstring(svg(drawing))
    text = ascii_drawing(drawing)
    for placed in drawing.boxes:
        assert placed.box.name in text


ALL = ("START", "a", "bb", "ccc", "dddd", "e", "一二", "END")


def assert_readable(drawing: Drawing) -> None:
    """Boxes and labels overlap nothing, arrows run through no box, and every arrow arrives at its own."""
    cells = {placed.box.name: cells_of(placed.x, placed.y, placed.width, placed.height) for placed in drawing.boxes}
    for one, other in combinations(cells.values(), 2):
        assert not one & other
    taken = set().union(*cells.values())
    labels: set[tuple[int, int]] = set()
    for arrow in drawing.arrows:
        assert not line_cells(arrow.points) & taken
        label = cells_of(*arrow.label_at, len(arrow.label), 1)
        assert not label & (taken | labels)
        labels |= label
        assert touches(arrow.points[0], cells[arrow.arrow.source])
        assert touches(arrow.points[-1], cells[arrow.arrow.target])
    every = taken | labels
    assert max(x for x, _ in every) < drawing.width and max(y for _, y in every) < drawing.height


def cells_of(x: int, y: int, width: int, height: int) -> set[tuple[int, int]]:
    return {(x + right, y + down) for right in range(width) for down in range(height)}


def line_cells(points: tuple[tuple[int, int], ...]) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for (x, y), (to_x, to_y) in pairwise(points):
        assert x == to_x or y == to_y
        found |= cells_of(min(x, to_x), min(y, to_y), abs(x - to_x) + 1, abs(y - to_y) + 1)
    return found


def touches(point: tuple[int, int], box: set[tuple[int, int]]) -> bool:
    x, y = point
    return bool({(x, y - 1), (x, y + 1), (x - 1, y)} & box)
