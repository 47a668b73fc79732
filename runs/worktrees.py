"""Worktrees: a checkout of its own for one run, on a branch of its own. The only place that makes or removes them.

Used by app/ when a run starts with one and by the commands that show and remove runs; git does the work.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..configs.dirs import make_private
from ..core.errors import UsageError
from ..core.git import config_env, filters_off, own_filters, run_git
from .git import GitFolder
from .rows import RunRow


class WorktreeState(NamedTuple):
    """What a worktree holds now.

    Attributes:
        exists: False when its folder is gone.
        files: changed and new files that no commit has, sorted; ignored ones are left out.
        commits: commits on its branch since it was made.
        kept_alone: how many of them are on no other branch or tag.
    """

    exists: bool
    files: tuple[str, ...]
    commits: int
    kept_alone: int


@dataclass(frozen=True, slots=True)
class Worktree:
    """One run's worktree, made or planned.

    Attributes:
        folder: absolute; `source` is the checkout that it was made from, whose repository it shares.
        branch: "flow/" and the run's id; `commit` is where it began, in full hex.
    """

    folder: Path
    branch: str
    commit: str
    source: Path

    @staticmethod
    def plan(source: Path, parent: Path, run_id: str) -> Worktree:
        """Return the worktree that `make` would make below `parent` from the source's last commit.

        Raises:
            UsageError: the source has no commit, or is no git repository.
        """
        commit = GitFolder(source).head()
        if not commit:
            raise UsageError(
                f"{str(source)!r} has no commit yet, so there is nothing to make a worktree from.",
                hint="Commit once, or run without --worktree.",
            )
        return Worktree(parent / run_id, f"flow/{run_id}", commit, source)

    @staticmethod
    def of(row: RunRow) -> Worktree | None:
        """Return the worktree of a run; None = it works in its workspace."""
        made = row.worktree
        if made is None:
            return None
        return Worktree(Path(made["folder"]), made["branch"], made["commit"], Path(row.workspace))

    def to_dict(self) -> dict[str, Any]:
        """Return what a run's options keep of it."""
        return {"folder": str(self.folder), "branch": self.branch, "commit": self.commit}

    def make(self) -> None:
        """Check the commit out into the folder, on a new branch; no hook or filter of the repository runs.

        What an attempt that was cut short left behind goes first.

        Raises:
            UsageError: git cannot.
        """
        make_private(self.folder.parent)
        self._discard()
        self._checked("worktree", "add", "--quiet", "-b", self.branch, str(self.folder), self.commit)

    def make_again(self) -> None:
        """Check the branch out into the folder once more, as it is now.

        Raises:
            UsageError: git cannot.
        """
        self._drop_folder()
        self._checked("worktree", "add", "--quiet", str(self.folder), self.branch)

    def is_there(self) -> bool:
        """Return whether the folder is there."""
        return (self.folder / ".git").exists()

    def require(self) -> None:
        """Return when the folder is there.

        Raises:
            UsageError: it is gone.
        """
        if not self.is_there():
            raise UsageError(
                f"The worktree {str(self.folder)!r} is gone, and what was not committed in it.",
                hint=f"The branch {self.branch} may still hold commits; a new run starts over.",
            )

    def state(self) -> WorktreeState:
        """Return what it holds now.

        Raises:
            UsageError: its repository is gone, or git does not work there.
        """
        exists = self.is_there()
        files = tuple(GitFolder(self.folder).dirty()) if exists else ()
        return WorktreeState(exists, files, self._count(self.commit), self._count(*self._elsewhere()))

    def remove(self) -> bool:
        """Remove the folder with all that is in it, and the branch unless it alone holds commits.

        Returns:
            Whether the branch went too.

        Raises:
            UsageError: git cannot.
        """
        if not self.source.is_dir():
            shutil.rmtree(self.folder, ignore_errors=True)
            return True
        alone = self._count(*self._elsewhere())
        self._drop_folder()
        if alone or not self._has_branch():
            return not alone
        self._checked("branch", "--quiet", "-D", self.branch)
        return True

    def _discard(self) -> None:
        self._drop_folder()
        if self._has_branch():
            self._checked("branch", "--quiet", "-D", self.branch)

    def _drop_folder(self) -> None:
        # Twice forced, it goes whatever git thinks of it (submodules, a lock of its own while it was being made).
        if self._git("worktree", "remove", "--force", "--force", str(self.folder)).returncode != 0:
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self._git("worktree", "prune")

    def _has_branch(self) -> bool:
        return self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{self.branch}").returncode == 0

    def _elsewhere(self) -> Sequence[str]:
        return (f"--exclude={self.branch}", "--branches", "--tags", "--remotes", "HEAD")

    def _count(self, *without: str) -> int:
        """Return how many commits of the branch cannot be reached from these."""
        if not self._has_branch():
            return 0
        return int(self._checked("rev-list", "--count", f"refs/heads/{self.branch}", "--not", *without))

    def _checked(self, *arguments: str) -> str:
        done = self._git(*arguments)
        if done.returncode != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise UsageError(
                f"git {' '.join(arguments[:2])} failed in {str(self.source)!r}: {said or '(git gave no reason)'}",
                hint="Mend the repository (`git worktree list` tells more), then try again.",
            )
        return done.stdout.decode()

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return run_git(self.source, *arguments, env=config_env(filters_off(own_filters(self.source))))


def require_saved(worktree: Worktree, run_id: str) -> None:
    """Return when nothing would be lost with the worktree's folder.

    Raises:
        UsageError: it holds changes that are in no commit.
    """
    state = worktree.state()
    if not state.files:
        return
    raise UsageError(
        f"Run {run_id} was kept: its worktree {str(worktree.folder)!r} holds {_counted(len(state.files), 'file')}"
        f" that no commit has ({', '.join(state.files[:3])}{' ...' if len(state.files) > 3 else ''}).",
        hint=f"Commit there first, or give them up: flow runs rm --force {run_id}",
    )


def summary(worktree: Worktree, state: WorktreeState) -> str:
    """Return one line on the branch and what it holds."""
    if not state.exists:
        return f"{worktree.branch} (the worktree's folder is gone)"
    held = [_counted(state.commits, "commit")] if state.commits else []
    held += [f"{_counted(len(state.files), 'file')} not committed"] if state.files else []
    return f"{worktree.branch}: {', '.join(held) or 'no change'} since {worktree.commit[:10]}"


def next_steps(worktree: Worktree, state: WorktreeState, run_id: str) -> list[tuple[str, str]]:
    """Return (what for, command) for what a person may do with the worktree now."""
    there, source = shlex.quote(str(worktree.folder)), shlex.quote(str(worktree.source))
    steps = []
    if state.files:
        steps.append(("See", f"git -C {there} status"))
        steps.append(("Commit", f"git -C {there} add -A && git -C {there} commit"))
    if state.files or state.commits:
        steps.append(("Merge", f"git -C {source} merge {worktree.branch}"))
    steps.append(("Remove", f"flow runs rm {'--force ' if state.files else ''}{run_id}"))
    return steps


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
