from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flowloom.core.errors import UsageError
from flowloom.runs.lease import take_lease
from flowloom.runs.removal import remove_run, require_removable
from flowloom.runs.store import RunRow, RunStore
from flowloom.runs.worktrees import Worktree, next_steps, summary

Git = Callable[..., str]


@pytest.fixture
def work(tmp_path: Path, git: Git) -> Path:
    """A repository with a commit, an uncommitted change, a file of its own and an ignored one."""
    folder = tmp_path / "仕事"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for name, text in {"a.txt": "a\r\n", "名前.txt": "名\n", ".gitignore": "*.log\n"}.items():
        (folder / name).write_bytes(text.encode())
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    (folder / "a.txt").write_bytes(b"changed\r\n")
    (folder / "new.txt").write_text("new\n")
    (folder / "x.log").write_text("log\n")
    return folder


@pytest.fixture
def worktree(work: Path, tmp_path: Path) -> Worktree:
    planned = Worktree.plan(work, tmp_path / "data" / "worktrees", "abcdefgh")
    planned.make()
    return planned


@pytest.fixture
def run(store: RunStore, worktree: Worktree) -> RunRow:
    return store.create_run(
        graph="g",
        graph_source="",
        graph_text="",
        fingerprint="",
        input={},
        options={"mode": "auto", "worktree": worktree.to_dict()},
        workspace=worktree.source,
        run_id="abcdefgh",
    )


