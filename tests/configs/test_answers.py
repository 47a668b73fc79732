from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flowloom.configs.answers import answers_file, set_check, set_verify
from flowloom.configs.dirs import Dirs
from flowloom.configs.layers import read_file_layer
from flowloom.core.errors import ConfigError


def stored(dirs: Dirs, workspace: Path) -> object:
    """Return the answer as the settings read it; None = there is none."""
    return read_file_layer("answers", answers_file(dirs, workspace)).values.get("verify")


@pytest.mark.parametrize(
    "command",
    ["", "pytest -q", ["python3", "-m", "pytest"], ['a "b"', "c\\d", "改行\n", "\x7f\x01\t"], "echo 'ü'"],
)
def test_an_answer_is_read_as_it_was_given(dirs: Dirs, workspace: Path, command: str | list[str]) -> None:
    set_verify(dirs, workspace, command)
    assert stored(dirs, workspace) == command


def test_no_answer_is_none(dirs: Dirs, workspace: Path) -> None:
    assert stored(dirs, workspace) is None


def test_an_answer_can_be_taken_back(dirs: Dirs, workspace: Path) -> None:
    set_verify(dirs, workspace, "make test")
    set_verify(dirs, workspace, None)
    assert stored(dirs, workspace) is None


def test_two_answers_stand_side_by_side(dirs: Dirs, workspace: Path) -> None:
    set_verify(dirs, workspace, "make test")
    set_check(dirs, workspace, ["make", "lint"])
    kept = {"verify": "make test", "check": ["make", "lint"]}
    assert read_file_layer("answers", answers_file(dirs, workspace)).values == kept
    set_verify(dirs, workspace, None)
    assert read_file_layer("answers", answers_file(dirs, workspace)).values == {"check": ["make", "lint"]}


def test_answers_belong_to_one_workspace(dirs: Dirs, workspace: Path, tmp_path: Path) -> None:
    set_verify(dirs, workspace, "make test")
    assert stored(dirs, tmp_path) is None


def test_a_workspace_has_one_file_under_all_its_names(dirs: Dirs, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(workspace)
    assert answers_file(dirs, tmp_path / "link") == answers_file(dirs, workspace)


def test_answers_are_private(dirs: Dirs, workspace: Path) -> None:
    set_verify(dirs, workspace, "make test")
    assert stat.S_IMODE(answers_file(dirs, workspace).stat().st_mode) == 0o600


def test_a_damaged_file_is_told(dirs: Dirs, workspace: Path) -> None:
    path = answers_file(dirs, workspace)
    path.parent.mkdir(parents=True)
    path.write_text("verify = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        stored(dirs, workspace)


def test_a_workspace_whose_name_is_no_text_can_have_answers(dirs: Dirs, tmp_path: Path) -> None:
    odd = tmp_path / "a\udcff\x7f\nb"
    odd.mkdir()
    set_verify(dirs, odd, "make test")
    assert stored(dirs, odd) == "make test"
