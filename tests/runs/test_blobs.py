from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from flowloom.core.errors import FlowError
from flowloom.runs.blobs import BlobStore


@pytest.mark.parametrize("data", [b"", b"\0\xff" * 1000, "日本語\r\n".encode(), b"x" * 3_000_000])
def test_bytes_come_back_as_they_were(tmp_path: Path, data: bytes) -> None:
    blobs = BlobStore(tmp_path / "b")
    assert blobs.get(blobs.put(data)) == data


def test_name_is_the_hash_and_the_file_is_in_two_levels(tmp_path: Path) -> None:
    sha = BlobStore(tmp_path).put(b"hello")
    assert sha == hashlib.sha256(b"hello").hexdigest()
    assert BlobStore(tmp_path).path(sha) == tmp_path / sha[:2] / sha[2:]
    assert (tmp_path / sha[:2] / sha[2:]).read_bytes() == b"hello"


def test_files_and_folders_are_for_the_owner_only(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "b")
    path = blobs.path(blobs.put(b"secret"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_same_bytes_are_stored_once_and_not_written_again(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    path = blobs.path(blobs.put(b"same"))
    written = path.stat().st_mtime_ns
    blobs.put(b"same")
    assert path.stat().st_mtime_ns == written
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


@pytest.mark.parametrize("left", [b"whole", b"whole_content"])
def test_damaged_file_is_written_anew(tmp_path: Path, left: bytes) -> None:
    blobs = BlobStore(tmp_path)
    sha = blobs.put(b"whole content")
    blobs.path(sha).write_bytes(left)
    assert blobs.put(b"whole content") == sha
    assert blobs.get(sha) == b"whole content"


def test_damaged_bytes_are_never_given_out(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    sha = blobs.put(b"good")
    blobs.path(sha).write_bytes(b"evil")
    with pytest.raises(FlowError, match="damaged"):
        blobs.get(sha)


@pytest.mark.parametrize("sha", ["0" * 64, "", "../../etc/passwd", "A" * 64])
def test_what_is_not_stored_is_a_key_error(tmp_path: Path, sha: str) -> None:
    with pytest.raises(KeyError):
        BlobStore(tmp_path).get(sha)


def test_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FlowError, match="cannot be"):
        BlobStore(tmp_path / "file" / "b").put(b"x")
