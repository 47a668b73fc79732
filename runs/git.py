"""Reading a git repository that may not be trusted: no hook, monitor or filter of its own configuration runs.
Used by runs/changes.py."""

from __future__ import annotations

import os
import subprocess
from functools import cached_property
from pathlib import Path, PurePosixPath

from ..core.errors import UsageError
from ..core.git import config_env, filters_off, own_filters, run_git


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
        done = self._run("rev-parse", "--is-inside-work-tree")
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
        """Return files that differ from HEAD or are not tracked (ignored ones left out), deleted ones too, sorted."""
        return sorted(self.status())

    def status(self) -> dict[str, str]:
        """Return the files of `dirty` with git's two letters of each; "??" = not tracked."""
        status = ("status", "--porcelain=v1", "-z", "-uall", "--no-renames", "--ignore-submodules=all", "--", ".")
        # With -z the paths start at the top of the working tree, whatever the current folder.
        entries = [(entry[:2].decode(), os.fsdecode(entry[3:])) for entry in self._lines(*status)]
        return {path.removeprefix(self._prefix): code for code, path in entries if not path.endswith("/")}

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
            raise UsageError(
                f"git {arguments[0]} failed in {str(self.workspace)!r}: {_first_line(done.stderr)}",
                hint="Mend the repository (`git status` tells more), then try again.",
            )
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return run_git(self.workspace, *arguments, env=self._env)


def _first_line(text: bytes) -> str:
    return (text.decode(errors="replace").strip().splitlines() or ["(git gave no reason)"])[0]
