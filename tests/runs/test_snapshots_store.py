from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowloom.core.errors import ConfigError
from flowloom.runs.shadow_git import GitTimedOut, SnapshotFailed, store_name
from flowloom.runs.snapshots import SnapshotLimits, Snapshots

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


def files_of(snapshots: Snapshots, folder: Path, tree: str) -> list[str]:
    """The files of a snapshot, told by its own listing."""
    git_dir = store_of(folder) / "git"
    out = subprocess.run(
        ["git", "--git-dir", git_dir, "ls-tree", "-r", "-z", "--name-only", f"{tree}:files"],
        check=True,
        capture_output=True,
    ).stdout
    return [os.fsdecode(name) for name in out.split(b"\0") if name]


def test_lock_that_a_killed_git_left_is_removed(folder: Path) -> None:
    put(folder, "a.txt")
    snapshots = snapshots_of(folder)
    snapshots.take("x")
    (store_of(folder) / "index.lock").write_bytes(b"")
    put(folder, "b.txt")
    assert files_of(snapshots, folder, snapshots.take("y").tree) == ["a.txt", "b.txt"]


def test_damaged_index_is_built_anew(folder: Path) -> None:
    put(folder, "a.txt")
    snapshots = snapshots_of(folder)
    first = snapshots.take("x").tree
    (store_of(folder) / "index").write_bytes(b"DIRC rubbish that is no index")
    assert snapshots.take("y").tree == first


def test_object_that_was_lost_is_stored_anew(folder: Path) -> None:
    put(folder, "a.txt", "some content")
    snapshots = snapshots_of(folder)
    first = snapshots.take("x").tree
    for file in (store_of(folder) / "git" / "objects").rglob("*"):
        if file.is_file():
            file.unlink()
    put(folder, "b.txt")
    snapshots.take("y")
    (folder / "b.txt").unlink()
    assert snapshots.take("z").tree == first
    put(folder, "a.txt", "other")
    assert snapshots.restore(first).left == ()
    assert (folder / "a.txt").read_text() == "some content"


def test_kill_in_the_middle_of_a_snapshot_leaves_a_working_store(folder: Path) -> None:
    for number in range(3000):
        put(folder, f"{number % 50}/{number}.txt", os.urandom(300))
    code = (
        "import sys; from pathlib import Path; from flowloom.runs.snapshots import Snapshots\n"
        "print('go', flush=True); Snapshots(Path(sys.argv[1]), Path(sys.argv[2])).take('x')"
    )
    for delay in (0.05, 0.15, 0.3):
        command = [sys.executable, "-c", code, str(folder), str(folder.parent / "store")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
    snapshots = snapshots_of(folder)
    tree = snapshots.take("after")
    assert (len(files_of(snapshots, folder, tree.tree)), tree.skipped) == (3000, {})


def test_two_processes_take_turns(folder: Path) -> None:
    put(folder, "a.txt")
    code = (
        "import sys; from pathlib import Path; from flowloom.runs.snapshots import Snapshots\n"
        "snapshots = Snapshots(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print({snapshots.take('x').tree for _ in range(5)})"
    )
    command = [sys.executable, "-c", code, str(folder), str(folder.parent / "store")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate()[0] for process in running}
    assert printed == {f"{{{snapshots_of(folder).take('x').tree!r}}}\n"}


def test_reading_that_takes_too_long_is_refused_clearly(folder: Path) -> None:
    put(folder, "a.txt")
    with pytest.raises(GitTimedOut, match="took more than"):
        snapshots_of(folder, timeout_s=0.0001).take("x")


def test_store_that_can_not_be_written_is_one_clear_error(folder: Path) -> None:
    put(folder.parent, "store", "a file, not a folder")
    put(folder, "a.txt")
    with pytest.raises(ConfigError, match="cannot be created: Not a directory"):
        snapshots_of(folder).take("x")


def test_stored_snapshots_are_listed_with_time_and_label(folder: Path) -> None:
    snapshots = snapshots_of(folder)
    for label in ("make test ../x.lock", "テスト\nを実行 ~1"):
        put(folder, "a.txt", label)
        snapshots.take(label)
    assert [kept.label for kept in snapshots.kept()] == ["make test ../x.lock", "テスト を実行 ~1"]


def test_label_of_any_length_is_taken(folder: Path) -> None:
    snapshots = snapshots_of(folder)
    tree = snapshots.take("長い" * 5000).tree
    assert [kept.tree for kept in snapshots.kept()] == [tree]


def test_pruned_snapshots_are_gone_and_the_newest_stay(folder: Path) -> None:
    snapshots = snapshots_of(folder)
    trees = []
    for number in range(5):
        put(folder, "a.txt", f"{number}")
        trees.append(snapshots.take(f"{number}").tree)
    assert snapshots.prune(2) == 3
    assert [kept.tree for kept in snapshots.kept()] == trees[3:]
    with pytest.raises(SnapshotFailed, match="not kept any more"):
        snapshots.restore(trees[0])
    snapshots.restore(trees[3])
    assert (folder / "a.txt").read_text() == "3"


def test_oldest_snapshots_go_when_the_quota_is_passed(folder: Path) -> None:
    snapshots = snapshots_of(folder, quota_bytes=300_000)
    for _ in range(8):
        put(folder, "a.bin", os.urandom(60_000))
        last = snapshots.take("x").tree
    kept = [each.tree for each in snapshots.kept()]
    assert 1 <= len(kept) < 8
    assert kept[-1] == last
    objects = store_of(folder) / "git" / "objects"
    assert sum(file.stat().st_size for file in objects.rglob("*") if file.is_file()) < 400_000


def test_name_of_no_snapshot_is_refused(folder: Path) -> None:
    for name in ("", "HEAD", "--all", "f" * 40):
        with pytest.raises(SnapshotFailed, match="not kept any more, or never was"):
            snapshots_of(folder).files_now_vs(name)


def test_store_of_a_workspace_that_is_gone_is_removed(folder: Path) -> None:
    put(folder, "a.txt")
    snapshots_of(folder).take("x")
    (folder / "a.txt").unlink()
    folder.rmdir()
    snapshots_of(folder).remove()
    snapshots_of(folder).remove()
    assert not store_of(folder).exists()
