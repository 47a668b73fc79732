"""Taking back one commit: the index entries and files of exactly this commit, then the branch. Called by undo.py."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UsageError
from ..tools.commit import operation_under_way
from .blobs import BlobStore
from .changes import fingerprint
from .git import GitFolder
from .made_commits import MadeCommit
from .restoring import put_file, put_link, remove
from .store import RunRow, RunStore
from .undo_git import LINK, SUBMODULE, Entry, Moved, UndoGit


@dataclass(frozen=True, slots=True)
class BackFile:
    """One file of the commit and what becomes of it.

    Attributes:
        entry: its index entry afterwards; None = it leaves the index.
        action: "restore", "bring back", "remove", or "keep": it stays as it is on the disk.
        content: of the file, or the target of a link; None = nothing is written.
        mode: "100644", "100755" or "120000" of the content; "" = as the file on the disk has it.
    """

    path: str
    entry: Entry | None
    action: str
    content: bytes | None = None
    mode: str = ""


@dataclass(frozen=True, slots=True)
class CommitUndo:
    """How a commit is taken back.

    Attributes:
        folder: top of the checkout.
        branch: "" = HEAD is detached.
        parent: where the branch ends afterwards; "" = it has no commit then.
    """

    folder: Path
    made: MadeCommit
    branch: str
    parent: str
    parent_subject: str
    files: tuple[BackFile, ...]

    def lines(self) -> list[str]:
        """Return what will happen, in words for a person."""
        where = f"on {self.branch}" if self.branch else "on a detached HEAD"
        after = f"{self.parent[:10]} {self.parent_subject!r}" if self.parent else "no commit at all"
        kept = " (as it is: the changes in it were yours before the run)"
        return [
            f"Take back the commit {self.made.commit[:10]} {self.made.subject!r} of run {self.made.run_id}"
            f" {where} in {str(self.folder)!r}:",
            *(f"  {each.action} {each.path}{kept if each.action == 'keep' else ''}" for each in self.files),
            f"HEAD goes back to {after}. No other file and nothing else that is staged is touched.",
        ]

    def apply(self) -> None:
        """Take the commit back. Killed in between, it is finished by planning and applying it once more.

        The branch goes last: as long as it ends at the commit, the next `flow undo` begins here again.

        Raises:
            UsageError: git refused; what was done until then is done again the next time.
        """
        git = UndoGit(self.folder)
        git.put_entries({each.path: each.entry for each in self.files})
        # Removals first: a file may have become a folder of files.
        for each in sorted(self.files, key=lambda each: each.action != "remove"):
            try:
                self._put(each)
            except OSError as err:
                raise UsageError(
                    f"{each.path} cannot be put back: {err.strerror or err}.",
                    hint="Mend that, then run `flow undo` again; it goes on where it was.",
                ) from err
        git.move_back(self.made.commit, self.parent, f"flow undo: {self.made.subject}")
        git.refresh()

    def done_line(self) -> str:
        """Return what was done, in one line, and how to get it back."""
        short = self.made.commit[:10]
        return f"Took back {short} {self.made.subject!r}; `git cherry-pick {short}` brings it back."

    def _put(self, each: BackFile) -> None:
        if each.action == "remove":
            remove(self.folder, each.path)
        elif each.content is None:
            return
        elif each.mode == LINK:
            put_link(self.folder, each.path, each.content)
        else:
            put_file(self.folder, each.path, each.content, _permissions(self.folder / each.path, each.mode))


def _permissions(path: Path, mode: str) -> int:
    """Return the permissions of a file that is put in place: those of the one there now, but for git's bit."""
    try:
        facts = path.lstat()
        now = stat.S_IMODE(facts.st_mode) if stat.S_ISREG(facts.st_mode) else 0o666 & ~_umask()
    except (FileNotFoundError, NotADirectoryError):
        now = 0o666 & ~_umask()
    if mode == "100755":
        return now | ((now & 0o444) >> 2)
    return now & ~0o111 if mode else now


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def plan_commit_undo(store: RunStore, row: RunRow, folder: Path, made: MadeCommit) -> CommitUndo:
    """Return how the commit, which is checked out in the folder, is taken back.

    Raises:
        UsageError: it is pushed, git is in the middle of something, or a file of it was changed since.
    """
    git = UndoGit(Path(UndoGit(folder).read("rev-parse", "--show-toplevel").removesuffix("\n")))
    parents = git.read("show", "--no-patch", "--format=%P", made.commit).split()
    _require_free(git, made, parents)
    moved = git.changes(made.commit)
    _require_plain(git, [each.path for each in moved], moved)
    parent = parents[0] if parents else ""
    before_run = _BeforeRun(store, row, git, parent)
    files = tuple(before_run.back(each) or _back(git, each, parent) for each in moved)
    _require_unchanged(git, moved, files)
    subject = git.read("show", "--no-patch", "--encoding=UTF-8", "--format=%s", parent).strip() if parent else ""
    return CommitUndo(git.top, made, git.branch(), parent, subject, files)


