from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from flowloom.retrieval.git_history import Change, read_changes, read_head

MakeRepo = Callable[[Mapping[str, str]], Path]
MakeTree = Callable[[Mapping[str, str | bytes]], Path]


def _git(repo: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=repo, check=True, capture_output=True, text=True).stdout


def _commit(repo: Path, message: str, *names: str) -> None:
    for name in names:
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{message}\n", "utf-8")
    _git(repo, "add", "-A")
    _git(repo, "commit", "-q", "-m", message)


def _changes(folder: Path) -> list[Change]:
    return read_changes(folder, read_head(folder))


def test_commits_are_read_newest_first_with_their_files(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    _commit(repo, "Second line\n\nwith more", "b.py", "dir/名前 x.py")
    assert [(each.message.split(), each.paths) for each in _changes(repo)] == [
        (["Second", "line", "with", "more"], ("b.py", "dir/名前 x.py")),
        (["start"], ("a.py",)),
    ]


def test_merges_are_left_out_and_what_they_merged_is_read(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    _git(repo, "switch", "-q", "-c", "side")
    _commit(repo, "on the side", "b.py")
    _git(repo, "switch", "-q", "main")
    _commit(repo, "on the main line", "c.py")
    _git(repo, "merge", "-q", "--no-edit", "side")
    assert sorted(each.paths for each in _changes(repo)) == [("a.py",), ("b.py",), ("c.py",)]


def test_trailers_links_and_hashes_are_no_part_of_a_message(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    _commit(
        repo, "Round it\n\nSee https://example.org/x, like 0123abc4\n\nSigned-off-by: Ann <ann@example.org>", "a.py"
    )
    assert _changes(repo)[0].message.split() == ["Round", "it", "See", "like"]


def test_paths_are_relative_to_the_workspace_and_commits_elsewhere_are_not_read(make_repo: MakeRepo) -> None:
    repo = make_repo({"app/a.py": "1\n", "web/b.js": "1\n"})
    _commit(repo, "web alone", "web/b.js")
    assert [each.paths for each in _changes(repo / "app")] == [("a.py",)]


def test_without_git_a_commit_or_the_objects_there_is_no_history(
    make_tree: MakeTree, make_repo: MakeRepo, git_init: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = make_tree({"a.py": "1\n"})
    assert read_head(folder) == ""
    git_init(folder)
    assert read_head(folder) == ""
    assert read_head(tmp_path / "missing") == ""
    assert read_changes(make_repo({"a.py": "1\n"}), "0" * 40) == []


def test_commits_after_the_one_checked_out_are_not_read(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    _commit(repo, "later", "b.py")
    _git(repo, "checkout", "-q", "--detach", "HEAD^")
    assert [each.paths for each in _changes(repo)] == [("a.py",)]


def test_nothing_that_the_repository_configures_is_run(make_repo: MakeRepo, tmp_path: Path) -> None:
    repo = make_repo({"a.py": "1\n"})
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{ran}'\n", "utf-8")
    program.chmod(0o755)
    for name in ("gpg.program", "core.pager", "diff.external", "core.fsmonitor"):
        _git(repo, "config", name, str(program))
    for name, value in {"log.showSignature": "true", "log.follow": "true", "diff.relative": "false"}.items():
        _git(repo, "config", name, value)
    ran.unlink(missing_ok=True)  # git config itself may have asked the file system monitor
    assert [each.paths for each in _changes(repo)] == [("a.py",)]
    assert not ran.exists()


def test_a_message_in_another_encoding_breaks_nothing(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    (repo / "a.py").write_text("2\n", "utf-8")
    message = repo.parent / "message"
    message.write_bytes("見積を丸める\x01\x02".encode("cp932"))
    _git(repo, "-c", "i18n.commitEncoding=cp932", "commit", "-q", "-a", "-F", str(message))
    assert _changes(repo)[0].message.startswith("見積を丸める")
