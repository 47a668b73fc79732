"""Python nodes and Python schemas as the reader sees them: nothing of the code runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.core.errors import GraphInvalid
from flowloom.graphs.find import find_graph
from flowloom.graphs.spec import GraphSpec

CODE = """
import nowhere_to_be_found
from json import dumps as to_text

def pick(plan, task, *, limit: int = 3, other=None): ...
async def wait(item, run): ...
def named(**values): ...
def needs(missing): ...
def both(twice): ...
@property
def decorated(anything): ...
class Issue: ...
if True:
    Alias = Issue
raise SystemExit("importing this ends the process")
"""

GRAPH = """\
flow: 1
name: g
input: {task: {type: string}, twice: {type: int}, big: {schema: SCHEMA}}
state: {plan: {schema: Plan}, twice: {type: int}, xs: {type: list}}
nodes:
  a: {type: python, NODE}
edges: [[START, a, END]]
"""


def find(tmp_path: Path, node: str, schema: str = "Plan", code: str = CODE) -> GraphSpec:
    (tmp_path / "t.py").write_text(code, "utf-8")
    (tmp_path / "g.yaml").write_text(GRAPH.replace("NODE", node).replace("SCHEMA", schema), "utf-8")
    file, work = str(tmp_path / "g.yaml"), tmp_path / "work"
    return find_graph(file, workspace=work, user_dir=tmp_path / "none", is_trusted=lambda *_: False).spec


def faults(tmp_path: Path, node: str, schema: str = "Plan", code: str = CODE) -> list[str]:
    with pytest.raises(GraphInvalid) as caught:
        find(tmp_path, node, schema, code)
    return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("node", "given"),
    [
        ("call: 't.py:pick'", {"plan": "{{ state.plan }}", "task": "{{ input.task }}"}),
        ("call: 't.py:pick', with: {task: x, limit: 5}", {"task": "x", "limit": 5, "plan": "{{ state.plan }}"}),
        ("call: 't.py:wait', each: state.xs, as: x", {"item": "{{ item }}", "run": "{{ run }}"}),
        ("call: 't.py:named', with: {a: 1}", {"a": 1}),
        ("call: 't.py:decorated', with: {b: 1}", {"b": 1}),
        ("call: 't.py:to_text', with: {obj: 1}", {"obj": 1}),
        ("call: 'json:dumps', with: {obj: 1}", {"obj": 1}),
        ("call: 'math:sqrt', with: {x: 2}", {"x": 2}),
    ],
)
def test_a_function_is_given_what_its_parameters_are_called(
    tmp_path: Path, node: str, given: dict[str, object]
) -> None:
    assert find(tmp_path, node).nodes["a"].fields["with"] == given


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        ("call: 't.py:pik'", "g.yaml:6:27: {}t.py has no 'pik' (did you mean 'pick'?); it has: Alias, Issue, both,"),
        ("call: 't.py:needs'", "g.yaml:6:27: nothing gives 'missing' of 'needs'; give it in 'with'"),
        (
            "call: 't.py:both'",
            "g.yaml:6:27: 'twice' of 'both' could be state.twice or input.twice; say which in 'with'",
        ),
        (
            "call: 't.py:pick', with: {limt: 1}",
            "g.yaml:6:53: 'pick' takes no 'limt' (did you mean 'limit'?); it takes",
        ),
        (
            "call: 't.py:pick', with: {plan: '{{ state.pln }}'}",
            "g.yaml:6:53: state 'pln' is not declared (did you mean",
        ),
        ("call: 'u.py:pick'", "g.yaml:6:27: there is no file '{}u.py'"),
        ("call: 'no_such.mod:f'", "g.yaml:6:27: no module 'no_such.mod' is installed here; a file beside the graph"),
        ("call: 'json:dumpz'", "g.yaml:6:27: "),
        (
            "call: 't.py:pick', output: {schema: 't.py:Isue'}",
            "g.yaml:6:57: {}t.py has no 'Isue' (did you mean 'Issue'?)",
        ),
    ],
)
def test_a_call_that_cannot_work_is_a_fault_at_its_place(tmp_path: Path, node: str, fault: str) -> None:
    found = faults(tmp_path, node)
    assert any(line.startswith(fault.replace("{}", f"{tmp_path}/")) for line in found), found


def test_code_that_cannot_be_read_is_a_fault_at_its_own_place(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "call: 't.py:pick'", code="def pick(plan):\n    return (1,\n")
    assert fault == "t.py:2:12: not readable as Python: '(' was never closed"


def test_schemas_of_inputs_and_state_stand_in_code_too(tmp_path: Path) -> None:
    assert find(tmp_path, "call: 't.py:pick'", schema="'t.py:Alias'").inputs["big"].schema == "t.py:Alias"
    (fault,) = faults(tmp_path, "call: 't.py:pick'", schema="'t.py:Alia'")
    assert "3:65: " in fault and "has no 'Alia' (did you mean 'Alias'?)" in fault
