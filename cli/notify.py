"""Calling a person to the terminal when a run waits for them, as the setting approvals.notify says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Literal, TextIO

Notify = Literal["off", "bell", "desktop"]

_TIMEOUT_S = 3.0


def notify(how: Notify, title: str, stderr: TextIO) -> None:
    """Ring the terminal's bell, or show a note on the desktop; where that can not be done the bell rings.

    Args:
        title: what the run waits for, one line without secrets.
    """
    if how == "desktop" and _shown(title):
        return
    if how != "off" and stderr.isatty():
        stderr.write("\a")
        stderr.flush()


def _shown(title: str) -> bool:
    argv = _argv(title)
    if argv is None:
        return False
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _argv(title: str) -> list[str] | None:
    """Return the command that shows a note; None = this desktop has none that we know."""
    if program := shutil.which("notify-send"):
        return [program, "--app-name=flow", "--", "flow", title]
    if sys.platform == "darwin" and (program := shutil.which("osascript")):
        script = 'on run argv\ndisplay notification (item 1 of argv) with title "flow"\nend run'
        return [program, "-e", script, title]
    return None
