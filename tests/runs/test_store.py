from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowloom.core.errors import FlowError, UsageError
from flowloom.core.events import ModelCalled, NodeEnded, NodeStarted, QuestionAnswered, QuestionAsked, RunStarted
from flowloom.core.questions import Answer, Question
from flowloom.runs.rows import process_start, this_host
from flowloom.runs.store import RunRow, RunStore, shown_status

ASK = Question(kind="human", node="approve", text="この計画でよいですか", choices=("approve", "reject"), id="q-1")


def new_run(store: RunStore, workspace: str = "/w", graph: str = "g") -> RunRow:
    return store.create_run(
        graph=graph, graph_source="s", graph_text="", fingerprint="", input={}, options={}, workspace=workspace
    )


def in_new_process(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)


def test_run_row_is_read_back_by_another_store(store: RunStore, row: RunRow) -> None:
    with RunStore(store.path) as other:
        assert other.get_run(row.id) == row


def test_run_id_is_eight_lowercase_base32_characters(row: RunRow) -> None:
    assert len(row.id) == 8
    assert set(row.id) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_database_and_folder_are_for_the_owner_only(store: RunStore, row: RunRow) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.glob("runs.db*")}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_update_sets_fields_and_the_time(store: RunStore, row: RunRow) -> None:
    updated = store.update_run(row.id, status="done", exit_code=0, output={"plan": ["案"]}, message="")
    assert (updated.status, updated.exit_code, updated.output) == ("done", 0, {"plan": ["案"]})
    assert updated.updated_at > row.updated_at
    assert updated.created_at == row.created_at


def test_update_refuses_a_field_that_never_changes(store: RunStore, row: RunRow) -> None:
    with pytest.raises(TypeError, match="created_at"):
        store.update_run(row.id, created_at="x")


def test_update_of_an_unknown_run_is_a_usage_error(store: RunStore) -> None:
    with pytest.raises(UsageError, match="no run 'zzz'"):
        store.update_run("zzz", title="x")


def test_text_that_is_half_a_surrogate_pair_is_stored(store: RunStore, row: RunRow) -> None:
    assert store.update_run(row.id, baseline={"dirty": {"\udc83.txt": None}}).baseline == {
        "dirty": {"\udc83.txt": None}
    }


def test_find_takes_a_unique_prefix(store: RunStore, row: RunRow) -> None:
    assert store.find_run(row.id[:5].upper()).id == row.id


def test_find_refuses_a_prefix_of_several_runs_and_lists_them(store: RunStore) -> None:
    runs = [new_run(store) for _ in range(40)]
    letters = [run.id[0] for run in runs]
    shared = max(set(letters), key=letters.count)
    with pytest.raises(UsageError, match=f"'{shared}' names .* runs: {shared}"):
        store.find_run(shared)


@pytest.mark.parametrize("ref", ["", "zzzzzzzzz", "%", "_"])
def test_find_refuses_what_names_no_run(store: RunStore, row: RunRow, ref: str) -> None:
    with pytest.raises(UsageError, match="There is no run"):
        store.find_run(ref)


def test_last_is_the_newest_run_of_the_workspace(store: RunStore) -> None:
    mine = [new_run(store, "/mine") for _ in range(2)]
    new_run(store, "/other")
    assert store.find_run("last", "/mine").id == mine[1].id


def test_last_without_a_run_says_so(store: RunStore) -> None:
    with pytest.raises(UsageError, match="no run in '/empty' yet"):
        store.find_run("last", "/empty")


def test_list_gives_the_newest_first_up_to_the_limit(store: RunStore) -> None:
    ids = [new_run(store).id for _ in range(5)]
    assert [run.id for run in store.list_runs("/w", 3)] == ids[:1:-1]
    assert len(store.list_runs(None, -1)) == 5


def test_events_are_numbered_within_their_run(store: RunStore, row: RunRow) -> None:
    other = new_run(store)
    first = store.append_event(row.id, "plan", NodeStarted("planner", 1))
    store.append_event(other.id, "x", NodeStarted("set", 1))
    second = store.append_event(row.id, "plan", NodeEnded(1, 0.5, "三段階"))
    assert (first.seq, second.seq) == (1, 2)
    assert store.events(row.id) == [first, second]
    assert store.events(row.id, after=1) == [second]


