import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowloom.core.errors import ToolError
from flowloom.tools.paths import (
    is_protected,
    open_inside,
    read_inside,
    remove_leftover,
    replace_file,
    resolve_for_write,
    resolve_inside,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    inside = tmp_path / "ws"
    (inside / "src").mkdir(parents=True)
    (inside / "src/a.py").write_text("a")
    (inside / "out").symlink_to(tmp_path)
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    (inside / "near").symlink_to("src")
    (inside / "up").symlink_to("..")
    (inside / "loop").symlink_to("loop")
    return inside


PARTS = st.sampled_from(
    ["..", ".", "src", "a.py", "out", "up", "near", "link.txt", "secret.txt", "ws", "", "new", "loop", "日本", "ws2"]
)


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts=st.lists(PARTS, max_size=7), absolute=st.sampled_from(["", "/", "inside", "beside"]))
def test_no_path_escapes(workspace: Path, parts: list[str], absolute: str) -> None:
    start = {"": "", "/": "/", "inside": f"{workspace}/", "beside": f"{workspace.parent}/"}[absolute]
    try:
        resolved = resolve_inside(workspace, start + "/".join(parts))
    except ToolError:
        return
    assert Path(os.path.realpath(resolved)).is_relative_to(workspace)
    assert not resolved.is_symlink()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.text(max_size=40))
def test_any_text_is_inside_or_refused(workspace: Path, path: str) -> None:
    with suppress(ToolError):
        assert resolve_inside(workspace, path).is_relative_to(workspace)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "/etc/passwd",
        "out/secret.txt",
        "link.txt",
        "up/secret.txt",
        "~/x",
        "",
        "a\0b",
        "loop",
        "out/new",
    ],
)
def test_a_path_that_leaves_is_refused(workspace: Path, path: str) -> None:
    with pytest.raises(ToolError):
        resolve_inside(workspace, path)


def test_a_sibling_with_the_same_prefix_is_outside(workspace: Path) -> None:
    (workspace.parent / "ws2").mkdir()
    with pytest.raises(ToolError, match="outside"):
        resolve_inside(workspace, f"{workspace}2/file")


def test_an_absolute_path_inside_is_allowed(workspace: Path) -> None:
    assert resolve_inside(workspace, f"{workspace}/src/a.py") == workspace / "src/a.py"


def test_a_link_within_the_workspace_is_resolved(workspace: Path) -> None:
    assert resolve_inside(workspace, "near/a.py") == workspace / "src/a.py"


def test_a_pipe_is_refused(workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    with pytest.raises(ToolError, match="pipe"):
        resolve_inside(workspace, "pipe")


@pytest.mark.parametrize(
    "path",
    [".git/config", "sub/.git/hooks/x", ".GIT/config", ".g\u200cit/config", ".flow/config.toml", ".flowignore",
     ".git", "git~1/config", ".git /config", "pkg/.aiignore"],
)  # fmt: skip
def test_protected_paths_are_never_written(workspace: Path, path: str) -> None:
    with pytest.raises(ToolError, match="protected"):
        resolve_for_write(workspace, path)


def test_a_link_to_a_protected_folder_is_protected(workspace: Path) -> None:
    (workspace / ".git").mkdir()
    (workspace / "hooks").symlink_to(".git")
    with pytest.raises(ToolError, match="protected"):
        resolve_for_write(workspace, "hooks/pre-commit")


def test_gitignore_and_like_names_may_be_written() -> None:
    assert not is_protected(".gitignore")
    assert not is_protected(".github/workflows/ci.yml")
    assert not is_protected("src/git.py")


def test_a_folder_swapped_for_a_link_is_not_followed(workspace: Path) -> None:
    relative = "src/a.py"
    (workspace / "src/a.py").unlink()
    (workspace / "src").rmdir()
    (workspace / "src").symlink_to(workspace.parent)
    with pytest.raises(OSError):
        open_inside(workspace, relative)
    with pytest.raises(OSError):
        replace_file(workspace, "src/secret.txt", b"overwritten")
    assert (workspace.parent / "secret.txt").read_text() == "secret"


def test_a_file_swapped_for_a_link_is_replaced_and_not_followed(workspace: Path) -> None:
    replace_file(workspace, "link.txt", b"mine")
    assert (workspace.parent / "secret.txt").read_text() == "secret"
    assert (workspace / "link.txt").read_bytes() == b"mine"
    assert not (workspace / "link.txt").is_symlink()


def test_a_pipe_put_in_place_meanwhile_does_not_hang(workspace: Path) -> None:
    os.mkfifo(workspace / "src/pipe")
    with pytest.raises(ToolError, match="regular"):
        open_inside(workspace, "src/pipe")


def test_replace_keeps_the_mode_and_leaves_nothing_over(workspace: Path) -> None:
    script = workspace / "run.sh"
    script.write_text("old")
    script.chmod(0o755)
    replace_file(workspace, "run.sh", b"new")
    assert script.read_bytes() == b"new"
    assert script.stat().st_mode & 0o777 == 0o755
    assert not list(workspace.glob(".flow-*"))


def test_replace_makes_missing_folders(workspace: Path) -> None:
    replace_file(workspace, "深い/場所/ファイル.txt", "本文".encode())
    assert (workspace / "深い/場所/ファイル.txt").read_text() == "本文"


def test_a_failed_replace_leaves_the_old_file_and_nothing_else(workspace: Path) -> None:
    (workspace / "full").mkdir()
    with pytest.raises(OSError):
        replace_file(workspace, "full", b"a folder is in the way")
    assert sorted(path.name for path in workspace.glob(".flow-*")) == []


def test_a_killed_replace_leaves_nothing_once_it_is_done_again(workspace: Path) -> None:
    pid = os.fork()
    if pid == 0:
        os.rename = lambda *args, **kwargs: os._exit(9)
        replace_file(workspace, "src/a.py", b"new")
        os._exit(1)
    os.waitpid(pid, 0)
    assert (workspace / "src/a.py").read_text() == "a"
    assert len(list((workspace / "src").glob(".flow-*"))) == 1
    replace_file(workspace, "src/a.py", b"new")
    assert [path.name for path in (workspace / "src").iterdir()] == ["a.py"]
    remove_leftover(workspace, "src/a.py", b"new")


def test_read_gives_none_for_a_missing_file_and_refuses_a_large_one(workspace: Path) -> None:
    assert read_inside(workspace, "missing/x") is None
    assert read_inside(workspace, "src/a.py/x") is None
    with pytest.raises(ToolError, match="1 bytes"):
        read_inside(workspace, "src/a.py", max_bytes=0)
