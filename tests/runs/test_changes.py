from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flowloom.core.effects import FileWrite, ToolResult
from flowloom.core.errors import UsageError
from flowloom.core.ports import CallRef, Owned
from flowloom.runs.blobs import BlobStore
from flowloom.runs.changes import RunChanges, baseline, require_git
from flowloom.runs.journal import RunJournal
from flowloom.runs.store import RunRow, RunStore

Git = Callable[..., str]
Write = Callable[[str, bytes], None]
Start = Callable[[], RunChanges]


@pytest.fixture
def journal(store: RunStore, row: RunRow, blobs: BlobStore) -> RunJournal:
    return RunJournal(store, row.id, blobs)


@pytest.fixture
def start(work: Path, journal: RunJournal, blobs: BlobStore) -> Start:
    return lambda: RunChanges(work, baseline(work, blobs), journal, blobs)


@pytest.fixture
def write(work: Path, journal: RunJournal) -> Write:
    """Write a file as a tool of the run does."""

    def write(path: str, post: bytes) -> None:
        ref = CallRef("code#1", f"call-{len(journal.writes())}")
        target = work / path
        pre = target.read_bytes() if target.exists() else None
        journal.begin(ref, FileWrite(path, None, post, ""), pre)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(post)
        journal.finish(ref, ToolResult("", files=(path,)))

    return write


def commit(git: Git, work: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(data)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "more")


def test_folder_outside_a_repository_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a git repository\. Run `git init`") as caught:
        require_git(tmp_path)
    assert caught.value.exit_code == 2


def test_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        require_git(tmp_path / "gone")


def test_git_folder_itself_is_no_workspace(work: Path) -> None:
    with pytest.raises(UsageError, match="is not a git repository"):
        require_git(work / ".git")


def test_run_that_did_nothing_changed_nothing(work: Path, git: Git, start: Start) -> None:
    commit(git, work, {"a.py": b"a\n"})
    (work / "mine.txt").write_text("not yet added")
    changes = start()
    assert (changes.files(), changes.diff()) == ([], "")