def test_usage_counts_nodes_calls_and_tokens(store: RunStore, row: RunRow) -> None:
    store.append_event(row.id, "plan", NodeStarted("planner", 1))
    store.append_event(row.id, "plan", ModelCalled("plan#1.0", "m", 1.0, 100, 20))
    store.append_event(row.id, "plan", ModelCalled("plan#1.1", "m", 1.0, None, None))
    usage = store.usage(row.id)
    assert (usage.node_runs, usage.models.calls) == (1, 2)
    assert (usage.models.prompt_tokens, usage.models.completion_tokens) == (100, 20)
    assert usage.models.tokens == 120


def test_visit_begun_again_after_a_kill_counts_once(store: RunStore, row: RunRow) -> None:
    for _ in range(2):
        store.append_event(row.id, "", RunStarted("g", {}, "m"))
        store.append_event(row.id, "code#1", NodeStarted("coder", 1))
    store.append_event(row.id, "code#1", NodeEnded(1, 0.5))
    store.append_event(row.id, "code#1", NodeStarted("coder", 1))
    assert store.usage(row.id).node_runs == 2


def test_active_time_leaves_out_pauses_and_a_person_thinking(tmp_path: Path) -> None:
    times = iter([0, 0, 10, 15, 1000, 1002, 5000, 5007])
    with RunStore(
        tmp_path / "runs.db", now=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(times))
    ) as store:
        run = new_run(store)
        store.append_event(run.id, "", RunStarted("g", {}, "m"))
        store.append_event(run.id, "a", NodeStarted("human", 1))
        store.append_event(run.id, "a", QuestionAsked("q", "human", "?", ("yes",)))
        store.append_event(run.id, "a", QuestionAnswered("q", "yes", "person"))
        store.append_event(run.id, "a", NodeEnded(1, 1.0))
        store.append_event(run.id, "", RunStarted("g", {}, "m", resumed=True))
        store.append_event(run.id, "b", NodeStarted("set", 1))
        assert store.usage(run.id).active_s == 10 + 5 + 2 + 7


def test_question_asked_again_by_a_rerun_node_is_stored_once(store: RunStore, row: RunRow) -> None:
    assert store.open_question(row.id, ASK)
    assert not store.open_question(row.id, ASK)
    assert store.questions(row.id) == [ASK]


def test_question_without_an_id_is_a_bug(store: RunStore, row: RunRow) -> None:
    with pytest.raises(ValueError, match="no"):
        store.open_question(row.id, replace(ASK, id=""))


def test_answer_closes_the_question_and_is_kept(store: RunStore, row: RunRow) -> None:
    store.open_question(row.id, ASK)
    assert store.answer_of(row.id, "q-1") is None
    store.close_question(row.id, "q-1", Answer("reject", reason="小さすぎる"))
    assert store.questions(row.id) == []
    assert store.questions(row.id, open_only=False) == [ASK]
    assert store.answer_of(row.id, "q-1") == Answer("reject", reason="小さすぎる")


def test_second_answer_is_refused(store: RunStore, row: RunRow) -> None:
    store.open_question(row.id, ASK)
    store.close_question(row.id, "q-1", Answer("approve"))
    with pytest.raises(UsageError, match="no open question 'q-1'"):
        store.close_question(row.id, "q-1", Answer("reject"))


def test_grants_add_up(store: RunStore, row: RunRow) -> None:
    for grant in ("edit", 'command:["make"]', "edit"):
        store.add_grant(row.id, grant)
    assert store.grants(row.id) == {"edit", 'command:["make"]'}


def test_remove_takes_every_row_checkpoint_and_blob_of_the_run_alone(store: RunStore) -> None:
    gone, kept = (store.update_run(new_run(store).id, status="done") for _ in range(2))
    with store.change() as db:
        db.execute("CREATE TABLE checkpoints (thread_id TEXT)")
        db.execute("CREATE TABLE writes (thread_id TEXT)")
    for run in (gone, kept):
        store.append_event(run.id, "a", NodeStarted("set", 1))
        store.open_question(run.id, ASK)
        store.add_grant(run.id, "edit")
        store.blobs_folder(run.id).mkdir(parents=True)
        with store.change() as db:
            db.execute("INSERT INTO checkpoints VALUES (?)", (run.id,))
            db.execute("INSERT INTO writes VALUES (?)", (run.id,))
    store.remove_run(gone.id)
    left = [store.query(f"SELECT count(*) FROM {table}")[0][0] for table in ("run", "event", "question", "run_grant")]
    assert left == [1, 1, 1, 1]
    assert [row["thread_id"] for row in store.query("SELECT * FROM checkpoints, writes")] == [kept.id]
    assert not store.blobs_folder(gone.id).exists()
    assert store.blobs_folder(kept.id).exists()


