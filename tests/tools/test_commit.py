"""One commit as one command line, run by a shell in real repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.effects import Command
from flowloom.core.errors import ToolError
from flowloom.tools import commit as commits
from flowloom.tools.commit import clean_message, commit_command, commit_id, committed_files, planned_commit


def git(repo: Path, *words: str) -> str:
    done = subprocess.run(["git", "-c", "core.quotePath=false", *words], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(repo: Path, command: Command) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **command.env}
    return subprocess.run(command.argv, cwd=repo, env=env, capture_output=True, text=True)


@pytest.fixture
def repo(make_repo: Callable[[Any], Path]) -> Path:
    return make_repo({"a.txt": "one\n", "b.txt": "b\n", "sub/c.txt": "c\n"})


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder


def committed(repo: Path, message: str, *paths: str) -> str:
    done = run(repo, commit_command(repo, message, paths))
    assert done.returncode == 0, done.stdout + done.stderr
    commit = commit_id(done.stdout)
    assert commit == git(repo, "rev-parse", "HEAD").strip()
    return commit


def test_its_output_names_the_commit_and_its_command_what_was_asked_for(repo: Path) -> None:
    (repo / "a.txt").write_text("two\n")
    parent = git(repo, "rev-parse", "HEAD").strip()
    command = commit_command(repo, "数える\n\n本文\n", ["a.txt"])
    done = run(repo, command)
    assert commit_id(done.stdout) == git(repo, "rev-parse", "HEAD").strip()
    assert planned_commit(command.argv) == (parent, "数える\n\n本文", ("a.txt",))
    assert planned_commit(("sh", "-c", "x", "sh", "", "", "", "")) is None
    assert commit_id("commit abc") == ""


def test_begun_again_after_its_commit_it_finds_that_one(repo: Path) -> None:
    (repo / "a.txt").write_text("two\n")
    command = commit_command(repo, "one\n\nbody  with  blanks", ["a.txt"])
    first = commit_id(run(repo, command).stdout)
    again = run(repo, command)
    assert (again.returncode, commit_id(again.stdout)) == (0, first)
    assert git(repo, "rev-list", "--count", "HEAD") == "2\n"


def test_a_head_that_moved_meanwhile_is_refused(repo: Path) -> None:
    (repo / "a.txt").write_text("two\n")
    command = commit_command(repo, "mine", ["a.txt"])
    git(repo, "commit", "-q", "--allow-empty", "-m", "yours")
    done = run(repo, command)
    assert (done.returncode, "HEAD has moved" in done.stdout) == (1, True)
    assert git(repo, "log", "-1", "--format=%s") == "yours\n"


def test_the_first_commit_of_a_repository(empty: Path) -> None:
    (empty / "空 白.txt").write_text("x\n")
    (empty / "other.txt").write_text("x\n")
    committed(empty, "first", "空 白.txt")
    assert committed_files(empty, "HEAD") == ["空 白.txt"]
    assert git(empty, "status", "--porcelain") == "?? other.txt\n"


def test_deleted_moved_and_executable_files_and_links_are_committed(repo: Path) -> None:
    git(repo, "rm", "-q", "b.txt")
    (repo / "a.txt").rename(repo / "moved.txt")
    (repo / "sub/c.txt").chmod(0o755)
    (repo / "link").symlink_to("moved.txt")
    committed(repo, "all", ".")
    assert git(repo, "status", "--porcelain") == ""
    raw = git(repo, "ls-tree", "-r", "HEAD").splitlines()
    assert [(line.split()[0], line.partition("\t")[2]) for line in raw] == [
        ("120000", "link"),
        ("100644", "moved.txt"),
        ("100755", "sub/c.txt"),
    ]


def test_a_file_that_became_a_folder_and_a_folder_that_became_a_file(repo: Path) -> None:
    (repo / "a.txt").unlink()
    (repo / "a.txt").mkdir()
    (repo / "a.txt/inside").write_text("x\n")
    (repo / "sub/c.txt").unlink()
    (repo / "sub").rmdir()
    (repo / "sub").write_text("x\n")
    committed(repo, "turned round", ".")
    assert git(repo, "status", "--porcelain") == ""
    assert git(repo, "ls-files").split() == ["a.txt/inside", "b.txt", "sub"]


def test_what_else_is_staged_stays_staged_as_it_was(repo: Path) -> None:
    (repo / "b.txt").write_text("staged\n")
    git(repo, "add", "b.txt")
    (repo / "b.txt").write_text("and more\n")
    (repo / "a.txt").write_text("two\n")
    committed(repo, "a alone", "a.txt")
    assert committed_files(repo, "HEAD") == ["a.txt"]
    assert git(repo, "status", "--porcelain") == "MM b.txt\n"
    assert git(repo, "show", ":b.txt") == "staged\n"


def test_ignored_files_are_left_out(repo: Path) -> None:
    (repo / ".gitignore").write_text("*.log\n")
    (repo / "x.log").write_text("x\n")
    committed(repo, "rules", ".gitignore", "x.log")
    assert committed_files(repo, "HEAD") == [".gitignore"]


def test_a_file_that_git_ignores_only_since_it_was_chosen_is_not_committed(repo: Path) -> None:
    (repo / "notes").mkdir()
    (repo / "notes" / "x.log").write_text("x\n")
    (repo / "a.txt").write_text("two\n")
    command = commit_command(repo, "all", ["."])
    (repo / ".gitignore").write_text("notes/\n")
    head = git(repo, "rev-parse", "HEAD")
    done = run(repo, command)
    assert done.returncode == 1
    assert done.stdout == "Git ignores these files by now, so nothing was committed:\nnotes/x.log\n"
    assert git(repo, "rev-parse", "HEAD") == head
    assert git(repo, "diff", "--cached", "--name-only") == ""


def test_a_tracked_file_that_the_rules_name_is_committed_like_every_tracked_one(repo: Path) -> None:
    (repo / ".gitignore").write_text("a.txt\n")
    (repo / "a.txt").write_text("two\n")
    committed(repo, "tracked", "a.txt")
    assert committed_files(repo, "HEAD") == ["a.txt"]


def test_settings_of_the_repository_do_not_change_the_message(repo: Path) -> None:
    for name, value in (("commit.cleanup", "strip"), ("i18n.commitEncoding", "cp932"), ("commit.verbose", "true")):
        git(repo, "config", name, value)
    (repo / "a.txt").write_text("two\n")
    committed(repo, "表示\n\n# no comment\nend", "a.txt")
    raw = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=repo, capture_output=True, check=True).stdout
    assert raw.endswith("\n\n表示\n\n# no comment\nend\n".encode())
    assert b"encoding" not in raw.partition(b"\n\n")[0]


def test_on_a_detached_head_it_commits_there(repo: Path) -> None:
    git(repo, "checkout", "-q", "--detach")
    (repo / "a.txt").write_text("two\n")
    committed(repo, "detached", "a.txt")
    assert git(repo, "rev-parse", "main") != git(repo, "rev-parse", "HEAD")


def test_a_file_in_conflict_is_refused(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "side")
    for branch, text in (("side", "left\n"), ("main", "right\n")):
        git(repo, "checkout", "-q", branch)
        (repo / "a.txt").write_text(text)
        git(repo, "commit", "-q", "-am", branch)
    subprocess.run(["git", "merge", "-q", "side"], cwd=repo, capture_output=True)
    with pytest.raises(ToolError, match="a merge is under way"):
        commit_command(repo, "m", ["a.txt"])
    (repo / ".git/MERGE_HEAD").unlink()
    with pytest.raises(ToolError, match=r"a\.txt is in conflict"):
        commit_command(repo, "m", ["a.txt"])


def test_too_many_names_for_one_command_line_are_refused(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_MAX_NAMES_BYTES", 10)
    (repo / "a.txt").write_text("two\n")
    (repo / "b.txt").write_text("two\n")
    with pytest.raises(ToolError, match="2 files are too many"):
        commit_command(repo, "m", ["."])


def test_a_message_is_cleaned_as_git_would() -> None:
    assert clean_message("\n a \n\n\n\nb\t\nc\n\n") == " a\n\nb\nc"