def test_edit_of_a_committed_file_is_a_plain_unified_diff(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {"src/a.py": b"one\ntwo\nthree\n"})
    changes = start()
    write("src/a.py", b"one\n2\nthree\n")
    assert changes.files() == ["src/a.py"]
    assert changes.diff() == (
        "diff --git a/src/a.py b/src/a.py\n--- a/src/a.py\n+++ b/src/a.py\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    )


def test_new_file_starts_from_dev_null_with_its_japanese_name(work: Path, start: Start, write: Write) -> None:
    changes = start()
    write("文書/新しい.md", "見出し\n".encode())
    assert changes.files() == ["文書/新しい.md"]
    assert changes.diff() == (
        "diff --git a/文書/新しい.md b/文書/新しい.md\nnew file mode 100644\n"
        "--- /dev/null\n+++ b/文書/新しい.md\n@@ -0,0 +1 @@\n+見出し\n"
    )


def test_deleted_file_ends_in_dev_null(work: Path, git: Git, start: Start) -> None:
    commit(git, work, {"a.py": b"a\n"})
    changes = start()
    (work / "a.py").unlink()
    assert changes.files() == ["a.py"]
    assert "deleted file mode 100644\n--- a/a.py\n+++ /dev/null\n" in changes.diff()


def test_file_without_a_last_newline_is_marked(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {"a": b"x\n"})
    changes = start()
    write("a", b"x\ny")
    assert changes.diff().endswith(" x\n+y\n\\ No newline at end of file\n")


def test_binary_file_is_only_named(work: Path, start: Start, write: Write) -> None:
    changes = start()
    write("logo.png", b"\x89PNG\0\0")
    assert "Binary files /dev/null and b/logo.png differ\n" in changes.diff()


def test_line_ends_are_kept_apart(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {"a.bat": b"one\r\ntwo\r\n"})
    changes = start()
    write("a.bat", b"one\r\n2\r\n")
    assert changes.diff().endswith("@@ -1,2 +1,2 @@\n one\r\n-two\r\n+2\r\n")


def test_text_in_shift_jis_is_shown_readable(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {"設定.txt": "値は一です。\nおわり\n".encode("cp932")})
    changes = start()
    write("設定.txt", "値は二です。\nおわり\n".encode("cp932"))
    assert changes.diff().endswith("-値は一です。\n+値は二です。\n おわり\n")


def test_change_of_the_encoding_is_seen(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {"a.txt": "値は一です。\n".encode("cp932")})
    changes = start()
    write("a.txt", "値は一です。\n".encode())
    assert changes.files() == ["a.txt"]
    assert "+値は一です。\n" in changes.diff()


def test_file_that_is_back_at_its_original_is_no_change(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {"a": b"x\n"})
    changes = start()
    write("a", b"y\n")
    write("a", b"x\n")
    write("new", b"n")
    (work / "new").unlink()
    assert (changes.files(), changes.diff()) == ([], "")


def test_what_a_command_changed_counts(work: Path, git: Git, start: Start) -> None:
    commit(git, work, {"a": b"x\n"})
    changes = start()
    (work / "a").write_text("formatted\n")
    (work / "made.txt").write_text("made\n")
    assert changes.files() == ["a", "made.txt"]
    assert "-x\n+formatted\n" in changes.diff()


def test_file_that_was_dirty_before_is_compared_with_what_it_was(work: Path, git: Git, start: Start) -> None:
    commit(git, work, {"a": b"committed\n"})
    (work / "a").write_text("mine\n")
    (work / "untracked").write_text("also mine\n")
    changes = start()
    assert changes.files() == []
    (work / "a").write_text("mine\nand theirs\n")
    assert changes.files() == ["a"]
    assert changes.diff().endswith("@@ -1 +1,2 @@\n mine\n+and theirs\n")


def test_work_that_the_run_threw_away_is_a_change(work: Path, git: Git, start: Start) -> None:
    commit(git, work, {"a": b"committed\n"})
    (work / "a").write_text("mine\n")
    changes = start()
    git(work, "checkout", "-q", "a")
    assert changes.files() == ["a"]
    assert "-mine\n+committed\n" in changes.diff()


def test_dirty_content_that_was_not_kept_is_said(work: Path, git: Git, journal: RunJournal, blobs: BlobStore) -> None:
    commit(git, work, {"a": b"committed\n"})
    (work / "a").write_text("mine\n")
    changes = RunChanges(work, baseline(work), journal, blobs)
    (work / "a").write_text("theirs\n")
    assert changes.diff().startswith("# a was already changed before the run and was not kept;")
    assert "-committed\n+theirs\n" in changes.diff()


def test_commit_made_by_the_run_does_not_hide_its_changes(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {"a": b"x\n", "same": b"s\n"})
    changes = start()
    write("a", b"y\n")
    commit(git, work, {"from_a_command": b"c\n"})
    assert changes.files() == ["a", "from_a_command"]
    assert "-x\n+y\n" in changes.diff()


def test_repository_without_a_commit_works(work: Path, start: Start, write: Write) -> None:
    (work / "mine").write_text("mine\n")
    changes = start()
    write("a", b"a\n")
    (work / "mine").write_text("changed\n")
    assert changes.files() == ["a", "mine"]
    assert "-mine\n+changed\n" in changes.diff()


def test_first_commit_made_by_the_run_is_seen(work: Path, git: Git, start: Start) -> None:
    changes = start()
    commit(git, work, {"a": b"a\n"})
    assert changes.files() == ["a"]


def test_ignored_file_counts_when_a_tool_wrote_it(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {".gitignore": b"*.log\n"})
    (work / "kept.log").write_text("before\n")
    changes = start()
    (work / "noise.log").write_text("noise\n")
    write("kept.log", b"after\n")
    assert changes.files() == ["kept.log"]
    assert "-before\n+after\n" in changes.diff()


def test_workspace_below_the_top_sees_only_itself(
    work: Path, git: Git, journal: RunJournal, blobs: BlobStore
) -> None:
    commit(git, work, {"top.py": b"t\n", "サブ/in.py": b"i\n", "サブ/dirty.py": b"d\n"})
    inside = work / "サブ"
    (inside / "dirty.py").write_text("dirty\n")
    changes = RunChanges(inside, baseline(inside, blobs), journal, blobs)
    (work / "top.py").write_text("changed\n")
    (inside / "in.py").write_text("changed\n")
    assert changes.files() == ["in.py"]
    assert "--- a/in.py\n+++ b/in.py\n" in changes.diff()
    git(work, "commit", "-qam", "both")
    assert changes.files() == ["in.py"]


def test_diff_of_some_files_leaves_the_others_out(work: Path, start: Start, write: Write) -> None:
    changes = start()
    write("a", b"a\n")
    write("b", b"b\n")
    assert "b/b" not in changes.diff(["a", "unchanged"])
    assert changes.diff([]) == ""


def test_file_that_became_a_folder_shows_both(work: Path, git: Git, start: Start) -> None:
    commit(git, work, {"a": b"file\n"})
    changes = start()
    (work / "a").unlink()
    (work / "a").mkdir()
    (work / "a" / "b").write_text("inside\n")
    assert changes.files() == ["a", "a/b"]
    assert "-file\n" in changes.diff()
    assert "+inside\n" in changes.diff()


def test_symbolic_link_is_compared_by_its_target_and_not_followed(work: Path, git: Git, start: Start) -> None:
    (work / "link").symlink_to("one")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "link")
    changes = start()
    (work / "link").unlink()
    (work / "link").symlink_to("/etc/passwd")
    assert changes.files() == ["link"]
    assert "+/etc/passwd\n" in changes.diff()
    assert "root:" not in changes.diff()


def test_large_dirty_file_is_known_by_size_and_time(work: Path, start: Start) -> None:
    (work / "big.bin").write_bytes(b"\0" * 6_000_000)
    changes = start()
    assert changes.files() == []
    with (work / "big.bin").open("ab") as file:
        file.write(b"more")
    assert changes.files() == ["big.bin"]


