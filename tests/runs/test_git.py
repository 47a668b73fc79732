"""What one `git status` tells of a repository."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flowloom.core.errors import UsageError
from flowloom.runs.git import GitFolder, GitState

Git = Callable[..., str]


@pytest.fixture
def work(tmp_path: Path, git: Git) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder


def commit(git: Git, work: Path, name: str, text: str) -> str:
    (work / name).parent.mkdir(parents=True, exist_ok=True)
    (work / name).write_text(text, "utf-8")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", name)
    return git(work, "rev-parse", "HEAD").strip()


def test_repository_without_a_commit_has_no_head(work: Path) -> None:
    (work / "new.txt").write_text("x", "utf-8")
    assert GitFolder(work).state() == GitState("", {"new.txt": "??"})


def test_changed_staged_deleted_and_new_files_are_told_with_their_letters(work: Path, git: Git) -> None:
    for name in ("changed.py", "gone.py", "same.py"):
        head = commit(git, work, name, "x = 1\n")
    (work / "changed.py").write_text("x = 2\n", "utf-8")
    (work / "gone.py").unlink()
    (work / "a b\n日本.txt").write_text("new", "utf-8")
    (work / "staged.py").write_text("y = 1\n", "utf-8")
    git(work, "add", "staged.py")
    files = {"changed.py": " M", "gone.py": " D", "staged.py": "A ", "a b\n日本.txt": "??"}
    assert GitFolder(work).state() == GitState(head, files)


def test_paths_are_relative_to_a_workspace_below_the_top(work: Path, git: Git) -> None:
    commit(git, work, "top.py", "x = 1\n")
    head = commit(git, work, "inner/a.py", "x = 1\n")
    (work / "top.py").write_text("x = 2\n", "utf-8")
    (work / "inner" / "a.py").write_text("x = 2\n", "utf-8")
    assert GitFolder(work / "inner").state() == GitState(head, {"a.py": " M"})


def test_file_in_conflict_is_one_that_differs(work: Path, git: Git) -> None:
    commit(git, work, "a.py", "x = 1\n")
    git(work, "checkout", "-q", "-b", "other")
    commit(git, work, "a.py", "x = 2\n")
    git(work, "checkout", "-q", "main")
    head = commit(git, work, "a.py", "x = 3\n")
    subprocess.run(["git", "merge", "-q", "other"], cwd=work, check=False, capture_output=True)
    assert GitFolder(work).state() == GitState(head, {"a.py": "UU"})


def test_folder_that_is_no_repository_any_more_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a git repository"):
        GitFolder(tmp_path).state()
