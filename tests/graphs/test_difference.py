from __future__ import annotations

import pytest

from flowloom.graphs.difference import MAX_LINES, differences
from flowloom.graphs.read import read_text

GRAPH = """flow: 1
name: main
input: {task: {type: string, required: true}}
state: {out: {type: any}, n: {type: int}}
output: {out: state.out}
limits: {tokens: 600k, wall: 60m}
nodes:
  plan: {type: planner, prompt: "Plan {{ input.task }}"}
  code:
    type: coder
    prompt: |
      一行目
      二行目 {{ input.task }}
    tools: [read_file, edit_file]
    max_visits: 3
    on_limit: stop
  test: {type: shell, run: [pytest, -q], timeout: 10m, output: {to: out}}
  part: {type: graph, graph: below, with: {task: "{{ input.task }}"}}
  stop: {type: fail, message: だめ}
edges:
  - [START, plan, code, test]
  - {from: test, when: output.exit_code == 0, to: part, else: code}
  - [part, END]
---
flow: 1
name: below
input: {task: {type: string, required: true}}
nodes:
  one: {type: set, value: {}}
edges: [[START, one, END]]
"""


def changes(*edits: tuple[str, str]) -> list[str]:
    text = GRAPH
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return differences("main", read_text(GRAPH, "g.yaml"), read_text(text, "g.yaml"))


LINES = (
    ("Plan {{", "Think {{", "node 'plan', prompt: 'Plan {{ input.task }}' -> 'Think {{ input.task }}'"),
    ("二行目 {{", "三行 {{", "node 'code', prompt: line 2: '二行目 {{ input.task }}' -> '三行 {{ input.task }}'"),
    ("[read_file, edit_file]", "[read_file]", "node 'code', tools: [read_file, edit_file] -> [read_file]"),
    ("max_visits: 3", "max_visits: 5", "node 'code', max_visits: 3 -> 5"),
    ("timeout: 10m", "timeout: 5m", "node 'test', timeout_s: 600.0 -> 300.0"),
    ("[pytest, -q]", "[pytest]", "node 'test', run: [pytest, -q] -> [pytest]"),
    ("tokens: 600k", "tokens: 1M", "limit 'tokens': 600000 -> 1000000"),
    (", wall: 60m", "", "limit 'wall_s': 3600.0 -> none"),
    ("n: {type: int}", "n: {type: string}", "state 'n', type: 'int' -> 'string'"),
    (", n: {type: int}", "", "state 'n' is gone"),
    ("out: state.out}\nl", "out: state.n}\nl", "output, out: 'state.out' -> 'state.n'"),
    ("[part, END]", "[part, stop]", "edge from 'part': END -> stop"),
    ("exit_code == 0, to: part", "exit_code, to: part", "edge from 'test': {when}"),
    ("limits:", "permissions: {bash(make): deny}\nlimits:", "rule 'bash(make)' is new"),
    ("limits:", "network: true\nlimits:", "network: none -> True"),
    ("type: shell", "type: shell, network: false", "node 'test', network: nothing -> False"),
    (
        "type: coder\n",
        "type: coder\n    permissions: {bash(make): allow}\n",
        "node 'code', permissions: nothing -> {'bash(make)': 'allow'}",
    ),
    ("one: {type: set, value: {}}", "one: {type: fail, message: x}", "below: node 'one', type: 'set' -> 'fail'"),
)
WHEN = "part when output.exit_code == 0, else code -> part when output.exit_code, else code"


@pytest.mark.parametrize(("old", "new", "line"), LINES)
def test_change_is_told_with_its_place_and_both_values(old: str, new: str, line: str) -> None:
    assert line.replace("{when}", WHEN) in changes((old, new))


def test_new_and_missing_nodes_are_told_with_their_edges() -> None:
    found = changes(("  stop: {type: fail", "  extra: {type: fail, message: x}\n  stop: {type: fail"))
    assert found == ["node 'extra' is new"]


def test_long_line_is_shown_from_where_it_parts() -> None:
    long = "あ" * 200
    before = GRAPH.replace("Plan {{", f"{long} A {{{{")
    after = GRAPH.replace("Plan {{", f"{long} B {{{{")
    (line,) = differences("main", read_text(before, "g"), read_text(after, "g"))
    assert len(line) < 250
    assert " A {{ input.task }}' -> '..." in line


def test_layout_comments_and_descriptions_are_no_change() -> None:
    assert changes(("nodes:\n", "# なに\nnodes:\n"), ("required: true", "required: true, description: what")) == []


def test_many_changes_are_counted_after_the_first() -> None:
    nodes = "".join(f"  x{n}: {{type: fail, message: x}}\n" for n in range(30))
    found = changes(("nodes:\n", f"nodes:\n{nodes}"))
    assert len(found) == MAX_LINES + 1
    assert found[-1] == "... and 18 more changes"


def test_graph_whose_text_was_not_kept_is_named() -> None:
    now = read_text(GRAPH, "g")
    assert differences("main", {"main": now["main"]}, now) == ["graph 'below' is not among those of then"]