def test_line_ends_of_a_checkout_are_no_change(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {".gitattributes": b"*.bat text eol=crlf\n", "a.bat": b"one\r\ntwo\r\n"})
    changes = start()
    write("a.bat", b"one\r\n2\r\n")
    assert changes.diff().endswith(" one\r\n-two\r\n+2\r\n")


def test_nothing_of_a_hostile_repository_is_run(work: Path, git: Git, tmp_path: Path, start: Start) -> None:
    commit(git, work, {"a.txt": b"x\n", "b.txt": b"x\n", ".gitattributes": b"*.txt filter=evil diff=evil\n"})
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\necho ran >> {tmp_path}/ran\ncat\n")
    trap.chmod(0o755)
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "core.fsmonitor", "diff.external"):
        git(work, "config", key, str(trap))
    git(work, "config", "filter.evil.required", "true")
    git(work, "config", "diff.evil.textconv", str(trap))
    (work / ".git" / "hooks" / "post-index-change").write_text(trap.read_text())
    (work / ".git" / "hooks" / "post-index-change").chmod(0o755)
    os.utime(work / "b.txt")
    changes = start()
    (work / "a.txt").write_text("y\n")
    assert changes.files() == ["a.txt"]
    assert "-x\n+y\n" in changes.diff()
    assert not (tmp_path / "ran").exists()


def test_settings_of_the_person_do_not_shape_the_diff(
    work: Path, git: Git, start: Start, write: Write, isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = isolated_home / "gitconfig"
    settings.write_text("[diff]\n noprefix = true\n context = 0\n[color]\n ui = always\n[core]\n quotePath = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    commit(git, work, {"日.py": b"one\ntwo\n"})
    changes = start()
    write("日.py", b"one\n2\n")
    assert changes.diff().startswith("diff --git a/日.py b/日.py\n--- a/日.py\n+++ b/日.py\n@@ -1,2 +1,2 @@\n one\n")


def test_linked_worktree_is_a_workspace(
    work: Path, git: Git, tmp_path: Path, journal: RunJournal, blobs: BlobStore
) -> None:
    commit(git, work, {"a": b"a\n"})
    git(work, "worktree", "add", "-q", str(tmp_path / "tree"))
    changes = RunChanges(tmp_path / "tree", baseline(tmp_path / "tree", blobs), journal, blobs)
    (tmp_path / "tree" / "a").write_text("b\n")
    assert changes.files() == ["a"]


def test_diff_can_be_applied_by_git(work: Path, git: Git, start: Start, write: Write, tmp_path: Path) -> None:
    commit(git, work, {"a": b"1\n2\n3\n", "gone": b"g\n"})
    changes = start()
    write("a", b"1\ntwo\n3")
    write('odd "name".txt', b"x\n")
    (work / "gone").unlink()
    patch = changes.diff()
    git(work, "stash", "-q", "-u")
    subprocess.run(["git", "apply"], cwd=work, input=patch.encode(), check=True)
    assert (work / "a").read_bytes() == b"1\ntwo\n3"
    assert (work / 'odd "name".txt').read_bytes() == b"x\n"
    assert not (work / "gone").exists()


def test_files_that_were_changed_before_the_run_are_the_users_until_a_commit_has_them(
    work: Path, git: Git, start: Start, write: Write
) -> None:
    commit(git, work, {"a": b"1\n", "b": b"1\n"})
    (work / "a").write_text("mine\n")
    (work / "free").write_text("mine\n")
    changes = start()
    write("a", b"mine\n2\n")
    write("free", b"2\n")
    write("b", b"2\n")
    assert changes.owned() == Owned(("b",), ("a", "free"))
    assert changes.owned(["b", "a"]) == Owned(("b",), ("a",))
    git(work, "commit", "-q", "-m", "mine", "a")
    write("a", b"3\n")
    assert changes.owned() == Owned(("a", "b"), ("free",))


def test_what_no_call_of_the_agents_left_is_somebody_elses(work: Path, git: Git, start: Start, write: Write) -> None:
    commit(git, work, {"a": b"1\n", "b": b"1\n", "c": b"1\n"})
    changes = start()
    (work / "c").write_text("mine\n")
    write("c", b"mine\n2\n")
    write("a", b"2\n")
    write("b", b"2\n")
    (work / "b").write_text("mine\n")
    assert changes.owned(agents="") == Owned(("a",), others=("b", "c"))
    assert changes.owned(["a"], agents="somebody").others == ("a",)
    assert changes.owned(["b"]) == Owned(("b",))
    assert changes.mixed() == {"c"}


def test_the_baseline_tells_tracked_files_from_new_ones(work: Path, git: Git) -> None:
    commit(git, work, {"a": b"1\n", "b": b"1\n"})
    (work / "a").write_text("2\n")
    git(work, "rm", "-q", "b")
    (work / "new").write_text("x\n")
    assert baseline(work)["modified"] == ["a", "b"]
