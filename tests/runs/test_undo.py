"""Taking back commits and files of runs, in real repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flowloom.core.effects import FileWrite, ToolResult
from flowloom.core.errors import UsageError
from flowloom.core.ports import CallRef
from flowloom.runs.blobs import BlobStore
from flowloom.runs.changes import baseline
from flowloom.runs.journal import RunJournal
from flowloom.runs.lease import take_lease
from flowloom.runs.made_commits import made_commits
from flowloom.runs.store import RunRow, RunStore
from flowloom.runs.undo import apply_undo, plan_undo
from flowloom.runs.undo_commit import CommitUndo
from flowloom.runs.undo_files import FilesUndo
from flowloom.runs.undo_git import UndoGit
from flowloom.runs.worktrees import Worktree
from flowloom.tools.commit import commit_command
from flowloom.tools.paths import replace_file

Git = Callable[..., str]


class Run:
    """A run that writes and commits as a graph would, without one."""

    def __init__(self, store: RunStore, folder: Path, row: RunRow) -> None:
        self.folder = folder
        self._store = store
        self._blobs = BlobStore(store.blobs_folder(row.id))
        self.row = store.update_run(row.id, baseline=baseline(folder, self._blobs), status="done")
        self.journal = RunJournal(store, row.id, self._blobs)
        self._calls = 0

    def ref(self) -> CallRef:
        self._calls += 1
        return CallRef("code#1", f"c{self._calls}")

    def write(self, path: str, text: str | bytes, *, ends: bool = True) -> None:
        data = text.encode() if isinstance(text, str) else text
        full = self.folder / path
        effect, ref = FileWrite(path, None, data, ""), self.ref()
        self.journal.begin(ref, effect, full.read_bytes() if full.exists() else None)
        if ends:
            replace_file(self.folder, path, data)
            self.journal.finish(ref, ToolResult("", files=(path,)))

    def commit(self, message: str, *paths: str, ends: bool = True) -> str:
        command, ref = commit_command(self.folder, message, paths or (".",)), self.ref()
        self.journal.begin(ref, command, None)
        env = {**os.environ, **command.env}
        done = subprocess.run(command.argv, cwd=self.folder, env=env, capture_output=True, text=True, check=True)
        if ends:
            self.journal.finish(ref, ToolResult(done.stdout, exit_code=0))
        return done.stdout.split()[-1]


@pytest.fixture
def repo(work: Path, git: Git) -> Path:
    for name, text in {"a.txt": "one\n", "日本 語.txt": "一\n", "mine.txt": "mine\n"}.items():
        (work / name).write_text(text, "utf-8")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "start")
    return work


@pytest.fixture
def begin(store: RunStore) -> Callable[..., Run]:
    def make(folder: Path, **options: object) -> Run:
        row = store.create_run(
            graph="g",
            graph_source="",
            graph_text="",
            fingerprint="",
            input={},
            options={"mode": "auto", **options},
            workspace=folder,
        )
        return Run(store, Path(row.folder), row)

    return make


def undo(store: RunStore, folder: Path, ref: str = "") -> list[str]:
    target, planned = plan_undo(store, folder, ref)
    told = planned.lines()
    apply_undo(store, target, planned)
    return told


def refusal(store: RunStore, folder: Path, ref: str = "") -> str:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True).stdout
    with pytest.raises(UsageError) as refused:
        undo(store, folder, ref)
    assert subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True).stdout == head
    assert refused.value.exit_code == 2
    assert "\n" not in refused.value.message
    return refused.value.message


def status(git: Git, repo: Path) -> list[str]:
    return git(repo, "-c", "core.quotePath=false", "status", "--porcelain").splitlines()


def test_the_last_commit_goes_and_its_files_are_as_before(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    start = git(repo, "rev-parse", "HEAD").strip()
    (repo / "a.txt").unlink()
    (repo / "日本 語.txt").chmod(0o755)
    (repo / "new").mkdir()
    (repo / "new/名 前.txt").write_text("new\n")
    (repo / "link").symlink_to("mine.txt")
    made = run.commit("Change\n\nbody")
    assert undo(store, repo) == [
        f"Take back the commit {made[:10]} 'Change' of run {run.row.id} on main in {str(repo)!r}:",
        "  bring back a.txt",
        "  remove link",
        "  remove new/名 前.txt",
        "  restore 日本 語.txt",
        f"HEAD goes back to {start[:10]} 'start'. No other file and nothing else that is staged is touched.",
    ]
    assert git(repo, "rev-parse", "HEAD").strip() == start
    assert status(git, repo) == []
    assert sorted(os.listdir(repo)) == [".git", "a.txt", "mine.txt", "日本 語.txt"]
    assert git(repo, "reflog", "-1", "--format=%gs") == "flow undo: Change\n"


def test_other_changes_and_other_staged_files_stay(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    (repo / "mine.txt").write_text("staged\n")
    git(repo, "add", "mine.txt")
    (repo / "mine.txt").write_text("and more\n")
    (repo / "free.txt").write_text("free\n")
    (repo / "a.txt").chmod(0o640)
    undo(store, repo)
    assert (repo / "a.txt").stat().st_mode & 0o777 == 0o640
    assert status(git, repo) == ["MM mine.txt", "?? free.txt"]
    assert git(repo, "show", ":mine.txt") == "staged\n"


def test_step_by_step_until_there_is_nothing_of_flow_left(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    for text in ("two\n", "three\n"):
        run = begin(repo)
        run.write("a.txt", text)
        run.commit(text.strip(), "a.txt")
    undo(store, repo)
    assert (repo / "a.txt").read_text() == "two\n"
    undo(store, repo)
    assert status(git, repo) == []
    assert "was not made by flow" in refusal(store, repo)


def test_a_commit_of_somebody_else_on_top_is_refused(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    made = run.commit("Change", "a.txt")
    git(repo, "commit", "-q", "--allow-empty", "-m", "mine")
    for ref in ("", run.row.id):
        said = refusal(store, repo, ref)
        assert "'mine' came after the last commit of run" in said and made[:10] in said


def test_an_amended_commit_is_not_one_of_flow(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    git(repo, "commit", "-q", "--amend", "-m", "Change, amended")
    assert "was not made by flow" in refusal(store, repo)
    assert "no commit left to take back" in refusal(store, repo, run.row.id)


def test_a_pushed_commit_is_refused(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run], tmp_path: Path
) -> None:
    git(tmp_path, "init", "-q", "--bare", "remote")
    git(repo, "remote", "add", "origin", str(tmp_path / "remote"))
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    git(repo, "push", "-q", "-u", "origin", "main")
    assert "is on origin/main already" in refusal(store, repo)


@pytest.mark.parametrize("staged", [False, True])
def test_newer_changes_of_its_files_are_refused(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run], staged: bool
) -> None:
    run = begin(repo)
    run.write("日本 語.txt", "二\n")
    run.commit("Change", "日本 語.txt")
    (repo / "日本 語.txt").write_text("三\n")
    if staged:
        git(repo, "add", "-A")
        (repo / "日本 語.txt").write_text("二\n")
    said = refusal(store, repo)
    assert said == f"日本 語.txt has newer {'staged changes' if staged else 'changes that are in no commit'}."
    assert git(repo, "show", "HEAD:日本 語.txt") == "二\n"


def test_a_file_that_came_back_where_one_was_deleted_is_refused(
    store: RunStore, repo: Path, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    (repo / "a.txt").unlink()
    run.commit("Remove", "a.txt")
    (repo / "a.txt").write_text("mine now\n")
    assert "a.txt has newer changes" in refusal(store, repo)
    assert (repo / "a.txt").read_text() == "mine now\n"


def test_a_file_of_somebody_else_in_the_place_of_one_is_refused(
    store: RunStore, repo: Path, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    (repo / "a.txt").unlink()
    (repo / "a.txt").mkdir()
    (repo / "a.txt/b").write_text("b\n")
    run.commit("Folder", ".")
    (repo / "a.txt/yours").write_text("yours\n")
    assert "a.txt/yours stands where a.txt has to go back to" in refusal(store, repo)
    (repo / "a.txt/yours").unlink()
    undo(store, repo)
    assert (repo / "a.txt").read_text() == "one\n"


def test_a_file_behind_a_link_that_came_later_is_refused(
    store: RunStore, repo: Path, begin: Callable[..., Run], tmp_path: Path
) -> None:
    run = begin(repo)
    run.write("sub/x.txt", "x\n")
    run.commit("Change", "sub/x.txt")
    (repo / "sub").rename(tmp_path / "outside")
    (repo / "sub").symlink_to(tmp_path / "outside")
    assert "sub/x.txt has newer changes" in refusal(store, repo)
    assert (tmp_path / "outside/x.txt").read_text() == "x\n"


def test_in_the_middle_of_a_merge_it_is_refused(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    made = run.commit("Change", "a.txt")
    (repo / ".git/MERGE_HEAD").write_text(made)
    assert "A merge is under way" in refusal(store, repo)


def test_the_first_commit_goes_back_to_a_branch_without_one(
    store: RunStore, work: Path, git: Git, begin: Callable[..., Run]
) -> None:
    (work / "mine.txt").write_text("mine\n")
    run = begin(work)
    run.write("a.txt", "a\n")
    run.commit("First", "a.txt")
    assert "HEAD goes back to no commit at all" in undo(store, work)[-1]
    assert status(git, work) == ["?? mine.txt"]


def test_on_a_detached_head_the_head_alone_moves(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    git(repo, "checkout", "-q", "--detach")
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    assert "on a detached HEAD" in undo(store, repo)[0]
    assert git(repo, "rev-parse", "HEAD") == git(repo, "rev-parse", "main")
    assert status(git, repo) == []


def test_the_first_commit_on_a_detached_head_is_refused(
    store: RunStore, work: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(work)
    run.write("a.txt", "a\n")
    run.commit("First", "a.txt")
    git(work, "checkout", "-q", "--detach")
    assert "nothing to go back to" in refusal(store, work)


def test_files_that_pass_through_a_filter_are_refused(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    (repo / ".git/info/attributes").write_text("a.txt filter=lfs\n")
    assert "a.txt passes through a filter of git" in refusal(store, repo)


def test_line_ends_that_git_converts_come_back_as_a_checkout_has_them(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    git(repo, "config", "core.autocrlf", "true")
    git(repo, "rm", "-q", "--cached", "a.txt")
    git(repo, "reset", "-q", "--hard")
    run = begin(repo)
    run.write("a.txt", "two\r\n")
    run.commit("Change", "a.txt")
    undo(store, repo)
    assert (repo / "a.txt").read_bytes() == b"one\r\n"
    assert status(git, repo) == []


def test_hooks_of_the_repository_do_not_run(
    store: RunStore, repo: Path, begin: Callable[..., Run], tmp_path: Path
) -> None:
    for name in ("reference-transaction", "post-index-change", "post-checkout", "pre-commit"):
        hook = repo / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran-{name}'\n")
        hook.chmod(0o755)
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    undo(store, repo)
    assert list(tmp_path.glob("ran-*")) == []


@pytest.mark.parametrize("step", ["put_entries", "_put", "_put later", "move_back"])
def test_killed_at_any_step_it_is_finished_by_the_next_one(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.write("new.txt", "new\n")
    (repo / "mine.txt").unlink()
    run.commit("Change")
    owner = CommitUndo if step.startswith("_put") else UndoGit
    name = step.partition(" ")[0]
    real, calls = getattr(owner, name), []

    def killed(*arguments: object) -> None:
        calls.append(name)
        if len(calls) > (2 if "later" in step else 0):
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(owner, name, killed)
        undo(store, repo)
    undo(store, repo)
    assert status(git, repo) == []
    assert git(repo, "log", "--format=%s") == "start\n"


def test_what_changes_between_the_question_and_the_answer_is_noticed(
    store: RunStore, repo: Path, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    target, planned = plan_undo(store, repo)
    (repo / "a.txt").write_text("three\n")
    with pytest.raises(UsageError, match=r"a\.txt has newer changes"):
        apply_undo(store, target, planned)
    assert (repo / "a.txt").read_text() == "three\n"


def test_while_a_run_works_in_the_checkout_it_is_refused(
    store: RunStore, repo: Path, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    other = begin(repo)
    with RunStore(store.path) as another, take_lease(another, other.row):
        assert f"Run {other.row.id} may be changing" in refusal(store, repo)
    undo(store, repo)


def test_a_commit_whose_end_was_not_stored_is_known_by_parent_and_message(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    made = run.commit("Change\n\nbody", "a.txt", ends=False)
    assert made_commits(store)[0].commit == ""
    assert made[:10] in undo(store, repo)[0]
    assert status(git, repo) == []


def test_a_commit_of_a_worktree_is_taken_back_there_and_where_it_was_merged(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run], tmp_path: Path
) -> None:
    worktree = Worktree.plan(repo, tmp_path / "worktrees", "abcdefgh")
    worktree.make()
    run = begin(repo, worktree=worktree.to_dict())
    run.write("a.txt", "two\n")
    run.commit("Change", "a.txt")
    assert "was not made by flow" in refusal(store, repo)
    git(repo, "merge", "-q", "--ff-only", worktree.branch)
    undo(store, repo)
    assert (repo / "a.txt").read_text() == "one\n"
    assert status(git, repo) == []
    undo(store, repo, run.row.id)
    assert (worktree.folder / "a.txt").read_text() == "one\n"
    assert status(git, worktree.folder) == []


def test_a_worktree_that_is_gone_is_refused(
    store: RunStore, repo: Path, begin: Callable[..., Run], tmp_path: Path
) -> None:
    worktree = Worktree.plan(repo, tmp_path / "worktrees", "abcdefgh")
    worktree.make()
    run = begin(repo, worktree=worktree.to_dict())
    worktree.remove()
    assert "is gone" in refusal(store, repo, run.row.id)


def test_changes_of_the_user_that_a_commit_took_in_come_back_uncommitted(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    (repo / "a.txt").write_text("one\nand mine\n")
    (repo / "mine.txt").unlink()
    run = begin(repo)
    run.write("a.txt", "two\nand mine\n")
    run.commit("Change", "a.txt", "mine.txt")
    run.write("a.txt", "three\nand mine\n")
    run.commit("Again", "a.txt")
    undo(store, repo)
    assert (repo / "a.txt").read_text() == "two\nand mine\n"
    assert "keep mine.txt (as it is: the changes in it were yours before the run)" in "\n".join(undo(store, repo))
    assert (repo / "a.txt").read_text() == "one\nand mine\n"
    assert status(git, repo) == [" M a.txt", " D mine.txt"]


def test_where_the_users_changes_were_not_kept_it_is_refused(
    store: RunStore, repo: Path, begin: Callable[..., Run]
) -> None:
    (repo / "a.txt").write_text("one\nand mine\n")
    run = begin(repo)
    run.write("a.txt", "two\nand mine\n")
    run.commit("Change", "a.txt")
    dirty = {"a.txt": "0" * 64}
    store.update_run(run.row.id, baseline={**run.row.baseline, "dirty": dirty})
    assert "a.txt held changes of yours before the run" in refusal(store, repo)


def test_without_commits_the_written_files_go_back(store: RunStore, repo: Path, begin: Callable[..., Run]) -> None:
    (repo / "mine.txt").write_text("changed before\n")
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.write("a.txt", "three\n")
    run.write("mine.txt", "changed by it\n")
    run.write("新/x.txt", "x\n")
    (repo / "日本 語.txt").write_text("by a command\n")
    assert undo(store, repo) == [
        f"Put the files that run {run.row.id} wrote in {str(repo)!r} back to what they were before:",
        "  restore a.txt",
        "  restore mine.txt",
        "  remove 新/x.txt",
        "Changed by its commands or by somebody else, and left as they are: 日本 語.txt",
    ]
    assert (repo / "a.txt").read_text() == "one\n"
    assert (repo / "mine.txt").read_text() == "changed before\n"
    assert not (repo / "新").exists()
    assert (repo / "日本 語.txt").read_text() == "by a command\n"
    assert "left nothing to take back" in refusal(store, repo, run.row.id)


def test_without_commits_an_older_run_comes_next(store: RunStore, repo: Path, begin: Callable[..., Run]) -> None:
    for text in ("two\n", "three\n"):
        begin(repo).write("a.txt", text)
    undo(store, repo)
    assert (repo / "a.txt").read_text() == "two\n"
    undo(store, repo)
    assert (repo / "a.txt").read_text() == "one\n"
    assert "nothing to take back" in refusal(store, repo)


def test_a_file_that_is_not_as_the_run_left_it_is_refused_and_nothing_is_put_back(
    store: RunStore, repo: Path, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.write("mine.txt", "two\n")
    (repo / "mine.txt").write_text("newer\n")
    assert "mine.txt is not as the run left it" in refusal(store, repo)
    assert (repo / "a.txt").read_text() == "two\n"


def test_a_file_that_somebody_else_changed_meanwhile_is_refused(
    store: RunStore, repo: Path, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    (repo / "a.txt").write_text("two\nby hand\n")
    run.write("a.txt", "three\nby hand\n")
    assert "a.txt holds changes that somebody else made" in refusal(store, repo)
    assert (repo / "a.txt").read_text() == "three\nby hand\n"


def test_what_was_committed_since_is_left_to_git(
    store: RunStore, repo: Path, git: Git, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    git(repo, "commit", "-q", "-am", "mine")
    assert "a.txt was committed since" in refusal(store, repo, run.row.id)
    assert "nothing to take back" in refusal(store, repo)


def test_a_write_that_a_kill_cut_short_counts_with_either_content(
    store: RunStore, repo: Path, begin: Callable[..., Run]
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.write("a.txt", "three\n", ends=False)
    undo(store, repo)
    assert (repo / "a.txt").read_text() == "one\n"


def test_files_put_back_in_part_are_finished_by_the_next_one(
    store: RunStore, repo: Path, begin: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    run.write("new.txt", "new\n")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("flowloom.runs.undo_files.remove", killed)
        undo(store, repo)
    target, planned = plan_undo(store, repo)
    assert isinstance(planned, FilesUndo)
    assert [each.path for each in planned.files] == ["new.txt"]
    apply_undo(store, target, planned)
    assert not (repo / "new.txt").exists()


def test_content_that_is_not_kept_any_more_is_refused(store: RunStore, repo: Path, begin: Callable[..., Run]) -> None:
    run = begin(repo)
    run.write("a.txt", "two\n")
    sha = run.journal.written()["a.txt"].pre_sha
    assert sha is not None
    BlobStore(store.blobs_folder(run.row.id)).path(sha).unlink()
    assert "content of a.txt before the run is not kept" in refusal(store, repo)
