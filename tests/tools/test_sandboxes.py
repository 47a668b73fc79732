"""Which sandbox is chosen, by settings and by what works on the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from flowloom.configs.dirs import find_dirs
from flowloom.configs.settings import SandboxSettings
from flowloom.core.errors import ConfigError
from flowloom.tools.bwrap import Bwrap, probe_bwrap
from flowloom.tools.landlock import probe_landlock
from flowloom.tools.sandboxes import choose_sandbox, find_sandbox

SECOND = "none" if probe_landlock() else "landlock"


def environ(path: str | Path) -> dict[str, str]:
    return {**os.environ, "PATH": str(path)}


def kind(path: str | Path, **settings: Any) -> str:
    env = environ(path)
    return choose_sandbox(SandboxSettings(**settings), find_dirs(env), env).kind


def program(folder: Path, text: str) -> Path:
    """Put a bubblewrap of our own into a folder for a PATH."""
    path = folder / "bwrap"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return folder


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed")
def test_bubblewrap_is_the_first_choice() -> None:
    assert kind(os.environ["PATH"]) == kind(os.environ["PATH"], backend="bubblewrap") == "bubblewrap"


def test_without_bubblewrap_it_is_landlock_or_nothing_and_why_is_told(tmp_path: Path) -> None:
    env = environ(tmp_path)
    found = find_sandbox(SandboxSettings(), find_dirs(env), env)
    assert found.kind == SECOND
    assert "bubblewrap (bwrap) is not installed" in found.missing
    assert found.fix == "Install bubblewrap (bwrap)."


def test_a_bubblewrap_that_can_not_make_a_namespace_is_told_with_its_own_words(tmp_path: Path) -> None:
    folder = program(tmp_path, "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    found = probe_bwrap(str(folder))
    assert found == "bubblewrap is installed but starts no sandbox here: setting up uid map: Permission denied"


def test_a_bubblewrap_that_knows_less_is_used_with_less(tmp_path: Path) -> None:
    folder = program(tmp_path, 'case "$*" in *--unshare-user*) echo "bwrap: Unknown option" >&2; exit 1;; esac')
    found = probe_bwrap(str(folder))
    assert found == Bwrap(str(folder / "bwrap"), ("--unshare-all",))


def test_a_sandbox_that_is_set_and_missing_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'bubblewrap' of the settings does not work here") as told:
        kind(tmp_path, backend="bubblewrap")
    assert told.value.hint == 'Install bubblewrap (bwrap). Or set sandbox.backend to "auto".'


def test_none_is_none_whatever_is_there() -> None:
    assert kind(os.environ["PATH"], backend="none") == "none"


@pytest.mark.parametrize("name", ["read_only", "writable"])
@pytest.mark.parametrize("path", ["relative", "/", "~", "~/", "//", "/a/../b", ""])
def test_a_path_outside_has_to_be_whole_and_not_everything(name: str, path: str) -> None:
    with pytest.raises(ValueError, match="must be a path"):
        SandboxSettings.model_validate({name: [path]})


@pytest.mark.parametrize("path", ["/etc", "~/x", "..", "a/../..", ".", ""])
def test_a_path_of_the_home_folder_has_to_be_below_it(path: str) -> None:
    with pytest.raises(ValueError, match="must be a path below the home folder"):
        SandboxSettings(home=[path])
