from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from flowloom.cli.app import run_command_line


class Ended(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


Flow = Callable[..., Ended]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "仕事 space"
    (folder / ".git").mkdir(parents=True)
    return folder


@pytest.fixture
def flow(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    """Return a function that runs a command line in the workspace, in this process."""

    # Torch was perhaps loaded in this process, which tells the hub's tools for good that they are offline.
    around = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}

    def run(*words: str, **env: str) -> Ended:
        code = run_command_line(["-C", str(workspace), *words], {**around, **env})
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run
