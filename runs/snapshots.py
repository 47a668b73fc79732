"""Snapshots of a workspace as trees of a git store outside of it: taken before commands, compared, put back.

The user's own .git, index and stash are never touched, and neither is anything that the ignore rules name. A nested
repository's files are kept like any other, its .git is not. Empty folders are not kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, unquote

from .restoring import put_file, put_link, remove, set_permissions
from .shadow_git import GitFailed, ShadowGit, store_name
from .snapshot_trees import Change, Contents, Difference, SnapshotTrees
from .warm_index import IndexState, SnapshotLimits, SnapshotRefused, WarmIndex

__all__ = ["Change", "Kept", "Left", "Restored", "SnapshotLimits", "SnapshotRefused", "Snapshots", "Taken"]

_REFS = "refs/taken/"
_LABEL_BYTES = 180
"""Of a label, percent-encoded, in the name of a ref, which is a file's name."""
_QUOTA_CHECKS = 20
"""The store's size is looked at whenever this share of the quota has been added."""


class Taken(NamedTuple):
    """A snapshot. `tree` names it and what it holds; `skipped`: files it leaves out, each with why."""

    tree: str
    skipped: Mapping[str, str]


class Left(NamedTuple):
    """A path that a restore left as it was, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        changes: what was put back, told as change of the workspace (a file that had been deleted is "added").
        safety: the snapshot of how everything was before; restoring it undoes this restore.
        left: what could not be put back.
        spared: files that the snapshot lacks because they were ignored then; such files are never removed.
    """

    changes: tuple[Change, ...]
    safety: str
    left: tuple[Left, ...] = ()
    spared: tuple[str, ...] = ()


class Kept(NamedTuple):
    """One stored snapshot: when it was taken (UTC) and what for."""

    tree: str
    at: datetime
    label: str


