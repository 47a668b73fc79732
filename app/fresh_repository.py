"""A new git repository of files that are given: for the demo and for the tests of graphs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import FlowError

_AUTHOR = {
    "GIT_AUTHOR_NAME": "Flowloom",
    "GIT_AUTHOR_EMAIL": "flow@flowloom.invalid",
    "GIT_COMMITTER_NAME": "Flowloom",
    "GIT_COMMITTER_EMAIL": "flow@flowloom.invalid",
}


def commit_all(folder: Path, message: str) -> None:
    """Make a folder a repository whose one commit holds all of its files.

    Raises:
        FlowError: git failed, or is not installed.
    """
    init = ["init", "-q", "-b", "main", "--template="]
    for words in (init, ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", message]):
        run_in(folder, words)


def run_in(folder: Path, words: Sequence[str]) -> str:
    """Return what a git command printed.

    Raises:
        FlowError: it failed.
    """
    # The commit must work where git knows no name, and run none of the user's hooks.
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", *words]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, env={**os.environ, **_AUTHOR}, check=False
        )
    except OSError as err:
        raise FlowError(f"git cannot be run: {err.strerror}.", hint="Is git installed?") from err
    if done.returncode != 0:
        raise FlowError(f"git {words[0]} failed in {str(folder)!r}: {done.stderr.strip()}", hint="Is git installed?")
    return done.stdout
