"""Reading a git repository that may not be trusted: no hook, monitor or filter of its own configuration runs.
Used by runs/changes.py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..core.errors import UsageError
from ..core.git import config_env, filters_off, own_filters, run_git


class GitState(NamedTuple):
    """How a repository is at one moment.

    Attributes:
        head: the commit that is checked out, in full hex; "" = there is none yet.
        files: those that differ from it or are not tracked (ignored ones left out), deleted ones too; each with git's
            two letters, "??" = not tracked.
    """

    head: str
    files: Mapping[str, str]


class GitFolder:
    """The git repository around a workspace, read only. All paths are relative to the workspace.

    Args:
        workspace: absolute folder, the top of the working tree or below it.

    Raises:
        UsageError: (from every method) git is missing, or does not work there.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def require(self) -> None:
        """Raise UsageError unless the workspace lies in the working tree of a git repository."""
        # It looks at no contents, so that there are no filters to switch off.
        done = run_git(self.workspace, "rev-parse", "--is-inside-work-tree")
        if done.returncode == 0 and done.stdout.strip() == b"true":
            return
        said = _first_line(done.stderr)
        # Inside .git, or in a repository without files to work on, which git is told to keep out of.
        if done.returncode == 0 or "not a git repository" in said or "bare repository" in said:
            raise UsageError(
                f"{str(self.workspace)!r} is not a git repository.",
                hint="Run `git init` there, so that changes can be shown and taken back.",
            )
        raise UsageError(f"git refuses to work in {str(self.workspace)!r}: {said}")

    def head(self) -> str:
        """Return the commit that is checked out, in full hex; "" when there is none yet."""
        return self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").stdout.decode().strip()

    def dirty(self) -> list[str]:
        """Return the files of `state`, sorted."""
        return sorted(self.state().files)

    def state(self) -> GitState:
        """Return the commit and the files that differ from it, by one command."""
        status = ("status", "--porcelain=v2", "--branch", "--no-ahead-behind", "-z", "-uall", "--no-renames")
        lines = self._lines(*status, "--ignore-submodules=all", "--", ".")
        heads = [line.removeprefix(_HEAD).decode() for line in lines if line.startswith(_HEAD)]
        # With -z the paths start at the top of the working tree, whatever the current folder.
        files = [_status_entry(line) for line in lines if not line.startswith(b"#")]
        return GitState(
            "".join(head for head in heads if head != "(initial)"),
            {path.removeprefix(self._prefix): code for code, path in files if not path.endswith("/")},
        )

    def tracked(self, commit: str) -> frozenset[str]:
        """Return the files of a commit; none for ""."""
        if not commit:
            return frozenset()
        # "MODE TYPE HASH\tPATH"; a submodule is of type commit and has no content of its own here.
        entries = [entry.partition(b"\t") for entry in self._lines("ls-tree", "-r", "-z", commit)]
        return frozenset(os.fsdecode(path) for facts, _, path in entries if b" blob " in facts)

    def moved(self, start: str, end: str) -> list[str]:
        """Return the files in which two commits differ."""
        if start == end or not end:
            return []
        if not start:
            return sorted(self.tracked(end))
        names = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=all", "--relative")
        return [os.fsdecode(name) for name in self._lines(*names, start, end, "--")]

    def content(self, commit: str, path: str) -> bytes:
        """Return a file of a commit as a checkout would write it (line ends as the repository's attributes say)."""
        name = f"{commit}:{self._prefix}{PurePosixPath(path)}"
        return self._checked("cat-file", "--filters", name)

    @cached_property
    def _prefix(self) -> str:
        return os.fsdecode(self._checked("rev-parse", "--show-prefix")).removesuffix("\n")

    @cached_property
    def _env(self) -> dict[str, str]:
        return config_env(filters_off(own_filters(self.workspace)))

    def _lines(self, *arguments: str) -> list[bytes]:
        return [line for line in self._checked(*arguments).split(b"\0") if line]

    def _checked(self, *arguments: str) -> bytes:
        done = self._run(*arguments)
        if done.returncode != 0:
            self.require()
            raise UsageError(
                f"git {arguments[0]} failed in {str(self.workspace)!r}: {_first_line(done.stderr)}",
                hint="Mend the repository (`git status` tells more), then try again.",
            )
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return run_git(self.workspace, *arguments, env=self._env)


_HEAD = b"# branch.oid "
_WORDS_BEFORE_PATH = {b"1": 8, b"u": 10, b"?": 1}
"""By the first word of an entry: changed, unmerged, not tracked."""


def _status_entry(line: bytes) -> tuple[str, str]:
    """Return the two letters and the path of an entry of `git status --porcelain=v2`."""
    kind, rest = line.split(b" ", 1)
    letters = "??" if kind == b"?" else rest[:2].decode().replace(".", " ")
    return letters, os.fsdecode(line.split(b" ", _WORDS_BEFORE_PATH[kind])[-1])


def _first_line(text: bytes) -> str:
    return (text.decode(errors="replace").strip().splitlines() or ["(git gave no reason)"])[0]
