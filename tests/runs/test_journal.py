from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flowloom.core.effects import Command, FileWrite, ToolResult
from flowloom.core.ports import CallRef
from flowloom.runs.blobs import BlobStore
from flowloom.runs.journal import RunJournal, Write, effect_sha
from flowloom.runs.store import RunRow, RunStore

REF = CallRef("implement[a]/code#1", "call-1")
EDIT = FileWrite("src/日本.py", None, "新しい\n".encode(), "written")
TEST = Command(("bash", "-c", "make test"), 60.0, env={"CI": "1"})


@pytest.fixture
def journal(store: RunStore, row: RunRow, blobs: BlobStore) -> RunJournal:
    return RunJournal(store, row.id, blobs)


def test_call_that_never_began_is_not_found(journal: RunJournal) -> None:
    assert journal.find(REF) is None


@pytest.mark.parametrize("effect", [EDIT, TEST])
def test_begun_call_is_found_with_its_effect(journal: RunJournal, effect: FileWrite | Command) -> None:
    journal.begin(REF, effect, None)
    entry = journal.find(REF)
    assert entry is not None
    assert (entry.state, entry.effect, entry.effect_sha, entry.result) == ("intent", effect, effect_sha(effect), None)


def test_finished_call_gives_back_its_result(journal: RunJournal) -> None:
    result = ToolResult("出力", failed=True, files=("a.py",), exit_code=2, todos=({"content": "x"},))
    journal.begin(REF, TEST, None)
    journal.finish(REF, result)
    entry = journal.find(REF)
    assert entry is not None
    assert (entry.state, entry.result) == ("done", result)


def test_same_call_id_of_another_agent_is_another_call(journal: RunJournal) -> None:
    journal.begin(REF, TEST, None)
    assert journal.find(CallRef("implement[b]/code#1", "call-1")) is None


def test_call_that_is_done_may_not_begin_again(journal: RunJournal) -> None:
    journal.begin(REF, TEST, None)
    journal.finish(REF, ToolResult(""))
    with pytest.raises(ValueError, match="is done"):
        journal.begin(REF, TEST, None)


def test_call_that_never_began_cannot_finish(journal: RunJournal) -> None:
    with pytest.raises(ValueError, match="without having begun"):
        journal.finish(REF, ToolResult(""))


def test_writes_are_listed_in_order_with_their_contents(journal: RunJournal, blobs: BlobStore) -> None:
    journal.begin(REF, EDIT, None)
    journal.begin(CallRef("code#1", "call-2"), TEST, None)
    journal.begin(CallRef("code#1", "call-3"), FileWrite("b.py", "x", b"two", ""), b"one")
    first, second = journal.writes()
    assert (first.path, first.pre_sha, blobs.get(first.post_sha)) == (EDIT.path, None, EDIT.post)
    assert (second.path, blobs.get(second.pre_sha or ""), blobs.get(second.post_sha)) == ("b.py", b"one", b"two")


def test_call_that_begins_again_keeps_the_first_content_before(journal: RunJournal, blobs: BlobStore) -> None:
    journal.begin(REF, FileWrite("a.py", "x", b"new", ""), b"old")
    journal.begin(REF, FileWrite("a.py", "x", b"newer", ""), b"new")
    assert journal.writes() == [Write("a.py", blobs.put(b"old"), blobs.put(b"newer"))]


def test_runs_do_not_see_each_others_calls(journal: RunJournal, store: RunStore, blobs: BlobStore) -> None:
    journal.begin(REF, EDIT, None)
    other = RunJournal(store, "otherrun", blobs)
    assert other.find(REF) is None
    assert other.writes() == []


def test_intent_is_on_disk_when_begin_returns(store: RunStore, row: RunRow, journal: RunJournal) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from flowloom.core.effects import FileWrite; from flowloom.core.ports import CallRef\n"
        "from flowloom.runs.blobs import BlobStore; from flowloom.runs.journal import RunJournal\n"
        "from flowloom.runs.store import RunStore\n"
        "store, run = RunStore(Path(sys.argv[1])), sys.argv[2]\n"
        "journal = RunJournal(store, run, BlobStore(store.blobs_folder(run)))\n"
        "journal.begin(CallRef('a', 'c'), FileWrite('f', None, b'post', ''), b'pre')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = subprocess.run([sys.executable, "-c", code, str(store.path), row.id], env=dict(os.environ))
    entry = journal.find(CallRef("a", "c"))
    assert child.returncode == -9
    assert entry is not None
    assert entry.effect == FileWrite("f", None, b"post", "")


def test_effects_that_differ_have_different_hashes() -> None:
    others: list[FileWrite | Command] = [
        FileWrite("src/日本.py", None, b"x", "written"),
        FileWrite("b.py", None, EDIT.post, "written"),
        TEST,
        Command(TEST.argv, 60.0),
    ]
    assert len({effect_sha(effect) for effect in [EDIT, *others]}) == 5


def test_an_effect_with_a_secret_is_found_whole_and_its_row_shows_it_masked(
    store: RunStore, journal: RunJournal
) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    command = Command(("sh", "-c", f"deploy {token}"), 60.0, env={"API_TOKEN": token})
    journal.begin(REF, command, None)
    entry = journal.find(REF)
    assert entry is not None and entry.effect == command
    (row,) = store.query("SELECT effect FROM tool_call")
    assert token not in row["effect"]
    assert "deploy <secret:GITHUB-" in row["effect"]


def test_what_is_done_in_a_checkout_of_its_own_is_told_of_that_checkout_alone(
    store: RunStore, row: RunRow, blobs: BlobStore, journal: RunJournal
) -> None:
    own = RunJournal(store, row.id, blobs, checkout="fix[a]#1")
    edit, test = CallRef("fix[a]/code#1", "1"), CallRef("fix[a]/code#1", "2")
    for ref, effect in ((edit, EDIT), (test, TEST)):
        own.begin(ref, effect, None)
        own.finish(ref, ToolResult("done"))
    assert (journal.writes(), journal.written(), journal.ran_commands(), journal.changed_between()) == (
        [],
        {},
        False,
        (set(), {}),
    )
    assert [write.path for write in own.writes()] == [EDIT.path]
    assert (list(own.written("fix[a]")), own.ran_commands("fix[a]")) == ([EDIT.path], True)
    # A call is found by its name, whichever checkout it was in.
    assert journal.find(edit) == own.find(edit) is not None