class Snapshots:
    """The snapshots of one workspace; usable from any thread and by several processes, which take turns.

    Args:
        workspace: absolute folder.
        store_dir: folder of all workspaces' stores.

    Raises:
        SnapshotRefused: (from every method that reads the workspace) this folder gets no snapshots.
        SnapshotFailed: (from every method) the store does not work, or git is missing.
    """

    def __init__(self, workspace: Path, store_dir: Path, limits: SnapshotLimits | None = None) -> None:
        self._limits = limits or SnapshotLimits()
        self._workspace = workspace.resolve()
        self._folder = store_dir.resolve() / store_name(self._workspace)
        self._shadow = ShadowGit(self._workspace, self._folder, self._limits.timeout_s)
        self._index = WarmIndex(self._shadow, self._limits)
        self._trees = SnapshotTrees(self._shadow)

    def take(self, label: str) -> Taken:
        """Store how the workspace is now; the same content and permissions give the same tree.

        Args:
            label: what it is taken for, one line for people.
        """
        self._require_root()
        with self._shadow.locked():
            return self._take(label)

    def changed(self, old: str, new: str) -> tuple[Change, ...]:
        """Return how two snapshots differ, by path."""
        with self._shadow.locked():
            self._trees.require(old, new)
            return tuple(difference.change() for difference in self._trees.differences(old, new))

    def files_now_vs(self, tree: str) -> tuple[Change, ...]:
        """Return how the workspace differs now from a snapshot ("added" = not in the snapshot), by path."""
        self._require_root()
        with self._shadow.locked():
            self._trees.require(tree)
            now, _ = self._write_tree(self._index.update())
            return tuple(difference.change() for difference in self._trees.differences(tree, now))

    def preview(self, tree: str, paths: Sequence[str] | None = None) -> Restored:
        """Return what `restore` would do, without doing it; its safety snapshot is taken already."""
        self._require_root()
        with self._shadow.locked():
            return self._planned(tree, paths)[0]

    def restore(self, tree: str, paths: Sequence[str] | None = None) -> Restored:
        """Put the files that differ from a snapshot back to what they were in it; all others are not touched.

        Args:
            paths: workspace-relative files and folders to be put back; None = everything.
        """
        self._require_root()
        with self._shadow.locked():
            planned, differences = self._planned(tree, paths)
            failed = self._apply(differences)
            missed = {each.path for each in failed}
            done = tuple(each for each in planned.changes if each.path not in missed)
            return replace(planned, changes=done, left=(*planned.left, *failed))

    def kept(self) -> tuple[Kept, ...]:
        """Return the stored snapshots, oldest first."""
        with self._shadow.locked():
            lines = self._shadow.git("for-each-ref", "--format=%(objectname) %(refname)", _REFS).decode().splitlines()
        return tuple(_kept(line) for line in lines)

    def prune(self, keep: int) -> int:
        """Forget all but the newest `keep` snapshots (at least one) and free their space; return how many went."""
        with self._shadow.locked():
            return self._drop_oldest(max(len(self._refs()) - max(keep, 1), 0))

    def remove(self) -> None:
        """Remove the store with every snapshot of the workspace, which itself need not exist any more."""
        if self._folder.exists():
            with self._shadow.locked():
                shutil.rmtree(self._folder)

    def _take(self, label: str, also: Sequence[str] = ()) -> Taken:
        tree, state = self._shadow.mended(lambda: self._write_tree(self._index.update(also)), self._forget)
        self._keep(tree, label)
        if state.grown_bytes * _QUOTA_CHECKS > self._limits.quota_bytes:
            self._hold_quota()
            state.grown_bytes = 0
            self._index.save(state)
        return Taken(tree, dict(state.skipped))

    def _forget(self) -> None:
        self._index.forget()
        for name in ("facts", "newest"):
            (self._folder / name).unlink(missing_ok=True)

    def _write_tree(self, state: IndexState) -> tuple[str, IndexState]:
        files = self._shadow.git("write-tree").decode().strip()
        entries = f"040000 tree {files}\tfiles\n100644 blob {self._stored_facts(state)}\tfacts\n"
        return self._shadow.git("mktree", stdin=entries.encode()).decode().strip(), state

    def _stored_facts(self, state: IndexState) -> str:
        """Return the blob of the facts; as a rule they are those of the snapshot before."""
        facts = state.facts()
        digest = hashlib.sha256(facts).hexdigest()
        known = self._folder / "facts"
        if known.is_file() and (words := known.read_text().split())[:1] == [digest]:
            return words[1]
        blob = self._shadow.git("hash-object", "-w", "--stdin", stdin=facts).decode().strip()
        known.write_text(f"{digest} {blob}")
        return blob

    def _keep(self, tree: str, label: str) -> None:
        """Give the tree a ref, without which the next clean-up would remove it; its name says when and what for."""
        newest = self._folder / "newest"
        if newest.is_file() and newest.read_text() == tree:
            return
        line = quote(" ".join(label.split()), safe="", errors="replace").replace(".", "%2E").replace("~", "%7E")
        self._shadow.git("update-ref", f"{_REFS}{time.time_ns():020d}-{line[:_LABEL_BYTES]}", tree)
        newest.write_text(tree)

    def _refs(self) -> list[str]:
        return self._shadow.git("for-each-ref", "--format=%(refname)", _REFS).decode().split()

    def _drop_oldest(self, count: int) -> int:
        if count:
            asked = "".join(f"delete {ref}\n" for ref in self._refs()[:count])
            self._shadow.git("update-ref", "--stdin", stdin=asked.encode())
            self._shadow.collect()
        return count

    def _hold_quota(self) -> None:
        size = self._shadow.size_bytes()
        while size > self._limits.quota_bytes:
            if not self._drop_oldest(len(self._refs()) // 2):
                raise SnapshotRefused(
                    f"One snapshot of {str(self._workspace)!r} needs {size:,} bytes on disk, more than"
                    f" snapshots.quota_bytes ({self._limits.quota_bytes:,}).",
                    hint="Ignore what need not be kept (.gitignore), or raise it.",
                )
            size = self._shadow.size_bytes()

    def _require_root(self) -> None:
        root, home = self._workspace, Path(os.path.expanduser("~")).resolve()
        reason = ""
        if root == Path(root.anchor) or home.is_relative_to(root):
            reason = "it holds the home folder"
        elif self._folder.is_relative_to(root):
            reason = f"it holds the snapshots themselves ({str(self._folder)!r})"
        elif not root.is_dir():
            reason = "it is not a folder"
        if reason:
            raise SnapshotRefused(
                f"No snapshots are taken of {str(root)!r}: {reason}, so commands run there without one.",
                hint="Work in the folder of one project.",
            )

    def _planned(self, tree: str, paths: Sequence[str] | None) -> tuple[Restored, list[Difference]]:
        """Take the safety snapshot and return what a restore has to do."""
        self._trees.require(tree)
        label = f"before restoring {tree[:12]}"
        safety, differences = self._against(tree, paths, label, ())
        if hidden := self._unsaved(differences):
            # On disk, but ignored or too large by now: they would be overwritten without being in the snapshot.
            safety, differences = self._against(tree, paths, label, hidden)
        left = {path: "what stands there now can not be kept" for path in self._unsaved(differences)}
        spared = self._ignored_then(tree, differences)
        to_do = [each for each in differences if each.path not in left and each.path not in spared]
        changes = tuple(each.change() for each in to_do)
        return Restored(changes, safety, tuple(map(Left._make, left.items())), tuple(sorted(spared))), to_do

    def _against(
        self, tree: str, paths: Sequence[str] | None, label: str, also: Sequence[str]
    ) -> tuple[str, list[Difference]]:
        """Take a snapshot and return it with how the other one differs from it, in these paths."""
        now = self._take(label, also).tree
        return now, [each for each in self._trees.differences(now, tree) if _within(each.path, paths)]

    def _unsaved(self, differences: Sequence[Difference]) -> list[str]:
        """Return files on disk that a restore would overwrite although the present snapshot lacks them."""
        return [each.path for each in differences if each.before is None and self._stands(each.path)]

    def _stands(self, path: str) -> bool:
        """Tell whether a file or link is there (a folder in its place is not, nor what is behind a linked folder)."""
        full = self._workspace / path
        return os.path.realpath(full.parent) == str(full.parent) and (full.is_symlink() or full.is_file())

    def _ignored_then(self, tree: str, differences: Sequence[Difference]) -> set[str]:
        """Return files that a restore would remove, but that were there, ignored, when the snapshot was taken."""
        extra = [os.fsencode(each.path) for each in differences if each.after is None]
        if not extra or not any(PurePosixPath(each.path).name == ".gitignore" for each in differences):
            return set()
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            for path, content in self._trees.ignore_files(tree):
                rules = Path(folder, path)
                rules.parent.mkdir(parents=True, exist_ok=True)
                rules.write_bytes(content)
            return {os.fsdecode(path) for path in self._index.ignored(extra, Path(folder))}

    def _apply(self, differences: Sequence[Difference]) -> list[Left]:
        # Removals first: a file may have become a folder of files, or a folder a link.
        ordered = sorted(differences, key=lambda each: each.after is not None)
        failed = []
        with self._trees.contents() as contents:
            for each in ordered:
                try:
                    self._put(each, contents)
                except OSError as err:
                    failed.append(Left(each.path, err.strerror or str(err)))
                except GitFailed as err:
                    failed.append(Left(each.path, err.said))
        return failed

    def _put(self, difference: Difference, contents: Contents) -> None:
        path, before, after = difference
        if after is None:
            remove(self._workspace, path)
        elif before is not None and before.is_link == after.is_link and before.sha == after.sha:
            set_permissions(self._workspace, path, after.permissions)
        elif after.is_link:
            put_link(self._workspace, path, contents.read(after.sha))
        else:
            put_file(self._workspace, path, contents.read(after.sha), after.permissions)


def _kept(line: str) -> Kept:
    tree, _, ref = line.partition(" ")
    nanoseconds, _, label = ref.removeprefix(_REFS).partition("-")
    return Kept(tree, datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC), unquote(label, errors="replace"))


def _within(path: str, paths: Sequence[str] | None) -> bool:
    if paths is None:
        return True
    inside = PurePosixPath(path)
    return any(inside.is_relative_to(PurePosixPath(each)) for each in paths)
