from pathlib import Path
from typing import Any

import pytest

from flowloom.core.events import Decided, Event
from flowloom.core.ports import CallRef
from flowloom.runs.decisions import RunDecisions
from flowloom.runs.store import RunStore


class Sink:
    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store, self._run_id = store, run_id

    def emit(self, node: str, event: Event) -> None:
        self._store.append_event(self._run_id, node, event)

    def progress(self, node: str, phase: Any, amount: int = 0) -> None:
        raise AssertionError("a decision is no progress")


def decided(call: str, verdict: str = "allow", unasked: bool = True) -> tuple[CallRef, Decided]:
    return CallRef("code#1", call), Decided(call, "a.py", "edit", verdict, "mode auto", unasked)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    with RunStore(tmp_path / "runs.db") as store:
        row = store.create_run(
            graph="g", graph_source="", graph_text="", fingerprint="", input={}, options={}, workspace=tmp_path
        )
        yield lambda limit=None: RunDecisions(store, row.id, Sink(store, row.id), limit), store, row.id


def test_every_decision_is_an_event(run: Any) -> None:
    make, store, run_id = run
    make().tell(*decided("t1.0", "deny", unasked=False))
    (record,) = store.events(run_id)
    assert (record.type, record.node, record.data["verdict"]) == ("decision", "code#1", "deny")


def test_what_happened_unasked_is_counted_over_processes(run: Any) -> None:
    make, _, _ = run
    first = make(2)
    first.tell(*decided("t1.0"))
    first.tell(*decided("t1.1", "ask", unasked=False))
    assert first.used_up() == ""
    first.tell(*decided("t1.2"))
    assert "2 effects" in first.used_up()
    assert "approvals.max_requests" in make(2).used_up()


def test_a_call_that_is_decided_again_after_a_question_counts_once(run: Any) -> None:
    make, store, run_id = run
    for _ in range(2):
        make(1).tell(*decided("t1.0", "ask", unasked=False))
    assert len(store.events(run_id)) == 1


def test_a_limit_of_nothing_is_used_up_at_once(run: Any) -> None:
    make, _, _ = run
    assert make(0).used_up()
    assert make(None).used_up() == ""
