from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Flow


@pytest.fixture
def files(workspace: Path) -> Path:
    (workspace / ".flow" / "graphs").mkdir(parents=True)
    (workspace / ".flow" / "config.toml").write_text('mode = "plan"')
    (workspace / ".flow" / "graphs" / "mine.yaml").write_text("flow: 1")
    (workspace / "AGENTS.md").write_text("手順 \x1b[2J", "utf-8")
    return workspace


def states(flow: Flow, *words: str) -> dict[str, str]:
    listed = json.loads(flow("trust", "--list", *words, "-o", "json").out)
    return {Path(file["path"]).name: file["state"] for file in listed}


def test_without_a_path_it_lists_and_trusts_nothing(flow: Flow, files: Path) -> None:
    ended = flow("trust")
    assert (ended.code, ended.out.count("new ")) == (0, 3)
    assert f"flow trust '{files}'" in ended.err
    assert set(states(flow).values()) == {"new"}


def test_a_repository_that_brings_nothing_says_so(flow: Flow) -> None:
    assert "nothing that would become active" in flow("trust").out


def test_a_file_is_trusted_and_said_what_it_is(flow: Flow, files: Path) -> None:
    ended = flow("trust", ".flow/config.toml")
    assert (ended.code, "settings (" in ended.err) == (0, True)
    assert states(flow) == {"config.toml": "trusted", "mine.yaml": "new", "AGENTS.md": "new"}
    assert flow("config", "get", "mode").out == "plan\n"


def test_a_folder_stands_for_what_would_become_active_in_it(flow: Flow, files: Path) -> None:
    flow("trust", ".flow")
    assert states(flow) == {"config.toml": "trusted", "mine.yaml": "trusted", "AGENTS.md": "new"}


def test_the_whole_repository_can_be_trusted_from_anywhere(flow: Flow, files: Path, tmp_path: Path) -> None:
    flow("-C", str(tmp_path), "trust", str(files))
    assert set(states(flow).values()) == {"trusted"}


def test_a_changed_file_is_shown_as_changed(flow: Flow, files: Path) -> None:
    flow("trust", "AGENTS.md")
    (files / "AGENTS.md").write_text("other")
    assert states(flow)["AGENTS.md"] == "changed"


def test_revoke_takes_one_or_all(flow: Flow, files: Path) -> None:
    flow("trust", ".")
    flow("trust", "AGENTS.md", "--revoke")
    assert states(flow) == {"config.toml": "trusted", "mine.yaml": "trusted", "AGENTS.md": "new"}
    flow("trust", "--revoke")
    assert set(states(flow).values()) == {"new"}


def test_a_file_that_is_gone_can_be_revoked(flow: Flow, files: Path) -> None:
    flow("trust", "AGENTS.md")
    (files / "AGENTS.md").unlink()
    assert "revoked" in flow("trust", "AGENTS.md", "--revoke").err


@pytest.mark.parametrize("path", ["none.yaml", "empty"])
def test_a_path_without_anything_to_trust_is_told(flow: Flow, workspace: Path, path: str) -> None:
    (workspace / "empty").mkdir()
    ended = flow("trust", path)
    assert (ended.code, path in ended.err) == (2, True)


def test_a_name_with_control_characters_has_no_power_over_the_terminal(flow: Flow, workspace: Path) -> None:
    (workspace / ".flow").mkdir()
    (workspace / ".flow" / "a\x1b[2J\n日本.py").write_text("")
    out = flow("trust").out
    assert ("\x1b" in out, "<U+001B>[2J" in out, "日本" in out) == (False, True, True)


def test_at_a_terminal_each_file_is_asked_for(flow: Flow, files: Path) -> None:
    main, other = pty.openpty()
    # AGENTS.md comes last: shown, then trusted; the two before it are refused, one by Enter.
    os.write(main, b"n\n\nshow\ny\n")
    ended = subprocess.run(
        [sys.executable, "-m", "flowloom", "trust"], stdin=other, capture_output=True, cwd=files, check=False
    )
    os.close(main)
    os.close(other)
    assert (ended.returncode, b"\x1b" in ended.stderr) == (0, False)
    assert states(flow) == {"config.toml": "new", "mine.yaml": "new", "AGENTS.md": "trusted"}
