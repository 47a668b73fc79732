from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flowloom.runs.snapshots import Change, Left, SnapshotLimits, SnapshotRefused, Snapshots

Git = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    folder.mkdir()
    return folder


@pytest.fixture
def snapshots(folder: Path) -> Snapshots:
    return Snapshots(folder, folder.parent / "store")


def put(folder: Path, name: str, content: bytes | str = "text\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_restore_puts_back_and_tells_every_change(folder: Path, snapshots: Snapshots) -> None:
    put(folder, "changed.txt", "old")
    put(folder, "deleted/日本.txt", "old\r\n")
    tree = snapshots.take("x").tree
    put(folder, "changed.txt", "new")
    put(folder, "added/new.txt")
    (folder / "deleted/日本.txt").unlink()
    (folder / "deleted").rmdir()
    restored = snapshots.restore(tree)
    assert restored.changes == (
        Change("added/new.txt", "deleted"),
        Change("changed.txt", "changed"),
        Change("deleted/日本.txt", "added"),
    )
    assert (folder / "changed.txt").read_text() == "old"
    assert (folder / "deleted/日本.txt").read_bytes() == b"old\r\n"
    assert not (folder / "added").exists()


def test_file_that_did_not_change_is_not_touched(folder: Path, snapshots: Snapshots) -> None:
    same = put(folder, "same.txt")
    tree = snapshots.take("x").tree
    put(folder, "new.txt")
    before = same.stat()
    snapshots.restore(tree)
    assert same.stat() == before or (same.stat().st_ino, same.stat().st_ctime_ns) == (
        before.st_ino,
        before.st_ctime_ns,
    )


def test_restore_is_undone_by_its_safety_snapshot(folder: Path, snapshots: Snapshots) -> None:
    put(folder, "a.txt", "old")
    tree = snapshots.take("x").tree
    put(folder, "a.txt", "precious")
    put(folder, "b.txt", "also precious")
    safety = snapshots.restore(tree).safety
    snapshots.restore(safety)
    assert ((folder / "a.txt").read_text(), (folder / "b.txt").read_text()) == ("precious", "also precious")


def test_preview_lists_the_changes_and_does_none(folder: Path, snapshots: Snapshots) -> None:
    put(folder, "a.txt", "old")
    tree = snapshots.take("x").tree
    put(folder, "a.txt", "new")
    assert snapshots.preview(tree).changes == (Change("a.txt", "changed"),)
    assert (folder / "a.txt").read_text() == "new"


def test_only_the_named_paths_are_put_back(folder: Path, snapshots: Snapshots) -> None:
    for name in ("src/a.txt", "src2/a.txt", "b.txt"):
        put(folder, name, "old")
    tree = snapshots.take("x").tree
    for name in ("src/a.txt", "src2/a.txt", "b.txt"):
        put(folder, name, "new")
    snapshots.restore(tree, ["src"])
    assert [(folder / name).read_text() for name in ("src/a.txt", "src2/a.txt", "b.txt")] == ["old", "new", "new"]


def test_permissions_are_put_back(folder: Path, snapshots: Snapshots) -> None:
    wanted = {"run.sh": 0o755, "plain.txt": 0o644, "secret.txt": 0o600, "odd.sh": 0o700, "read-only.txt": 0o444}
    for name, permissions in wanted.items():
        put(folder, name).chmod(permissions)
    tree = snapshots.take("x").tree
    for name in wanted:
        (folder / name).chmod(0o640)
    snapshots.take("between")
    put(folder, "run.sh", "changed")
    (folder / "secret.txt").unlink()
    snapshots.restore(tree)
    assert {name: (folder / name).stat().st_mode & 0o777 for name in wanted} == wanted


def test_links_are_put_back_as_links(folder: Path, snapshots: Snapshots) -> None:
    put(folder, "target.txt", "target")
    (folder / "link").symlink_to("target.txt")
    (folder / "broken").symlink_to("nowhere/目標")
    tree = snapshots.take("x").tree
    (folder / "link").unlink()
    put(folder, "link", "a file now")
    (folder / "broken").unlink()
    snapshots.restore(tree)
    assert os.readlink(folder / "link") == "target.txt"
    assert os.readlink(folder / "broken") == "nowhere/目標"
    assert (folder / "target.txt").read_text() == "target"


def test_file_that_became_a_link_is_put_back_without_following_it(
    folder: Path, snapshots: Snapshots, tmp_path: Path
) -> None:
    outside = put(tmp_path, "outside.txt", "outside")
    path = put(folder, "a.txt", "inside")
    tree = snapshots.take("x").tree
    path.unlink()
    path.symlink_to(outside)
    snapshots.restore(tree)
    assert (path.is_symlink(), path.read_text(), outside.read_text()) == (False, "inside", "outside")


def test_folder_that_became_a_link_outside_is_put_back_without_following_it(
    folder: Path, snapshots: Snapshots, tmp_path: Path
) -> None:
    outside = put(tmp_path, "elsewhere/a.txt", "outside")
    put(folder, "dir/a.txt", "inside")
    tree = snapshots.take("x").tree
    (folder / "dir/a.txt").unlink()
    (folder / "dir").rmdir()
    (folder / "dir").symlink_to(outside.parent)
    snapshots.restore(tree)
    assert outside.read_text() == "outside"
    assert not (folder / "dir").is_symlink()
    assert (folder / "dir/a.txt").read_text() == "inside"


def test_ignored_link_in_the_place_of_a_folder_is_left(folder: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    outside = put(tmp_path, "elsewhere/a.txt", "outside")
    put(folder, "dir/a.txt", "inside")
    put(folder, ".gitignore", "/dir\n!/dir/\n")
    tree = snapshots.take("x").tree
    (folder / "dir/a.txt").unlink()
    (folder / "dir").rmdir()
    (folder / "dir").symlink_to(outside.parent)
    restored = snapshots.restore(tree)
    assert outside.read_text() == "outside"
    assert [left.path for left in restored.left] == ["dir/a.txt"]


def test_file_and_folder_change_places(folder: Path, snapshots: Snapshots) -> None:
    put(folder, "one", "a file")
    put(folder, "two/inner.txt", "in a folder")
    tree = snapshots.take("x").tree
    (folder / "one").unlink()
    put(folder, "one/inner.txt")
    (folder / "two/inner.txt").unlink()
    (folder / "two").rmdir()
    put(folder, "two", "a file")
    assert snapshots.restore(tree).left == ()
    assert ((folder / "one").read_text(), (folder / "two/inner.txt").read_text()) == ("a file", "in a folder")


def test_folder_with_ignored_files_in_the_place_of_a_file_is_left(folder: Path, snapshots: Snapshots) -> None:
    put(folder, ".gitignore", "*.log\n")
    put(folder, "out", "a file")
    put(folder, "other.txt", "old")
    tree = snapshots.take("x").tree
    (folder / "out").unlink()
    put(folder, "out/x.log", "ignored")
    put(folder, "other.txt", "new")
    restored = snapshots.restore(tree)
    assert [left.path for left in restored.left] == ["out"]
    assert ((folder / "out/x.log").read_text(), (folder / "other.txt").read_text()) == ("ignored", "old")
    assert not list(folder.glob(".flow-*"))


def test_ignored_files_stay_when_the_ignore_file_was_deleted(folder: Path, snapshots: Snapshots) -> None:
    put(folder, ".gitignore", "node_modules/\n.env\n")
    put(folder, "node_modules/a/index.js", "module")
    put(folder, ".env", "SECRET=1")
    tree = snapshots.take("x").tree
    (folder / ".gitignore").unlink()
    put(folder, "new.txt")
    restored = snapshots.restore(tree)
    assert (folder / ".gitignore").read_text() == "node_modules/\n.env\n"
    assert (folder / "node_modules/a/index.js").read_text() == "module"
    assert (folder / ".env").read_text() == "SECRET=1"
    assert not (folder / "new.txt").exists()
    assert (restored.spared, restored.left) == ((".env", "node_modules/a/index.js"), ())


def test_file_that_is_ignored_by_now_is_safe_before_it_is_put_back(folder: Path, snapshots: Snapshots) -> None:
    put(folder, "data.txt", "old")
    tree = snapshots.take("x").tree
    put(folder, ".gitignore", "data.txt\n")
    put(folder, "data.txt", "precious")
    later = Snapshots(folder, folder.parent / "store")  # another process: the ignore rules are read anew
    later.take("y")
    safety = later.restore(tree).safety
    assert (folder / "data.txt").read_text() == "old"
    later.restore(safety, ["data.txt"])
    assert (folder / "data.txt").read_text() == "precious"


def test_file_that_is_too_large_by_now_is_safe_before_it_is_put_back(folder: Path) -> None:
    snapshots = Snapshots(folder, folder.parent / "store", SnapshotLimits(max_file_bytes=100))
    put(folder, "data.bin", b"old")
    tree = snapshots.take("x").tree
    put(folder, "data.bin", b"x" * 1000)
    safety = snapshots.restore(tree).safety
    assert (folder / "data.bin").read_bytes() == b"old"
    snapshots.restore(safety)
    assert (folder / "data.bin").read_bytes() == b"x" * 1000


def test_nothing_is_touched_when_the_safety_snapshot_is_refused(folder: Path) -> None:
    snapshots = Snapshots(folder, folder.parent / "store", SnapshotLimits(max_files=3))
    put(folder, "a.txt", "old")
    tree = snapshots.take("x").tree
    put(folder, "a.txt", "new")
    for number in range(5):
        put(folder, f"{number}.txt")
    with pytest.raises(SnapshotRefused):
        snapshots.restore(tree)
    assert (folder / "a.txt").read_text() == "new"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_path_that_can_not_be_written_is_told_and_the_rest_is_put_back(folder: Path, snapshots: Snapshots) -> None:
    put(folder, "locked/a.txt", "old")
    put(folder, "b.txt", "old")
    tree = snapshots.take("x").tree
    put(folder, "locked/a.txt", "new")
    put(folder, "b.txt", "new")
    (folder / "locked").chmod(0o500)
    restored = snapshots.restore(tree)
    (folder / "locked").chmod(0o700)
    assert restored.left == (Left("locked/a.txt", "Permission denied"),)
    assert (folder / "b.txt").read_text() == "old"


def test_nested_repository_is_put_back_and_its_history_stays(work: Path, git: Git) -> None:
    nested = work / "lib"
    nested.mkdir()
    git(nested, "init", "-q")
    put(nested, "a.txt", "old")
    git(nested, "add", "-A")
    git(nested, "commit", "-q", "-m", "one")
    snapshots = Snapshots(work, work.parent / "store")
    tree = snapshots.take("x").tree
    put(nested, "a.txt", "new")
    git(nested, "commit", "-q", "-a", "-m", "two")
    snapshots.restore(tree)
    assert (nested / "a.txt").read_text() == "old"
    assert git(nested, "log", "--format=%s").split() == ["two", "one"]


def test_restore_of_the_present_state_changes_nothing(folder: Path, snapshots: Snapshots) -> None:
    put(folder, "a.txt")
    tree = snapshots.take("x").tree
    restored = snapshots.restore(tree)
    assert (restored.changes, restored.left) == ((), ())