def test_run_of_a_process_that_is_gone_is_shown_as_interrupted(store: RunStore) -> None:
    code = (
        "import sys; from pathlib import Path; from flowloom.runs.store import RunStore\n"
        "with RunStore(Path(sys.argv[1])) as store:\n"
        "    print(store.create_run(graph='g', graph_source='', graph_text='', fingerprint='', input={}, options={},"
        " workspace='/w').id)"
    )
    row = store.get_run(in_new_process(code, str(store.path)).stdout.strip())
    assert row.status == "running"
    assert shown_status(row, this_host()) == "interrupted"
    store.remove_run(row.id)


def test_run_of_this_process_is_shown_as_running(row: RunRow) -> None:
    assert shown_status(row, this_host()) == "running"


def test_run_whose_process_id_was_given_to_another_is_shown_as_interrupted(row: RunRow) -> None:
    assert shown_status(replace(row, process_start="boot:1"), row.host, lambda _: "boot:2") == "interrupted"


def test_run_of_another_host_is_shown_as_it_stands(row: RunRow) -> None:
    assert shown_status(replace(row, host="elsewhere"), this_host(), lambda _: None) == "running"


def test_process_that_was_not_waited_for_counts_as_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(child.pid) is None
    child.stdout.close()
    child.wait()


def test_claim_puts_this_process_into_the_row(store: RunStore, row: RunRow) -> None:
    store.update_run(row.id, status="paused", pid=1, host="elsewhere")
    claimed = store.claim_run(row.id)
    assert (claimed.status, claimed.pid, claimed.host) == ("running", os.getpid(), this_host())


def test_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(UsageError, match=r"newer Flowloom \(format 99"):
        RunStore(path)


def test_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes("これはデータベースではない".encode() * 100)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="cannot be used"):
        RunStore(path)
    assert path.read_bytes() == before


def test_folder_in_place_of_the_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        RunStore(tmp_path)


def test_database_that_fails_while_in_use_is_one_clear_error(store: RunStore) -> None:
    with pytest.raises(FlowError, match="cannot be used"):
        store.query("SELECT * FROM nothing_of_ours")


def test_failed_change_leaves_nothing_behind(store: RunStore, row: RunRow) -> None:
    def fail() -> None:
        with store.change():
            store.add_grant(row.id, "edit")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.grants(row.id) == frozenset()


def test_threads_share_the_store_without_losing_an_event(store: RunStore, row: RunRow) -> None:
    def emit() -> None:
        for _ in range(20):
            store.append_event(row.id, "a", NodeStarted("set", 1))

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.seq for record in store.events(row.id)] == list(range(1, 81))


def test_processes_that_open_a_new_database_at_once_all_succeed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from flowloom.runs.store import RunStore\n"
        "with RunStore(Path(sys.argv[1])) as store:\n"
        "    store.create_run(graph='g', graph_source='', graph_text='', fingerprint='', input={}, options={},"
        " workspace='/w')"
    )
    path = tmp_path / "new" / "runs.db"
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE, text=True) for _ in range(6)
    ]
    assert [child.communicate()[1] for child in children] == [""] * 6
    with RunStore(path) as store:
        assert len(store.list_runs("/w", -1)) == 6


def test_what_is_written_after_another_process_closed_the_database_is_there(store: RunStore, row: RunRow) -> None:
    # A second opening in this process once gave up the lock that keeps others from removing the database's log.
    RunStore(store.path).close()
    opened = "import sys; from pathlib import Path; from flowloom.runs.store import RunStore\n"
    in_new_process(f"{opened}RunStore(Path(sys.argv[1])).close()", str(store.path))
    store.add_grant(row.id, "edit")
    reader = f"{opened}with RunStore(Path(sys.argv[1])) as store: print(*store.grants(sys.argv[2]))"
    assert in_new_process(reader, str(store.path), row.id).stdout.strip() == "edit"


def test_row_written_before_a_kill_is_there(store: RunStore) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from flowloom.runs.store import RunStore\n"
        "store = RunStore(Path(sys.argv[1]))\n"
        "print(store.create_run(graph='g', graph_source='', graph_text='', fingerprint='', input={}, options={},"
        " workspace='/w').id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = subprocess.run([sys.executable, "-c", code, str(store.path)], capture_output=True, text=True)
    assert child.returncode == -9
    assert store.get_run(child.stdout.strip()).graph == "g"


def test_store_imports_nothing_heavy() -> None:
    code = (
        "import sys, flowloom.runs.store\n"
        "print(sorted({'pydantic', 'langgraph', 'asyncio', 'rich', 'ruamel', 'networkx'} & set(sys.modules)))"
    )
    assert in_new_process(code).stdout.strip() == "[]"
