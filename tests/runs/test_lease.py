from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import FlowError, UsageError
from flowloom.core.events import NodeStarted
from flowloom.runs.fence import LeaseLost
from flowloom.runs.lease import Kind, Timing, find_lease, require_free_workspace, take_lease
from flowloom.runs.removal import remove_run
from flowloom.runs.rows import this_host
from flowloom.runs.store import RunRow, RunStore

KINDS: tuple[Kind, ...] = ("run", "workspace")
SHORT = Timing(lease_s=2, renew_s=0.2)

# Writes through the store and through the saver again and again, and prints how it ended.
OWNER = """
import asyncio, sys
from pathlib import Path
from langgraph.checkpoint.base import empty_checkpoint
from flowloom.core.events import NodeStarted
from flowloom.runs.checkpoints import open_saver
from flowloom.runs.fence import LeaseLost
from flowloom.runs.lease import Timing, take_lease
from flowloom.runs.store import RunStore

async def work(store, run):
    config = {"configurable": {"thread_id": run, "checkpoint_ns": "", "checkpoint_id": "1"}}
    async with open_saver(store.path, store.fence) as saver:
        while True:
            store.append_event(run, "a", NodeStarted("set", 1))
            await saver.aput(config, empty_checkpoint(), {}, {})
            print("working", flush=True)
            await asyncio.sleep(0.3)

with RunStore(Path(sys.argv[1])) as store:
    try:
        with take_lease(store, store.get_run(sys.argv[2]), timing=Timing(float(sys.argv[3]), 0.1)):
            asyncio.run(work(store, sys.argv[2]))
    except LeaseLost as err:
        print(err, flush=True)
"""
# Waits until it is told to begin, tries to take the run, and says how long that took and what it came to.
RESUMER = """
import json, sys, time
from pathlib import Path
from flowloom.core.errors import UsageError
from flowloom.core.events import NodeStarted
from flowloom.runs.lease import take_lease
from flowloom.runs.store import RunStore

with RunStore(Path(sys.argv[1])) as store:
    row = store.get_run(sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    try:
        with take_lease(store, row):
            store.append_event(row.id, "a", NodeStarted("set", 1))
            print(json.dumps({"won": True}), flush=True)
            sys.stdin.readline()
    except UsageError as err:
        print(json.dumps({"won": False, "seconds": time.monotonic() - began, "said": err.message}), flush=True)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def new_run(store: RunStore, workspace: str = "/w", mode: str = "auto") -> RunRow:
    return store.create_run(
        graph="g",
        graph_source="",
        graph_text="",
        fingerprint="",
        input={},
        options={"mode": mode},
        workspace=workspace,
    )


def change_lease(store: RunStore, kind: Kind, **columns: Any) -> None:
    with store.change() as db:
        sets = ", ".join(f"{name} = ?" for name in columns)
        db.execute(f"UPDATE lease SET {sets} WHERE kind = ?", (*columns.values(), kind))


def test_held_run_is_refused_naming_process_host_and_age(store: RunStore, row: RunRow) -> None:
    take_lease(store, row)
    change_lease(store, "run", taken_at=time.time() - 300)
    before = find_lease(store, "run", row.id)
    with RunStore(store.path) as other, pytest.raises(UsageError) as refused:
        take_lease(other, row)
    assert refused.value.message == (
        f"Run {row.id} is being worked on by process {os.getpid()} on {this_host()!r} since 5 min."
    )
    assert refused.value.exit_code == 2
    assert find_lease(store, "run", row.id) == before


def test_each_taking_has_the_next_epoch(store: RunStore, row: RunRow) -> None:
    epochs = []
    for _ in range(3):
        with take_lease(store, row):
            lease = find_lease(store, "run", row.id)
            assert lease is not None
            epochs.append(lease.epoch)
    assert epochs == [1, 2, 3]


def test_dead_owner_on_this_host_is_taken_over_at_once(store: RunStore, row: RunRow) -> None:
    owner = start(OWNER, store.path, row.id, 30)
    assert read_line(owner) == "working"
    owner.kill()
    owner.communicate()
    with take_lease(store, row):
        store.add_grant(row.id, "mine")
    assert store.grants(row.id) == {"mine"}


def test_owner_that_was_not_waited_for_counts_as_dead(store: RunStore, row: RunRow) -> None:
    owner = start(OWNER, store.path, row.id, 30)
    assert read_line(owner) == "working"
    owner.kill()
    os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
    with take_lease(store, row):
        pass
    owner.communicate()


def test_process_id_given_to_another_process_does_not_hold_the_run(store: RunStore, row: RunRow) -> None:
    take_lease(store, row)
    change_lease(store, "run", process_start="boot:1")
    change_lease(store, "workspace", process_start="boot:1")
    with RunStore(store.path) as other, take_lease(other, row):
        pass


def test_owner_on_another_host_holds_the_run_until_its_lease_runs_out(store: RunStore, row: RunRow) -> None:
    take_lease(store, row)
    for kind in KINDS:
        change_lease(store, kind, host="elsewhere", pid=2**22 + 1)
    with RunStore(store.path) as other:
        with pytest.raises(UsageError, match=r"on 'elsewhere' since .*If that machine is gone: in \d+ s"):
            take_lease(other, row)
        for kind in KINDS:
            change_lease(store, kind, expires_at=time.time() - 1)
        with take_lease(other, row):
            pass


def test_second_run_in_a_workspace_is_refused_naming_the_first(store: RunStore) -> None:
    first, second = new_run(store), new_run(store)
    take_lease(store, first)
    with RunStore(store.path) as other:
        with pytest.raises(UsageError, match=f"Run {first.id} may be changing '/w': process") as refused:
            take_lease(other, second, hint="Try --worktree.")
        assert "Try --worktree." in refused.value.hint
        lease = find_lease(other, "run", second.id)
    assert lease is None


def test_refused_workspace_leaves_the_run_as_free_as_it_was(store: RunStore) -> None:
    first, second = new_run(store), new_run(store)
    with take_lease(store, first), RunStore(store.path) as other, pytest.raises(UsageError):
        take_lease(other, second)
    with take_lease(store, second):
        pass


@pytest.mark.parametrize("modes", [("plan", "auto"), ("auto", "plan"), ("plan", "plan")])
def test_runs_of_which_one_only_plans_share_a_workspace(store: RunStore, modes: tuple[str, str]) -> None:
    first, second = (new_run(store, mode=mode) for mode in modes)
    with take_lease(store, first), RunStore(store.path) as other, take_lease(other, second):
        pass


def test_runs_in_different_workspaces_do_not_disturb_each_other(store: RunStore) -> None:
    first, second = new_run(store, "/w/案"), new_run(store, "/w/other")
    with take_lease(store, first), RunStore(store.path) as other, take_lease(other, second):
        pass


def test_workspace_is_free_again_when_its_run_ends(store: RunStore) -> None:
    first, second = new_run(store), new_run(store)
    with take_lease(store, first), pytest.raises(UsageError, match="Wait here"):
        require_free_workspace(store, "/w", hint="Wait here.")
    require_free_workspace(store, "/w", hint="")
    with take_lease(store, second):
        pass


def test_lease_and_new_run_are_made_together_or_not_at_all(store: RunStore) -> None:
    take_lease(store, new_run(store))

    def begin() -> None:
        with store.change():
            take_lease(store, new_run(store))

    with pytest.raises(UsageError):
        begin()
    assert len(store.list_runs(None, -1)) == 1


def test_lease_is_renewed_while_the_thread_that_took_it_is_blocked(store: RunStore, row: RunRow) -> None:
    with take_lease(store, row, timing=SHORT) as lease:
        time.sleep(2.5)
        lease.check()
        store.add_grant(row.id, "edit")
        with RunStore(store.path) as other, pytest.raises(UsageError, match="worked on"):
            take_lease(other, row)


def test_lease_survives_a_database_that_is_busy_for_a_while(store: RunStore, row: RunRow) -> None:
    with take_lease(store, row, timing=Timing(3, 0.1)) as lease, RunStore(store.path) as other:
        with other.change():
            time.sleep(0.6)
        time.sleep(1.2)
        lease.check()


def test_loss_is_noticed_by_the_renewal_and_told(store: RunStore, row: RunRow) -> None:
    lost = threading.Event()
    with (
        pytest.raises(LeaseLost, match="taken over"),
        take_lease(store, row, on_lost=lost.set, timing=SHORT) as lease,
    ):
        change_lease(store, "run", owner="other")
        assert lost.wait(5)
        lease.check()


def test_check_notices_a_take_over_of_the_workspace_alone(store: RunStore, row: RunRow) -> None:
    lease = take_lease(store, row)
    lease.check()
    change_lease(store, "workspace", owner="other")
    with pytest.raises(LeaseLost):
        lease.check()


def test_lost_lease_is_not_given_back_in_the_name_of_the_new_holder(store: RunStore, row: RunRow) -> None:
    with RunStore(store.path) as other:
        with pytest.raises(LeaseLost), take_lease(store, row):
            for kind in KINDS:
                change_lease(store, kind, expires_at=0)
            take_lease(other, row)
            store.add_grant(row.id, "late")
        other.add_grant(row.id, "mine")
        lease = find_lease(other, "run", row.id)
    assert lease is not None
    assert lease.expires_at > time.time()


def test_run_that_was_removed_meanwhile_is_said_to_be(store: RunStore, row: RunRow) -> None:
    with RunStore(store.path) as other, pytest.raises(LeaseLost, match="was removed"), take_lease(store, row):
        for kind in KINDS:
            change_lease(store, kind, expires_at=0)
        remove_run(other, row)
        store.add_grant(row.id, "late")


def test_lease_that_cannot_be_given_back_hides_no_error(store: RunStore, row: RunRow) -> None:
    def work() -> None:
        with take_lease(store, row):
            store.query("ALTER TABLE lease RENAME TO away")
            raise KeyError("the real one")

    with pytest.raises(KeyError, match="the real one"):
        work()


def test_removal_refuses_a_run_that_is_worked_on(store: RunStore, row: RunRow) -> None:
    take_lease(store, row)
    with RunStore(store.path) as other, pytest.raises(UsageError, match=f"worked on by process {os.getpid()}"):
        remove_run(other, row)
    assert store.get_run(row.id) == row


def test_removal_takes_the_leases_too(store: RunStore, row: RunRow) -> None:
    with take_lease(store, row):
        pass
    assert remove_run(store, row) == ""
    assert store.query("SELECT * FROM lease") == []


def test_removal_leaves_a_workspace_that_another_run_holds_alone(store: RunStore) -> None:
    first, second = new_run(store), new_run(store)
    with take_lease(store, first):
        pass
    with take_lease(store, second) as lease, RunStore(store.path) as other:
        remove_run(other, first)
        lease.check()


@pytest.mark.parametrize("taken_over", [True, False])
def test_owner_stopped_past_its_lease_writes_nothing_afterwards(
    store: RunStore, row: RunRow, taken_over: bool
) -> None:
    owner = start(OWNER, store.path, row.id, 1.0)
    assert read_line(owner) == "working"
    # Between two writes: in the middle of one it would hold the database's lock, and nobody could take over.
    owner.send_signal(signal.SIGSTOP)
    time.sleep(1.2)
    if taken_over:
        with take_lease(store, row):
            store.append_event(row.id, "b", NodeStarted("set", 1))
            said = wake(owner, store)
        assert "was taken over by process" in said
    else:
        said = wake(owner, store)
        assert "stood still for longer than its lease of 1 s" in said
    assert said.count("\n") == 0


def wake(owner: subprocess.Popen[str], store: RunStore) -> str:
    """Let the owner go on; return what it said, after nothing was written by it."""

    def counts() -> list[int]:
        return [store.query(f"SELECT count(*) FROM {table}")[0][0] for table in ("event", "checkpoints")]

    before = counts()
    owner.send_signal(signal.SIGCONT)
    said, _ = owner.communicate(timeout=20)
    assert counts() == before
    return said.removeprefix("working\n").strip()


def test_of_two_resumers_exactly_one_gets_the_run(store: RunStore, row: RunRow) -> None:
    for _ in range(5):
        pair = [start(RESUMER, store.path, row.id) for _ in range(2)]
        assert [read_line(each) for each in pair] == ["ready", "ready"]
        for each in pair:
            tell(each)
        results = [json.loads(read_line(each)) for each in pair]
        for each in pair:
            each.communicate("\n")
        (loser,) = [each for each in results if not each["won"]]
        assert loser["seconds"] < 1
        assert loser["said"].startswith(f"Run {row.id} is being worked on by process ")
    assert store.usage(row.id).last_seq == 5


def test_lease_of_a_database_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    with RunStore(tmp_path / "runs.db") as store:
        row = new_run(store)
        store.query("DROP TABLE lease")
        with pytest.raises(FlowError, match="cannot be used"):
            take_lease(store, row)
