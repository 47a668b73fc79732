from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from flowloom.core.errors import UsageError
from flowloom.core.events import ModelCalled, NodeEnded, NodeFailed, NodeStarted, QuestionAsked, RunEnded, ToolEnded
from flowloom.runs.checkpoints import open_saver
from flowloom.runs.steps import Step, follow, read_steps
from flowloom.runs.store import RunRow, RunStore
from flowloom.runs.usage import ModelUse

CODE = "implement[合計]#2/code#1"


@pytest.fixture
def save(store: RunStore, row: RunRow) -> Callable[..., None]:
    """Return a function that stores the bare row of a checkpoint, as the saver would."""

    def save(number: int, namespace: str, event: int | None) -> None:
        metadata = {"step": number} if event is None else {"step": number, "event": event}
        with store.change() as db:
            db.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, metadata) VALUES (?, ?, ?, ?)",
                (row.id, namespace, f"id{number:03}", json.dumps(metadata).encode()),
            )

    return save


@pytest.fixture
async def tables(store: RunStore) -> None:
    async with open_saver(store.path):
        pass


def test_run_without_events_has_no_steps(store: RunStore, row: RunRow) -> None:
    assert read_steps(store, row.id) == []


def test_run_that_does_not_exist_is_an_error(store: RunStore) -> None:
    with pytest.raises(UsageError, match="no run"):
        read_steps(store, "nosuchid")


def test_step_counts_its_calls_tools_and_files(store: RunStore, row: RunRow) -> None:
    store.append_event(row.id, CODE, NodeStarted("coder", 1))
    store.append_event(row.id, CODE, ModelCalled("k0", "m:24b", 1.5, 1200, 34))
    store.append_event(row.id, CODE, ToolEnded("c1", "edit_file", True, 0.1, ("src/合計.py", "a.py")))
    store.append_event(row.id, CODE, ToolEnded("c2", "edit_file", False, 0.1))
    store.append_event(row.id, CODE, ModelCalled("k1", "m:24b", 1.5, None, None))
    last = store.append_event(row.id, CODE, NodeEnded(1, 12.5, "二行"))
    (step,) = read_steps(store, row.id)
    assert step == Step(
        number=1,
        node=CODE,
        kind="coder",
        state="done",
        model="m:24b",
        used=ModelUse(2, 1200, 34),
        seconds=12.5,
        began=step.began,
        ended=last.at,
        tools={"edit_file": 2},
        failed_tools=1,
        files=["a.py", "src/合計.py"],
        summary="二行",
    )


def test_each_visit_is_a_step_and_a_visit_begun_again_is_one(store: RunStore, row: RunRow) -> None:
    for node in ("a#1", "a#1", "a#2"):
        store.append_event(row.id, node, NodeStarted("set", int(node[-1])))
    store.append_event(row.id, "a#1", NodeFailed(1, "だめ"))
    store.append_event(row.id, "b#1", NodeEnded(1, 0.0, skipped=True))
    steps = read_steps(store, row.id)
    assert [(step.number, step.node, step.state) for step in steps] == [
        (1, "a#1", "failed"),
        (2, "a#2", "running"),
        (3, "b#1", "skipped"),
    ]


@pytest.mark.parametrize(
    ("status", "state"), [("running", "running"), ("waiting", "waiting"), ("interrupted", "stopped")]
)
def test_unfinished_step_says_what_became_of_it(store: RunStore, row: RunRow, status: str, state: str) -> None:
    store.append_event(row.id, "a#1", NodeStarted("human", 1))
    store.append_event(row.id, "a#1", QuestionAsked("q", "human", "よい?", ("yes",)))
    store.update_run(row.id, status=status)
    assert read_steps(store, row.id)[0].state == state


@pytest.mark.usefixtures("tables")
def test_checkpoint_is_the_first_of_its_graph_after_the_end(
    store: RunStore, row: RunRow, save: Callable[..., None]
) -> None:
    store.append_event(row.id, "implement[合計]#2", NodeStarted("graph", 2))
    store.append_event(row.id, CODE, NodeStarted("coder", 1))
    ended = store.append_event(row.id, CODE, NodeEnded(1, 1.0)).seq
    outer = store.append_event(row.id, "implement[合計]#2", NodeEnded(2, 1.0)).seq
    save(1, "", None)
    save(2, "", ended - 1)
    save(3, "implement:u1|code:u2", ended)
    save(4, "implement:u1", ended)
    save(5, "implement:u1", outer)
    save(6, "", outer)
    steps = {step.node: (step.checkpoint, step.namespace) for step in read_steps(store, row.id)}
    assert steps == {"implement[合計]#2": ("id006", ""), CODE: ("id004", "implement:u1")}


@pytest.mark.usefixtures("tables")
def test_checkpoint_below_an_item_that_ran_beside_others_is_found(
    store: RunStore, row: RunRow, save: Callable[..., None]
) -> None:
    store.append_event(row.id, "fix[a]/code#1", NodeStarted("coder", 1))
    ended = store.append_event(row.id, "fix[a]/code#1", NodeEnded(1, 1.0)).seq
    save(1, "fix[]:u1", ended)
    assert read_steps(store, row.id)[0].checkpoint == "id001"


@pytest.mark.usefixtures("tables")
def test_result_that_no_checkpoint_holds_yet_has_none(
    store: RunStore, row: RunRow, save: Callable[..., None]
) -> None:
    store.append_event(row.id, "a#1", NodeStarted("set", 1))
    save(1, "", 1)
    store.append_event(row.id, "a#1", NodeEnded(1, 1.0))
    assert read_steps(store, row.id)[0].checkpoint == ""


def test_following_an_ended_run_gives_all_its_events_and_ends(store: RunStore, row: RunRow) -> None:
    for n in range(3):
        store.append_event(row.id, f"a#{n}", NodeStarted("set", n))
    store.update_run(row.id, status="done")
    assert [event.seq for event in follow(store, row.id)] == [1, 2, 3]
    assert [event.seq for event in follow(store, row.id, after=2)] == [3]


def test_following_sees_what_another_connection_writes_up_to_the_end(store: RunStore, row: RunRow) -> None:
    def work() -> None:
        with RunStore(store.path) as other:
            for n in range(20):
                other.append_event(row.id, f"a#{n}", NodeStarted("set", n))
            with other.change():
                other.update_run(row.id, status="done")
                other.append_event(row.id, "", RunEnded("done", 0))

    worker = threading.Thread(target=work)
    worker.start()
    seen = [event.type for event in follow(store, row.id, pause=lambda _: None)]
    worker.join()
    assert seen == ["node_start"] * 20 + ["run_end"]


def test_following_ends_when_the_process_of_the_run_is_gone(store: RunStore, row: RunRow) -> None:
    store.append_event(row.id, "a#1", NodeStarted("set", 1))
    store.update_run(row.id, pid=2**22 + 1)
    assert [event.type for event in follow(store, row.id)] == ["node_start"]
