from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flowloom.core.errors import FlowError
from flowloom.core.masking import ENVIRONMENT, KEY_BYTES
from flowloom.runs.kept_secrets import KnownSecrets, keep_key, kept_key, new_key


def test_a_kept_key_is_given_again_and_is_for_the_owner_only(tmp_path: Path) -> None:
    folder, key = tmp_path / "blobs" / "run", new_key()
    keep_key(folder, key)
    (file,) = folder.iterdir()
    assert kept_key(folder) == key
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)] == [0o700, 0o600]


@pytest.mark.parametrize("stored", [None, b"", b"too short"])
def test_a_run_without_a_usable_key_gets_one_that_stays(tmp_path: Path, stored: bytes | None) -> None:
    folder = tmp_path / "run"
    if stored is not None:
        keep_key(folder, stored)
    key = kept_key(folder)
    assert len(key) == KEY_BYTES
    assert kept_key(folder) == key != new_key()


def test_a_key_that_cannot_be_stored_or_read_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "run" / "secrets.key").mkdir(parents=True)
    with pytest.raises(FlowError, match=r"secrets\.key' cannot be read"):
        kept_key(tmp_path / "run")
    with pytest.raises(FlowError, match=r"secrets\.key' cannot be stored"):
        keep_key(tmp_path / "run", new_key())


def test_known_secrets_are_read_again_each_once_and_those_of_the_environment_are_not_kept(tmp_path: Path) -> None:
    known = KnownSecrets(tmp_path / "run")
    for value, kind in (("hunter22", "PASSWORD"), ("日本\n", "VALUE"), ("hunter22", "TOKEN"), ("q8W2", ENVIRONMENT)):
        known.add(value, kind)
    again = KnownSecrets(tmp_path / "run")
    assert list(again.read()) == [("hunter22", "PASSWORD"), ("日本\n", "VALUE")]
    again.add("hunter22", "PASSWORD")
    (file,) = (tmp_path / "run").iterdir()
    assert len(file.read_bytes().splitlines()) == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    known = KnownSecrets(tmp_path)
    assert list(known.read()) == []
    known.add("hunter22", "PASSWORD")
    with (tmp_path / "secrets.known").open("ab") as file:
        file.write(b'["q8W2')
    assert list(KnownSecrets(tmp_path).read()) == [("hunter22", "PASSWORD")]


def test_known_secrets_that_cannot_be_stored_or_read_end_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "secrets.known").mkdir()
    with pytest.raises(FlowError, match="cannot be written"):
        KnownSecrets(tmp_path).add("hunter22", "PASSWORD")
    with pytest.raises(FlowError, match="cannot be read"):
        list(KnownSecrets(tmp_path).read())