def _require_free(git: UndoGit, made: MadeCommit, parents: Sequence[str]) -> None:
    named = f"The commit {made.commit[:10]} {made.subject!r}"
    if operation := operation_under_way(git.top):
        raise UsageError(f"A {operation} is under way in {str(git.top)!r}.", hint="Finish or abort it first.")
    if len(parents) > 1:
        raise UsageError(f"{named} is a merge, which is not taken back by flow.", hint="Use git for it.")
    if not parents and not git.branch():
        raise UsageError(f"{named} is the first one, on a detached HEAD: there is nothing to go back to.")
    if holders := git.holders(made.commit):
        raise UsageError(
            f"{named} is on {holders[0]} already, where others may have it.",
            hint=f"`git revert {made.commit[:10]}` takes it back with a commit of its own.",
        )


def _require_plain(git: UndoGit, paths: Sequence[str], moved: Sequence[Moved]) -> None:
    for each in moved:
        if SUBMODULE in {entry.mode for entry in (each.before, each.after) if entry is not None}:
            raise UsageError(f"{each.path} is a submodule, which is not put back by flow.", hint="Use git for it.")
    if filtered := git.filtered(paths):
        raise UsageError(
            f"{filtered[0]} passes through a filter of git (attribute `filter`), which flow does not run.",
            hint="Take the commit back with git: git reset --keep HEAD^",
        )


def _back(git: UndoGit, moved: Moved, parent: str) -> BackFile:
    if moved.before is None:
        return BackFile(moved.path, None, "remove")
    content = git.content(parent, moved.path)
    action = "restore" if moved.after is not None else "bring back"
    return BackFile(moved.path, moved.before, action, content, moved.before.mode)


class _BeforeRun:
    """Files that held changes of the user when the run began and that its first commit of them took in.

    Going back to the parent would lose these changes: they go back to what they were before the run.
    """

    def __init__(self, store: RunStore, row: RunRow, git: UndoGit, parent: str) -> None:
        self._git = git
        self._blobs = BlobStore(store.blobs_folder(row.id))
        dirty: Mapping[str, str | None] = row.baseline.get("dirty", {})
        since = GitFolder(git.top).moved(row.baseline.get("head", ""), parent)
        self._dirty = {path: known for path, known in dirty.items() if path not in since}

    def back(self, moved: Moved) -> BackFile | None:
        """Return what becomes of the file; None = it held no such changes.

        Raises:
            UsageError: its content from before the run was not kept.
        """
        path = moved.path
        if path not in self._dirty:
            return None
        known = self._dirty[path]
        is_large = bool(known and known.startswith("stat:"))
        if fingerprint(self._git.top / path, large=is_large) == known:
            return BackFile(path, moved.before, "keep")
        if known is None:
            return BackFile(path, moved.before, "remove")
        try:
            return BackFile(path, moved.before, "restore", self._blobs.get(known))
        except KeyError:
            raise UsageError(
                f"{path} held changes of yours before the run, and how it was then was not kept.",
                hint="Take the commit back with git: git reset --soft HEAD^",
            ) from None


def _require_unchanged(git: UndoGit, moved: Sequence[Moved], files: Sequence[BackFile]) -> None:
    """Check that the files and their index entries are as the commit has them, or back already.

    Raises:
        UsageError: one is not; nothing was changed.
    """
    paths = [each.path for each in moved]
    now, staged, modes = git.on_disk(paths), git.index(paths), git.sees_modes()
    for each, back in zip(moved, files, strict=True):
        if staged.get(each.path) not in (each.after, back.entry):
            raise UsageError(
                f"{each.path} has newer staged changes.", hint="Commit or unstage them, then `flow undo` again."
            )
        if back.action == "keep" or _is_same(now.get(each.path), each.after, modes):
            continue
        is_back = back.action == "remove" and each.path not in now
        is_back = is_back or (back.mode != "" and _is_same(now.get(each.path), each.before, modes))
        if not is_back:
            raise UsageError(
                f"{each.path} has newer changes that are in no commit.",
                hint="Commit, stash or undo them, then `flow undo` again.",
            )
    _require_room(git.top, files)


def _is_same(now: Entry | None, wanted: Entry | None, modes: bool) -> bool:
    if now is None or wanted is None:
        return now == wanted
    is_link = LINK in (now.mode, wanted.mode)
    return now.sha == wanted.sha and (now.mode == wanted.mode if modes or is_link else True)


def _require_room(top: Path, files: Sequence[BackFile]) -> None:
    """Check that no file of somebody else stands where one has to go."""
    going = {each.path for each in files if each.action == "remove"}
    for each in files:
        if each.content is None:
            continue
        place = top / each.path
        if place.is_dir() and not place.is_symlink():
            inside = {
                os.path.relpath(os.path.join(folder, name), top)
                for folder, _, names in os.walk(place)
                for name in names
            }
            if extra := sorted(inside - going):
                raise UsageError(
                    f"{extra[0]} stands where {each.path} has to go back to.", hint="Move it away first."
                )
