"""Some cells of the fault matrix; `make bench-faults` runs all of them."""

from __future__ import annotations

import pytest

from flowloom.bench.fault_matrix.cell import Cell, Result, run_cell
from flowloom.bench.fault_matrix.faults import FAULTS, Api, Role, WireFault
from flowloom.bench.fault_matrix.report import BEGIN, END, written

CELLS: list[tuple[str, Api, Role, bool]] = [
    ("connection refused: the server is gone", "ollama", "coder", True),
    ("connection reset inside the stream", "openai", "coder", False),
    ("HTTP 503, busy", "openai", "planner", False),
    ("HTTP 404, the model is gone", "ollama", "reviewer", True),
    ("prompt cut silently, its count too low", "ollama", "planner", True),
    ("a stream without its last part", "ollama", "coder", True),
    ("a part cut in its middle", "openai", "coder", True),
    ("silence before the first token", "openai", "reviewer", True),
    ("silence inside the reply", "ollama", "coder", False),
    ("reply cut at its limit, in a call", "openai", "coder", True),
    ("call with arguments that are no JSON", "ollama", "coder", False),
]


def named(name: str) -> WireFault:
    (found,) = [fault for fault in FAULTS if fault.name == name]
    return found


@pytest.mark.parametrize(("name", "api", "role", "lasting"), CELLS)
def test_run_ends_in_time_runs_no_cut_call_and_goes_on_to_the_calm_end(
    name: str, api: Api, role: Role, lasting: bool
) -> None:
    result = run_cell(Cell(named(name), api, role, lasting))
    assert result.wrong == ()


def test_table_takes_the_place_of_the_old_one_and_tells_apis_apart() -> None:
    fault = named("a stream under another content type")
    results = [
        Result(Cell(fault, "ollama", "coder", False), "done", ()),
        Result(Cell(fault, "openai", "coder", True), "paused 5", ("a cut call ran",)),
        Result(Cell(fault, "ollama", "coder", True), "done", ()),
        Result(Cell(fault, "openai", "coder", False), "done", ()),
    ]
    document = written(f"before\n{BEGIN}\nold\n{END}\nafter", results)
    row = f"| {fault.name} | done | Ollama: done; OpenAI: paused, exit 5 | 3 of 4 |"
    assert document.startswith(f"before\n{BEGIN}\n| fault |") and document.endswith(f"\n{row}\n{END}\nafter")
