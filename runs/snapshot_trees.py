"""Reading stored snapshots: the files in one, how two differ, contents. Used by runs/snapshots.py, under the lock.

A snapshot is a git tree with `files`, and with `facts` that git does not keep: permissions, and the files left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from .shadow_git import GitFailed, ShadowGit, SnapshotFailed, split
from .warm_index import IndexState

_TREE = re.compile(r"[0-9a-f]{40}")
_LINK = "120000"
_EXECUTABLE = "100755"
_NO_FILE = "000000"


class Change(NamedTuple):
    """One path that differs. "changed" includes permissions alone."""

    path: str
    kind: Literal["added", "changed", "deleted"]


class Entry(NamedTuple):
    """A file in a snapshot; `mode` and `sha` are git's."""

    mode: str
    sha: str
    permissions: int

    @property
    def is_link(self) -> bool:
        return self.mode == _LINK


class Difference(NamedTuple):
    """How a path differs; None = it is not there."""

    path: str
    before: Entry | None
    after: Entry | None

    def change(self) -> Change:
        if self.before is None:
            return Change(self.path, "added")
        return Change(self.path, "deleted" if self.after is None else "changed")


class Contents:
    """Reads contents of the store, one after the other, through one git process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, sha: str) -> bytes:
        """Return a content.

        Raises:
            GitFailed: it is not in the store.
        """
        to_git, from_git = self._process.stdin, self._process.stdout
        if to_git is None or from_git is None:
            raise ValueError("the process has no pipes")
        to_git.write(sha.encode() + b"\n")
        to_git.flush()
        words = from_git.readline().split()
        if words[1:2] != [b"blob"]:
            raise GitFailed("cat-file", f"the content {sha} is missing")
        content = from_git.read(int(words[2]))
        from_git.read(1)
        return content


class SnapshotTrees:
    """The stored snapshots of one workspace."""

    def __init__(self, shadow: ShadowGit) -> None:
        self._shadow = shadow

    def require(self, *trees: str) -> None:
        """Raises: SnapshotFailed: one of them is not stored."""
        for tree in trees:
            if not (_TREE.fullmatch(tree) and self._is_stored(tree)):
                raise SnapshotFailed(
                    f"The snapshot {tree!r} is not kept any more, or never was.",
                    hint="The oldest go when snapshots.keep or snapshots.quota_bytes is passed.",
                )

    def _is_stored(self, tree: str) -> bool:
        return self._shadow.git("cat-file", "--batch-check", stdin=tree.encode()).split()[1:2] == [b"tree"]

    def differences(self, old: str, new: str) -> list[Difference]:
        """Return how two snapshots differ, by path."""
        old_facts, new_facts = self._facts(old), self._facts(new)
        listing = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", f"{old}:files", f"{new}:files")
        words = split(self._shadow.git(*listing))
        found: dict[str, Difference] = {}
        for header, raw in zip(words[::2], words[1::2], strict=True):
            path = os.fsdecode(raw)
            old_mode, new_mode, old_sha, new_sha, _ = header.decode().lstrip(":").split(" ")
            before = _entry(path, old_mode, old_sha, old_facts)
            found[path] = Difference(path, before, _entry(path, new_mode, new_sha, new_facts))
        listed = old_facts.modes.keys() | new_facts.modes.keys()
        doubtful = {path for path in listed if old_facts.modes.get(path) != new_facts.modes.get(path)} - found.keys()
        for path, mode, sha in self._files(new) if doubtful else ():
            before, after = _entry(path, mode, sha, old_facts), _entry(path, mode, sha, new_facts)
            if path in doubtful and before != after:
                found[path] = Difference(path, before, after)
        return [found[path] for path in sorted(found, key=os.fsencode)]

    def ignore_files(self, tree: str) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of each .gitignore of a snapshot."""
        with self.contents() as contents:
            for path, mode, sha in self._files(tree):
                if path.rpartition("/")[2] == ".gitignore" and mode != _LINK:
                    yield path, contents.read(sha)

    @contextmanager
    def contents(self) -> Iterator[Contents]:
        """Give a reader of contents."""
        process = self._shadow.start("cat-file", "--batch")
        try:
            yield Contents(process)
        finally:
            process.kill()
            process.communicate()

    def _facts(self, tree: str) -> IndexState:
        return IndexState(**json.loads(self._shadow.git("cat-file", "blob", f"{tree}:facts")))

    def _files(self, tree: str) -> Iterator[tuple[str, str, str]]:
        """Yield path, mode and hash of each file of a snapshot."""
        for line in split(self._shadow.git("ls-tree", "-r", "-z", f"{tree}:files")):
            facts, _, path = line.partition(b"\t")
            mode, _, sha = facts.decode().split(" ")
            yield os.fsdecode(path), mode, sha


def _entry(path: str, mode: str, sha: str, facts: IndexState) -> Entry | None:
    if mode == _NO_FILE:
        return None
    if mode == _LINK:
        return Entry(mode, sha, 0)
    return Entry(mode, sha, facts.modes.get(path, facts.natural(mode == _EXECUTABLE)))
