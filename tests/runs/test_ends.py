"""Ends of visits on disk: found by the process after the one that stored them, gone once a checkpoint holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flowloom.core.events import NodeEnded
from flowloom.runs.ends import VisitEnds
from flowloom.runs.store import RunRow, RunStore


@contextmanager
def superstep(number: int) -> Iterator[None]:
    """Stand for a superstep of LangGraph."""
    from langchain_core.runnables.config import var_child_runnable_config

    token = var_child_runnable_config.set({"metadata": {"langgraph_step": number}})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


class Ends:
    """The ends of one run; `again` stands for the next process."""

    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._ends = VisitEnds(store, run_id)

    def keep(self, visit: str, graph: str = "", step: int = 1, update: dict[str, Any] | None = None) -> None:
        with superstep(step), self._ends.keeping(visit, graph, update or {"visits": {visit: 1}}):
            self._store.append_event(self._run_id, visit, NodeEnded(1, 0.1))

    def again(self) -> VisitEnds:
        return VisitEnds(self._store, self._run_id)

    @property
    def kept(self) -> set[str]:
        return {row["visit"] for row in self._store.query("SELECT visit FROM visit_end")}


@pytest.fixture
def ends(store: RunStore, row: RunRow) -> Ends:
    return Ends(store, row.id)


def test_end_is_found_by_the_next_process(ends: Ends) -> None:
    ends.keep("a#1", update={"state_x": {"__overwrite__": ["あ", None, 1.5]}})
    assert ends.again().find("a#1") == {"state_x": {"__overwrite__": ["あ", None, 1.5]}}
    assert ends.again().find("a#2") is None


def test_process_that_stored_an_end_makes_a_visit_of_that_name_again(ends: Ends) -> None:
    ends.keep("a#1")
    assert ends._ends.find("a#1") is None


def test_end_and_its_event_are_stored_together_or_not_at_all(ends: Ends, store: RunStore, row: RunRow) -> None:
    with pytest.raises(RuntimeError), superstep(1), ends._ends.keeping("a#1", "", {}):
        store.append_event(row.id, "a#1", NodeEnded(1, 0.1))
        raise RuntimeError("the disk is full")
    assert (ends.kept, store.events(row.id)) == (set(), [])


def test_ends_of_one_superstep_stay_until_the_next_one(ends: Ends) -> None:
    for name in ("a[1]#1", "a[2]#1"):
        ends.keep(name, step=2)
    assert ends.kept == {"a[1]#1", "a[2]#1"}
    ends.keep("b#1", step=4)
    assert ends.kept == {"b#1"}


def test_ends_of_another_graph_stay(ends: Ends) -> None:
    ends.keep("s[p]/one#1", "s[p]", step=1)
    ends.keep("s[q]/one#1", "s[q]", step=5)
    assert ends.kept == {"s[p]/one#1", "s[q]/one#1"}


def test_ends_of_a_graph_go_with_the_visit_that_runs_it(ends: Ends) -> None:
    ends.keep("s/one#1", "s")
    ends.keep("s#2/t/two#1", "s#2/t")
    ends.keep("s#1", step=3)
    assert ends.kept == {"s#2/t/two#1", "s#1"}
    ends.keep("s#2", step=5)
    assert ends.kept == {"s#2"}


def test_ends_that_an_earlier_process_stored_go_as_well(ends: Ends, store: RunStore, row: RunRow) -> None:
    ends.keep("a#1", step=1)
    Ends(store, row.id).keep("b#1", step=2)
    assert ends.kept == {"b#1"}


def test_dropped_ends_are_gone(ends: Ends) -> None:
    ends.keep("a#1")
    ends.again().drop()
    assert ends.kept == set()


def test_ends_of_a_removed_run_are_removed(ends: Ends, store: RunStore, row: RunRow) -> None:
    ends.keep("a#1")
    store.remove_run(row.id)
    assert ends.kept == set()
