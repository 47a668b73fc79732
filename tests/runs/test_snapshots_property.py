from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowloom.runs.snapshots import Snapshots

NAMES = ["a.txt", "b.sh", "日本語.md", "space in name", "-dash", "q'uo\"te\n.txt", os.fsdecode(b"latin\xe9"), "é"]
FOLDERS = ["", "src", "src/inner", "フォルダ", "a.txt"]
CONTENTS = [b"", b"one\n", b"two\n", b"one\r\ntwo\r\n", "漢字\r\n".encode(), bytes(range(256)), b"$Id$\n"]

Edit = tuple[str, str, str, int, int]
edits = st.lists(
    st.tuples(
        st.sampled_from(["write", "write in place", "delete", "rename", "chmod", "link", "folder", "delete folder"]),
        st.builds(
            lambda folder, name: f"{folder}/{name}".lstrip("/"), st.sampled_from(FOLDERS), st.sampled_from(NAMES)
        ),
        st.builds(
            lambda folder, name: f"{folder}/{name}".lstrip("/"), st.sampled_from(FOLDERS), st.sampled_from(NAMES)
        ),
        st.integers(0, len(CONTENTS) - 1),
        st.sampled_from([0o644, 0o755, 0o600, 0o700, 0o444, 0o664]),
    ),
    max_size=12,
)


def apply(root: Path, edit: Edit) -> None:
    """Do one edit; one that is not possible as things stand is left out, as a failing command would leave it."""
    kind, first, second, content, mode = edit
    path, other = root / first, root / second
    try:
        if kind == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CONTENTS[content])
        elif kind == "write in place":
            before = path.stat()
            path.write_bytes(CONTENTS[content])
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif kind == "delete":
            path.unlink()
        elif kind == "rename":
            other.parent.mkdir(parents=True, exist_ok=True)
            path.rename(other)
        elif kind == "chmod" and not path.is_dir():
            path.chmod(mode)
        elif kind == "link":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(second)
        elif kind == "folder":
            path.mkdir(parents=True)
        elif kind == "delete folder":
            shutil.rmtree(path.parent if path.parent != root else path)
    except OSError:
        return


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and link with its permissions and content; empty folders do not count."""
    found: dict[str, tuple[int, bytes]] = {}
    for folder, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(folder, name)
            info = path.lstat()
            if stat.S_ISLNK(info.st_mode):
                found[str(path.relative_to(root))] = (0, os.fsencode(os.readlink(path)))
            elif stat.S_ISREG(info.st_mode):
                found[str(path.relative_to(root))] = (stat.S_IMODE(info.st_mode), path.read_bytes())
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=edits, after=edits, last=edits)
def test_restore_gives_back_every_byte_and_mode(before: list[Edit], after: list[Edit], last: list[Edit]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "work")
        root.mkdir()
        snapshots = Snapshots(root, Path(name, "store"))
        taken = []
        for batch in (before, after, last):
            for edit in batch:
                apply(root, edit)
            taken.append((snapshots.take("x").tree, state(root)))
        for tree, wanted in (taken[0], taken[2], taken[1]):
            restored = snapshots.restore(tree)
            assert restored.left == ()
            assert state(root) == wanted
            assert snapshots.files_now_vs(tree) == ()
