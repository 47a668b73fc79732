import os
from io import StringIO
from pathlib import Path

import pytest

from flowloom.cli.notify import notify


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bell_rings_at_a_terminal_only() -> None:
    terminal, file = Terminal(), StringIO()
    notify("bell", "plan#1 waits", terminal)
    notify("bell", "plan#1 waits", file)
    assert (terminal.getvalue(), file.getvalue()) == ("\a", "")


def test_off_is_silent() -> None:
    terminal = Terminal()
    notify("off", "plan#1 waits", terminal)
    assert terminal.getvalue() == ""


def test_a_desktop_is_given_the_title_as_one_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nfor word in "$@"; do echo "$word"; done > {tmp_path}/said\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    terminal = Terminal()
    notify("desktop", "--icon=x; $(id)", terminal)
    assert (tmp_path / "said").read_text().splitlines()[-1] == "--icon=x; $(id)"
    assert terminal.getvalue() == ""


def test_without_a_desktop_the_bell_rings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    terminal = Terminal()
    notify("desktop", "plan#1 waits", terminal)
    assert terminal.getvalue() == "\a"
