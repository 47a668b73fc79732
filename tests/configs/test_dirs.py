from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flowloom.configs.dirs import create_private, find_dirs, make_private, write_private
from flowloom.core.errors import ConfigError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_flow_home_holds_all_four_folders(tmp_path: Path) -> None:
    dirs = find_dirs({"FLOW_HOME": str(tmp_path), "XDG_DATA_HOME": "/elsewhere"})
    assert [dirs.config, dirs.data, dirs.state, dirs.cache] == [
        tmp_path / name for name in ("config", "data", "state", "cache")
    ]


def test_a_relative_flow_home_becomes_absolute() -> None:
    assert find_dirs({"FLOW_HOME": "some/home"}).data == Path.cwd() / "some" / "home" / "data"


def test_xdg_variables_move_the_folders(tmp_path: Path) -> None:
    assert find_dirs({"XDG_DATA_HOME": str(tmp_path)}).data == tmp_path / "flow"


def test_a_relative_xdg_variable_is_ignored() -> None:
    assert find_dirs({"XDG_CACHE_HOME": "relative"}).cache.is_absolute()


def test_the_platform_folders_are_named_flow() -> None:
    dirs = find_dirs({})
    assert {folder.name for folder in (dirs.config, dirs.data, dirs.state, dirs.cache)} == {"flow"}


def test_made_folders_and_their_parents_are_private(tmp_path: Path) -> None:
    made = make_private(tmp_path / "a" / "b")
    assert [mode_of(made), mode_of(made.parent)] == [0o700, 0o700]


def test_a_created_file_is_private_and_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "data.db"
    create_private(file)
    assert (mode_of(file), file.read_bytes()) == (0o600, b"")
    file.write_bytes(b"content")
    file.chmod(0o640)
    create_private(file)
    assert (mode_of(file), file.read_bytes()) == (0o640, b"content")


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    make_private(folder)
    assert mode_of(folder) == 0o755


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file"):
        make_private(tmp_path / "file")
    with pytest.raises(ConfigError, match="FLOW_HOME"):
        make_private(tmp_path / "file" / "below")


def test_a_private_file_is_0600_and_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_private(path, b"first and long")
    write_private(path, b"second")
    assert (path.read_bytes(), mode_of(path), os.listdir(path.parent)) == (b"second", 0o600, ["file"])
