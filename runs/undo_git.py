"""What undo asks git, and the two things it has it do: put entries into the index, and move the branch back."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.errors import UsageError
from ..core.git import config_env, filters_off, own_filters, run_git

LINK, SUBMODULE = "120000", "160000"
_BATCH = 200
"""Files on one command line."""


class Entry(NamedTuple):
    """A file as git stores it: "100644", "100755" or "120000", and the hash of its content."""

    mode: str
    sha: str


_NO_FILE = Entry("", "")
"""What equals no entry of git: a pipe, or something behind a linked folder."""


class Moved(NamedTuple):
    """One file of a commit, before and after it; None = there was none."""

    path: str
    before: Entry | None
    after: Entry | None


class UndoGit:
    """One checkout. All paths are relative to its top.

    Raises:
        UsageError: (from every method) git does not work there.
    """

    def __init__(self, top: Path) -> None:
        self.top = top
        self._env = config_env(filters_off(own_filters(top)))

    def changes(self, commit: str) -> list[Moved]:
        """Return the files in which a commit differs from its parent, or from nothing."""
        raw = ("diff-tree", "--root", "--no-commit-id", "-r", "-z", "--raw", "--no-renames", "--no-abbrev")
        parts = self.read(*raw, commit, "--").split("\0")
        return [_moved(facts, path) for facts, path in zip(parts[::2], parts[1::2], strict=False)]

    def index(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return the index entries of these files; a file in conflict has one that nothing equals."""
        wanted, found = set(paths), {}
        for line in filter(None, self.read("ls-files", "--stage", "-z").split("\0")):
            facts, _, path = line.partition("\t")
            if path in wanted:
                mode, sha, stage = facts.split()
                found[path] = Entry(mode, sha if stage == "0" else "")
        return found

    def on_disk(self, paths: Sequence[str]) -> dict[str, Entry]:
        """Return the files that are there, as git would store them; a folder in the place of one is no file."""
        found, regular = {}, []
        for path in paths:
            full = self.top / path
            try:
                facts = full.lstat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            if os.path.realpath(full.parent) != str(full.parent):
                found[path] = _NO_FILE  # behind a linked folder: not the file that git knows
            elif stat.S_ISLNK(facts.st_mode):
                found[path] = Entry(LINK, "")
            elif stat.S_ISREG(facts.st_mode):
                found[path] = Entry("100755" if facts.st_mode & 0o100 else "100644", "")
                regular.append(path)
            elif not stat.S_ISDIR(facts.st_mode):
                found[path] = _NO_FILE
        hashes = dict(zip(regular, self._hashed(regular), strict=True))
        links = [path for path, entry in found.items() if entry.mode == LINK]
        algorithm = self.read("rev-parse", "--show-object-format").strip() if links else ""
        hashes |= {path: self._link_hash(path, algorithm) for path in links}
        return {path: entry._replace(sha=hashes.get(path, "")) for path, entry in found.items()}

    def content(self, commit: str, path: str) -> bytes:
        """Return a file of a commit as a checkout would write it."""
        return self._run("cat-file", "--filters", f"{commit}:{path}")

    def filtered(self, paths: Sequence[str]) -> list[str]:
        """Return which of the files pass through a program on their way to the disk and back (git-lfs)."""
        parts: list[str] = []
        for batch in _batches(paths):
            parts += self.read("check-attr", "-z", "filter", "--", *batch).split("\0")[:-1]
        return [
            path for path, value in zip(parts[::3], parts[2::3], strict=True) if value not in ("unspecified", "unset")
        ]

    def sees_modes(self) -> bool:
        """Tell whether git minds the executable bit of files here."""
        return self._maybe("config", "--type=bool", "core.fileMode").strip() != "false"

    def holders(self, commit: str) -> list[str]:
        """Return the remote branches, as last fetched or pushed, that hold the commit."""
        return self.read("for-each-ref", "--contains", commit, "--format=%(refname:short)", "refs/remotes").split()

    def branch(self) -> str:
        """Return the branch that is checked out; "" = none, HEAD is detached."""
        return self._maybe("symbolic-ref", "--short", "--quiet", "HEAD").strip()

    def put_entries(self, entries: dict[str, Entry | None]) -> None:
        """Set index entries; None = the file leaves the index. All others stay."""
        stay = [f"{entry.mode},{entry.sha},{path}" for path, entry in entries.items() if entry is not None]
        for gone in _batches([path for path, entry in entries.items() if entry is None]):
            self._run("update-index", "--force-remove", "--", *gone)
        for batch in _batches(stay):
            self._run(
                "update-index", "--add", "--replace", *(word for each in batch for word in ("--cacheinfo", each))
            )

    def move_back(self, commit: str, parent: str, reason: str) -> None:
        """Let the branch, or a detached HEAD, end at the parent; "" = at no commit at all.

        Raises:
            UsageError: it does not end at the commit any more; nothing was changed.
        """
        if parent:
            self._run("update-ref", "-m", reason, "HEAD", parent, commit)
        else:
            self._run("update-ref", "-m", reason, "-d", "HEAD", commit)

    def refresh(self) -> None:
        """Have the index notice what lies on the disk, so that no file looks changed by its time alone."""
        self._maybe("update-index", "-q", "--refresh")

    def read(self, *arguments: str) -> str:
        return os.fsdecode(self._run(*arguments))

    def _hashed(self, paths: Sequence[str]) -> Iterator[str]:
        for batch in _batches(paths):
            yield from self.read("hash-object", "--", *batch).split()

    def _link_hash(self, path: str, algorithm: str) -> str:
        target = os.fsencode(os.readlink(self.top / path))
        return hashlib.new(algorithm, b"blob %d\0" % len(target) + target).hexdigest()

    def _maybe(self, *arguments: str) -> str:
        return os.fsdecode(run_git(self.top, *arguments, env=self._env).stdout)

    def _run(self, *arguments: str) -> bytes:
        done = run_git(self.top, *arguments, env=self._env)
        if done.returncode != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise UsageError(
                f"git {arguments[0]} failed in {str(self.top)!r}: {said or '(git gave no reason)'}",
                hint="Mend the repository (`git status` tells more), then run `flow undo` again.",
            )
        return done.stdout


def _moved(facts: str, path: str) -> Moved:
    old_mode, new_mode, old_sha, new_sha, _ = facts.removeprefix(":").split()
    before = None if old_mode == "000000" else Entry(old_mode, old_sha)
    return Moved(path, before, None if new_mode == "000000" else Entry(new_mode, new_sha))


def _batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
