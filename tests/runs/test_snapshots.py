from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowloom.runs.shadow_git import ShadowGit, SnapshotFailed, store_name
from flowloom.runs.snapshots import Change, SnapshotLimits, SnapshotRefused, Snapshots

Git = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    folder.mkdir()
    return folder


def snapshots_of(folder: Path, **limits: float) -> Snapshots:
    return Snapshots(folder, folder.parent / "store", SnapshotLimits(**limits))  # type: ignore[arg-type]


def store_of(folder: Path) -> Path:
    return folder.parent / "store" / store_name(folder)


def put(folder: Path, name: str, content: bytes | str = "text\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def paths(changes: tuple[Change, ...]) -> list[str]:
    return [change.path for change in changes]


def files_of(snapshots: Snapshots, folder: Path, tree: str) -> list[str]:
    """The files of a snapshot, told by its own listing."""
    git_dir = store_of(folder) / "git"
    out = subprocess.run(
        ["git", "--git-dir", git_dir, "ls-tree", "-r", "-z", "--name-only", f"{tree}:files"],
        check=True,
        capture_output=True,
    ).stdout
    return [os.fsdecode(name) for name in out.split(b"\0") if name]


def test_same_workspace_gives_the_same_tree(folder: Path) -> None:
    put(folder, "a.txt")
    snapshots = snapshots_of(folder)
    first = snapshots.take("one").tree
    put(folder, "b.txt")
    assert snapshots.take("two").tree != first
    (folder / "b.txt").unlink()
    assert snapshots.take("three").tree == first


def test_empty_workspace_has_a_snapshot(folder: Path) -> None:
    snapshots = snapshots_of(folder)
    tree = snapshots.take("empty").tree
    put(folder, "a.txt")
    assert snapshots.files_now_vs(tree) == (Change("a.txt", "added"),)


def test_changes_between_two_snapshots_are_told_by_path(folder: Path) -> None:
    put(folder, "stays.txt")
    put(folder, "goes.txt", "gone")
    put(folder, "changes.txt", "one")
    snapshots = snapshots_of(folder)
    old = snapshots.take("old").tree
    (folder / "goes.txt").unlink()
    put(folder, "changes.txt", "two")
    put(folder, "資料/新しい 名前.txt")
    new = snapshots.take("new").tree
    assert snapshots.changed(old, new) == (
        Change("changes.txt", "changed"),
        Change("goes.txt", "deleted"),
        Change("資料/新しい 名前.txt", "added"),
    )


def test_change_of_permissions_alone_is_a_change(folder: Path) -> None:
    script, secret = put(folder, "run.sh"), put(folder, "secret.txt")
    snapshots = snapshots_of(folder)
    old = snapshots.take("old").tree
    script.chmod(0o755)
    secret.chmod(0o600)
    assert paths(snapshots.files_now_vs(old)) == ["run.sh", "secret.txt"]


def test_same_size_edit_with_the_old_time_is_seen_within_the_same_second(folder: Path) -> None:
    path = put(folder, "a.txt", "aaaa")
    os.utime(path, (1_577_836_800, 1_577_836_800))
    snapshots = snapshots_of(folder)
    old = snapshots.take("old").tree
    with path.open("r+b") as file:  # the same inode
        file.write(b"bbbb")
    os.utime(path, (1_577_836_800, 1_577_836_800))
    assert paths(snapshots.files_now_vs(old)) == ["a.txt"]


def test_same_size_edit_with_the_old_time_is_seen_long_after(folder: Path) -> None:
    path = put(folder, "a.txt", "aaaa")
    snapshots = snapshots_of(folder)
    time.sleep(2.2)
    old = snapshots.take("old").tree
    before = path.stat()
    path.write_bytes(b"bbbb")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert paths(snapshots.files_now_vs(old)) == ["a.txt"]


def test_ignored_files_are_left_out(folder: Path, git: Git) -> None:
    git(folder, "init", "-q")
    put(folder, ".gitignore", "build/\n*.log\n")
    put(folder, ".git/info/exclude", "private.txt\n")
    for name in ("build/out.o", "x.log", "private.txt", "src/a.py"):
        put(folder, name)
    tree = snapshots_of(folder).take("ignored").tree
    assert files_of(snapshots_of(folder), folder, tree) == [".gitignore", "src/a.py"]


def test_ignore_file_of_the_user_counts(folder: Path, isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = put(isolated_home, "my-ignores", ".direnv/\n")
    config = put(isolated_home, "my-config", f"[core]\n\texcludesFile = {rules}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    put(folder, ".direnv/big")
    put(folder, "a.txt")
    snapshots = snapshots_of(folder)
    assert files_of(snapshots, folder, snapshots.take("x").tree) == ["a.txt"]


def test_file_that_the_repository_tracks_although_ignored_is_kept(work: Path, git: Git) -> None:
    put(work, ".gitignore", "*.lock\n")
    put(work, "kept.lock")
    put(work, "other.lock")
    git(work, "add", "-f", "kept.lock", ".gitignore")
    snapshots = snapshots_of(work)
    assert files_of(snapshots, work, snapshots.take("x").tree) == [".gitignore", "kept.lock"]


def test_file_that_became_ignored_leaves_later_snapshots(folder: Path) -> None:
    put(folder, "modules/a.js")
    put(folder, "src.js")
    snapshots_of(folder).take("before")
    put(folder, ".gitignore", "modules/\n")
    snapshots = snapshots_of(folder)
    assert files_of(snapshots, folder, snapshots.take("after").tree) == [".gitignore", "src.js"]


def test_large_file_is_left_out_and_reported(folder: Path) -> None:
    put(folder, "big.bin", b"x" * 101)
    put(folder, "small.bin", b"x" * 100)
    snapshots = snapshots_of(folder, max_file_bytes=100)
    taken = snapshots.take("x")
    assert taken.skipped == {"big.bin": "larger than 100 bytes"}
    assert files_of(snapshots, folder, taken.tree) == ["small.bin"]


def test_file_that_grew_too_large_leaves_later_snapshots(folder: Path) -> None:
    path = put(folder, "a.log", b"x")
    snapshots = snapshots_of(folder, max_file_bytes=100)
    snapshots.take("small")
    path.write_bytes(b"x" * 101)
    taken = snapshots.take("large")
    assert (list(taken.skipped), files_of(snapshots, folder, taken.tree)) == (["a.log"], [])


def test_too_many_files_are_refused_until_the_limit_is_raised(folder: Path) -> None:
    for number in range(4):
        put(folder, f"{number}.txt")
    with pytest.raises(SnapshotRefused, match=r"4 files, more than snapshots.max_files \(3\)"):
        snapshots_of(folder, max_files=3).take("x")
    assert snapshots_of(folder, max_files=0).take("x").tree


def test_too_many_bytes_at_once_are_refused(folder: Path) -> None:
    put(folder, "a.bin", os.urandom(2000))
    with pytest.raises(SnapshotRefused, match=r"2,000 bytes, more than snapshots\.quota_bytes"):
        snapshots_of(folder, quota_bytes=1000).take("x")


def test_home_folder_is_refused(isolated_home: Path, tmp_path: Path) -> None:
    with pytest.raises(SnapshotRefused, match="holds the home folder"):
        Snapshots(isolated_home, tmp_path / "store").take("x")


def test_folder_above_the_home_folder_is_refused(isolated_home: Path, tmp_path: Path) -> None:
    with pytest.raises(SnapshotRefused, match="holds the home folder"):
        Snapshots(isolated_home.parent, tmp_path / "store").take("x")


def test_root_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRefused, match="holds the home folder"):
        Snapshots(Path("/"), tmp_path / "store").take("x")


def test_folder_that_holds_the_store_is_refused(folder: Path) -> None:
    with pytest.raises(SnapshotRefused, match="holds the snapshots themselves"):
        Snapshots(folder, folder / "data" / "snapshots").take("x")
    assert list(folder.iterdir()) == []


def test_store_is_for_the_owner_alone(folder: Path) -> None:
    snapshots_of(folder).take("x")
    assert (folder.parent / "store").stat().st_mode & 0o777 == 0o700
    assert store_of(folder).stat().st_mode & 0o777 == 0o700


def test_workspaces_have_stores_of_their_own(tmp_path: Path) -> None:
    trees = []
    for name in ("one", "two"):
        put(tmp_path / name / "same", "a.txt", name)
        trees.append(Snapshots(tmp_path / name / "same", tmp_path / "store").take("x").tree)
    with pytest.raises(SnapshotFailed, match="not kept"):
        Snapshots(tmp_path / "one" / "same", tmp_path / "store").restore(trees[1])


def test_repository_of_the_user_is_not_touched(work: Path, git: Git) -> None:
    put(work, "a.txt", "one")
    git(work, "add", "a.txt")
    git(work, "commit", "-q", "-m", "start")
    put(work, "a.txt", "stashed")
    git(work, "stash")
    put(work, "a.txt", "staged")
    git(work, "add", "a.txt")
    put(work, "a.txt", "neither")
    before = contents(work / ".git")
    snapshots = snapshots_of(work)
    tree = snapshots.take("x").tree
    put(work, "a.txt", "later")
    snapshots.restore(tree)
    assert contents(work / ".git") == before
    assert (work / "a.txt").read_text() == "neither"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_settings_of_the_repository_run_nothing(work: Path, git: Git, tmp_path: Path) -> None:
    trap = f"touch {tmp_path}/sprung; cat"
    for key in ("core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "core.pager", "diff.trap.command"):
        git(work, "config", key, trap)
    hook = put(work, ".git/hooks/post-index-change", f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    hook.chmod(0o755)
    put(work, ".gitattributes", "* filter=trap diff=trap\n")
    put(work, "a.txt")
    snapshots = snapshots_of(work)
    tree = snapshots.take("x").tree
    put(work, "a.txt", "new")
    snapshots.restore(tree)
    assert not (tmp_path / "sprung").exists()


def test_environment_of_a_hook_leads_nowhere_else(
    folder: Path, work: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(work, "theirs.txt")
    put(folder, "ours.txt")
    monkeypatch.setenv("GIT_DIR", str(work / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(work))
    monkeypatch.setenv("GIT_INDEX_FILE", str(work / ".git" / "index"))
    taken = snapshots_of(folder).take("x")
    monkeypatch.undo()
    assert files_of(snapshots_of(folder), folder, taken.tree) == ["ours.txt"]
    assert not (work / ".git" / "index").exists()


def test_nested_repository_is_kept_without_its_git_folder(work: Path, git: Git) -> None:
    put(work, "a.txt")
    nested = work / "vendor" / "lib"
    nested.mkdir(parents=True)
    git(nested, "init", "-q")
    put(nested, ".gitignore", "*.o\n")
    put(nested, "src/lib.c")
    put(nested, "src/lib.o")
    deeper = nested / "deeper"
    deeper.mkdir()
    git(deeper, "init", "-q")
    put(deeper, "x.txt")
    snapshots = snapshots_of(work)
    expected = ["a.txt", "vendor/lib/.gitignore", "vendor/lib/deeper/x.txt", "vendor/lib/src/lib.c"]
    assert files_of(snapshots, work, snapshots.take("one").tree) == expected
    put(nested, "src/new.c")
    assert "vendor/lib/src/new.c" in files_of(snapshots, work, snapshots.take("two").tree)
    assert (nested / ".git").is_dir()


def test_rules_of_the_workspace_count_in_a_nested_repository(work: Path, git: Git) -> None:
    put(work, ".gitignore", "*.log\n")
    nested = work / "lib"
    nested.mkdir()
    git(nested, "init", "-q")
    put(nested, "x.log")
    put(nested, "x.txt")
    snapshots = snapshots_of(work)
    assert files_of(snapshots, work, snapshots.take("x").tree) == [".gitignore", "lib/x.txt"]


def test_bytes_are_kept_as_they_are_whatever_attributes_say(work: Path, git: Git) -> None:
    put(work, ".gitattributes", "* text=auto eol=lf ident\n*.u16 working-tree-encoding=UTF-16\n")
    git(work, "config", "core.autocrlf", "true")
    wanted = {
        "crlf.txt": b"one\r\ntwo\r\n",
        "mixed.txt": b"one\r\ntwo\nthree\r",
        "ident.txt": b"$Id: 1234 $\n",
        "text.u16": "日本".encode("utf-16"),
        "binary.bin": bytes(range(256)),
        "empty": b"",
    }
    for name, content in wanted.items():
        put(work, name, content)
    snapshots = snapshots_of(work)
    tree = snapshots.take("x").tree
    for name in wanted:
        (work / name).unlink()
    assert snapshots.restore(tree).left == ()
    assert {name: (work / name).read_bytes() for name in wanted} == wanted


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file_is_reported_and_ends_nothing(folder: Path) -> None:
    put(folder, "locked").chmod(0)
    put(folder, "open.txt")
    snapshots = snapshots_of(folder)
    taken = snapshots.take("x")
    assert taken.skipped == {"locked": "not readable"}
    assert files_of(snapshots, folder, taken.tree) == ["open.txt"]


def test_name_that_git_can_not_store_is_reported_and_ends_nothing(folder: Path) -> None:
    put(folder, "good.txt")
    put(folder, "sub/.GIT/x.txt")
    put(folder, "sub/git~1/x.txt")
    snapshots = snapshots_of(folder)
    taken = snapshots.take("x")
    assert taken.skipped == {"sub/.GIT/x.txt": "git can not store this name"}
    assert files_of(snapshots, folder, taken.tree) == ["good.txt", "sub/git~1/x.txt"]


def test_path_that_git_fails_on_does_not_keep_the_others_out(folder: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        put(folder, name)
    os.mkfifo(folder / "pipe")
    shadow = ShadowGit(folder, folder.parent / "own", 10.0)
    with shadow.locked():
        rejected = shadow.add([b"a.txt", b"b.txt", b"pipe", b"c.txt"])
        assert list(rejected) == [b"pipe"]
        assert shadow.git("ls-files").split() == [b"a.txt", b"b.txt", b"c.txt"]


def test_name_that_is_no_utf8_is_kept(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.txt")
    put(folder, name, "x").chmod(0o600)
    snapshots = snapshots_of(folder)
    tree = snapshots.take("x").tree
    (folder / name).unlink()
    assert snapshots.restore(tree).changes == (Change(name, "added"),)
    assert (folder / name).stat().st_mode & 0o777 == 0o600


def test_pipe_and_socket_are_passed_over(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    put(folder, "a.txt")
    snapshots = snapshots_of(folder)
    assert files_of(snapshots, folder, snapshots.take("x").tree) == ["a.txt"]