def commit(git: Git, folder: Path, name: str = "b.txt") -> None:
    (folder / name).write_text("b\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "change")


def test_worktree_holds_the_last_commit_and_nothing_else(worktree: Worktree) -> None:
    files = {path.name: path.read_bytes() for path in worktree.folder.iterdir() if path.name != ".git"}
    assert files == {"a.txt": b"a\r\n", "名前.txt": "名\n".encode(), ".gitignore": b"*.log\n"}


def test_worktree_is_on_a_branch_of_its_own_and_the_checkout_stays_as_it_was(
    work: Path, tmp_path: Path, git: Git
) -> None:
    before = git(work, "status", "--porcelain", "--branch"), git(work, "rev-parse", "HEAD")
    planned = Worktree.plan(work, tmp_path / "worktrees", "abcdefgh")
    planned.make()
    assert git(planned.folder, "branch", "--show-current").strip() == "flow/abcdefgh"
    assert (git(work, "status", "--porcelain", "--branch"), git(work, "rev-parse", "HEAD")) == before
    assert stat.S_IMODE((tmp_path / "worktrees").stat().st_mode) == 0o700


def test_repository_without_a_commit_is_refused(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(UsageError, match="has no commit yet"):
        Worktree.plan(tmp_path, tmp_path / "worktrees", "abcdefgh")


def test_making_it_runs_no_hook_and_no_filter_of_the_repository(work: Path, tmp_path: Path, git: Git) -> None:
    mark = tmp_path / "executed"
    hook = work / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    git(work, "config", "filter.bad.smudge", f"touch {mark}; cat")
    git(work, "config", "filter.bad.required", "true")
    git(work, "config", "core.fsmonitor", f"touch {mark}")
    (work / ".git" / "info" / "attributes").write_text("*.txt filter=bad\n")
    planned = Worktree.plan(work, tmp_path / "worktrees", "abcdefgh")
    planned.make()
    planned.state()
    assert planned.remove()
    assert not mark.exists()


def test_attempt_that_was_cut_short_is_made_anew(worktree: Worktree) -> None:
    (worktree.folder / "a.txt").unlink()
    worktree.make()
    assert (worktree.folder / "a.txt").exists()
    (worktree.folder / ".git").unlink()
    worktree.make()
    assert worktree.state().files == ()


def test_state_tells_changed_new_and_committed_files(worktree: Worktree, git: Git) -> None:
    assert worktree.state() == (True, (), 0, 0)
    (worktree.folder / "a.txt").write_text("changed\n")
    (worktree.folder / "新しい.txt").write_text("new\n")
    (worktree.folder / "x.log").write_text("ignored\n")
    assert worktree.state() == (True, ("a.txt", "新しい.txt"), 0, 0)
    commit(git, worktree.folder)
    assert worktree.state() == (True, (), 1, 1)


def test_commits_that_were_merged_are_not_alone_any_more(worktree: Worktree, git: Git) -> None:
    commit(git, worktree.folder)
    git(worktree.source, "merge", "-q", worktree.branch)
    assert worktree.state() == (True, (), 1, 0)


def test_branch_goes_with_the_worktree_when_nothing_is_only_there(worktree: Worktree, git: Git) -> None:
    commit(git, worktree.folder)
    git(worktree.source, "merge", "-q", worktree.branch)
    assert worktree.remove()
    assert not worktree.folder.exists()
    assert git(worktree.source, "branch", "--format=%(refname:short)").split() == ["main"]
    assert git(worktree.source, "worktree", "list").count("\n") == 1


def test_branch_with_commits_of_its_own_stays(worktree: Worktree, git: Git) -> None:
    commit(git, worktree.folder)
    assert not worktree.remove()
    assert not worktree.folder.exists()
    assert git(worktree.source, "show", f"{worktree.branch}:b.txt") == "b\n"


def test_worktree_whose_folder_a_person_deleted_can_be_removed(worktree: Worktree, git: Git) -> None:
    os.rename(worktree.folder, worktree.folder.with_name("away"))
    assert not worktree.state().exists
    assert "is gone" in summary(worktree, worktree.state())
    with pytest.raises(UsageError, match=r"is gone, and what was not committed in it"):
        worktree.require()
    assert worktree.remove()
    assert git(worktree.source, "worktree", "list").count("\n") == 1


def test_worktree_whose_repository_is_gone_can_be_removed(worktree: Worktree) -> None:
    os.rename(worktree.source, worktree.source.with_name("moved"))
    assert worktree.remove()
    assert not worktree.folder.exists()


def test_branch_named_flow_is_in_the_way_and_said_to_be(work: Path, tmp_path: Path, git: Git) -> None:
    git(work, "branch", "flow")
    with pytest.raises(UsageError, match=r"git worktree add failed .*refs/heads/flow"):
        Worktree.plan(work, tmp_path / "worktrees", "abcdefgh").make()


def test_commands_that_are_offered_do_what_they_say(worktree: Worktree, git: Git) -> None:
    import subprocess

    (worktree.folder / "b.txt").write_text("b\n")
    steps = next_steps(worktree, worktree.state(), "abcdefgh")
    assert [what for what, _ in steps] == ["See", "Commit", "Merge", "Remove"]
    (worktree.source / "a.txt").write_bytes(b"a\r\n")
    for what, command in steps[:3]:
        line = command + (" -q -m change" if what == "Commit" else "")
        subprocess.run(line, shell=True, check=True, capture_output=True)
    assert (worktree.source / "b.txt").read_text() == "b\n"
    assert next_steps(worktree, worktree.state(), "abcdefgh")[-1] == ("Remove", "flow runs rm abcdefgh")


def test_run_with_a_worktree_works_there_and_is_listed_under_its_workspace(
    store: RunStore, run: RunRow, worktree: Worktree
) -> None:
    assert run.folder == str(worktree.folder)
    assert Worktree.of(run) == worktree
    assert store.find_run("last", worktree.source).id == run.id


def test_run_with_a_worktree_leaves_its_workspace_to_another_run(store: RunStore, run: RunRow) -> None:
    other = store.create_run(
        graph="g",
        graph_source="",
        graph_text="",
        fingerprint="",
        input={},
        options={"mode": "auto"},
        workspace=run.workspace,
    )
    with take_lease(store, other), RunStore(store.path) as second, take_lease(second, run):
        pass


def test_removal_takes_a_clean_worktree_along(store: RunStore, run: RunRow, worktree: Worktree) -> None:
    require_removable(store, run)
    assert remove_run(store, run) == ""
    assert not worktree.folder.exists()
    assert store.list_runs(None, -1) == []


def test_removal_is_refused_while_the_worktree_holds_what_no_commit_has(
    store: RunStore, run: RunRow, worktree: Worktree
) -> None:
    (worktree.folder / "b.txt").write_text("b\n")
    with pytest.raises(
        UsageError, match=r"kept: its worktree .* holds 1 file that no commit has \(b.txt\)"
    ) as refused:
        require_removable(store, run)
    assert f"flow runs rm --force {run.id}" in refused.value.hint


def test_removal_says_which_branch_it_kept(store: RunStore, run: RunRow, worktree: Worktree, git: Git) -> None:
    commit(git, worktree.folder)
    assert remove_run(store, run) == "The branch flow/abcdefgh was kept: it has commits that are on no other one."


def test_removal_touches_no_worktree_of_a_run_that_is_worked_on(
    store: RunStore, run: RunRow, worktree: Worktree
) -> None:
    with take_lease(store, run), RunStore(store.path) as other, pytest.raises(UsageError, match="worked on"):
        remove_run(other, run)
    assert worktree.state().exists
