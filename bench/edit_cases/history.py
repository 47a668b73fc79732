"""Reads single changes out of the history of git repositories, by plumbing commands alone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from random import Random

from flowloom.core.errors import UsageError
from flowloom.core.git import ENV, GIT

from .hunk import Hunk, count_runs, keys_of

MAX_LINES = 40
"""A hunk removes and adds at most this many lines each."""
LARGE_FILE = 2000
_LARGE_SHARE = 0.06
_MAX_FILE_LINES = 12_000
_BATCH = 120

_TEXT = (
    "py pyi js jsx ts tsx mjs vue go rs java scala kt c h cc cpp hpp cs rb php sh bash md rst txt yml yaml toml json "
    "cfg ini html css scss less sql proto gradle groovy properties xml jinja2 j2 mk pyx lua scm"
)
_SKIPPED = re.compile(
    r"(^|/)(vendor|node_modules|third_party|dist|build|generated|\.yarn|__snapshots__)/|"
    r"(package-lock\.json|pnpm-lock\.yaml|yarn\.lock|Cargo\.lock|go\.sum|poetry\.lock|uv\.lock|lock\.yml)$|"
    r"\.(min\.js|min\.css|pb\.go|snap|map|svg)$|_pb2\.py$|bindata|generated|requirements.*\.txt$",
    re.IGNORECASE,
)
_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True, slots=True)
class _Change:
    """One hunk header of a patch: which blobs, and which lines of them (1-indexed, as git says them)."""

    commit: str
    path: str
    old_blob: str
    new_blob: str
    old_line: int
    old_count: int
    new_line: int
    new_count: int
    added: list[bytes]


class Repository:
    """One clone, bare or not; close it, it holds a `git cat-file` process."""

    def __init__(self, name: str, folder: Path) -> None:
        """Raises: UsageError: the folder is no repository."""
        self.name = name
        git_dir = folder / ".git" if (folder / ".git").exists() else folder
        if not (git_dir / "objects").exists() and not git_dir.is_file():
            raise UsageError(f"{folder} is no git repository.")
        self._git = [*GIT, f"--git-dir={git_dir}"]
        self._env = {**os.environ, **ENV, "LC_ALL": "C"}
        packs = git_dir / "objects" / "pack"
        self._is_partial = any(packs.glob("*.promisor"))
        self._cat = subprocess.Popen(
            [*self._git, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._env
        )

    def close(self) -> None:
        """End the process."""
        self._cat.communicate()

    def commits(self, tip: str) -> list[str]:
        """Return the commits below the tip that are no merges, newest first.

        Raises:
            UsageError: the clone does not hold the tip.
        """
        found = self._run("rev-list", "--no-merges", tip, "--")
        return found.decode("ascii").split()

    def hunks(self, commits: Sequence[str], rng: Random, adding: re.Pattern[bytes] | None = None) -> Iterator[Hunk]:
        """Yield the changes that make cases, at most one a commit, in the order of the commits.

        Args:
            adding: only changes one of whose added lines holds this; None = all.
        """
        for begin in range(0, len(commits), _BATCH):
            for changes in _by_commit(self._patch(commits[begin : begin + _BATCH])):
                if adding is not None:
                    changes = [change for change in changes if any(map(adding.search, change.added))]
                rng.shuffle(changes)
                tried = (self._hunk(change, rng) for change in changes[:6])
                if hunk := next(filter(None, tried), None):
                    yield hunk

    def _patch(self, commits: Sequence[str]) -> bytes:
        """Return the patches of the commits; in a partial clone without those that need what it does not hold."""
        asked = "\n".join(commits) + "\n"
        flags = ("-r", "-p", "-U0", "--full-index", "--no-renames", "--diff-filter=M")
        plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--diff-algorithm=myers")
        try:
            return self._run("diff-tree", "--stdin", *flags, *plain, "--no-prefix", stdin=asked.encode())
        except UsageError:
            if not self._is_partial:
                raise
            if len(commits) == 1:
                return b""
            middle = len(commits) // 2
            return self._patch(commits[:middle]) + self._patch(commits[middle:])

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run([*self._git, *arguments], input=stdin, env=self._env, capture_output=True)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise UsageError(f"git {arguments[0]} failed in {self.name}: {said}")
        return done.stdout

    def _lines(self, blob: str) -> list[str] | None:
        """Return a text file with LF ends and a final one; None for any other."""
        if self._cat.stdin is None or self._cat.stdout is None:
            raise RuntimeError("cat-file has no pipes")
        self._cat.stdin.write(blob.encode() + b"\n")
        self._cat.stdin.flush()
        header = self._cat.stdout.readline().split()
        if len(header) != 3:  # a partial clone names a blob that it does not hold
            return None
        data = self._cat.stdout.read(int(header[2]) + 1)[:-1]
        if b"\0" in data or b"\r" in data or not data.endswith(b"\n"):
            return None
        try:
            return data.decode("utf-8")[:-1].split("\n")
        except UnicodeDecodeError:
            return None

    def _hunk(self, change: _Change, rng: Random) -> Hunk | None:
        old, new = self._lines(change.old_blob), self._lines(change.new_blob)
        if old is None or new is None or not _usual(old, rng):
            return None
        # Where nothing is removed or added git names the line before.
        start = change.old_line - (change.old_count > 0)
        new_start = change.new_line - (change.new_count > 0)
        added = tuple(new[new_start : new_start + change.new_count])
        place = (self.name, change.commit, change.path)
        bare = Hunk(*place, tuple(old), start, change.old_count, added, final_newline=rng.random() < 0.5)
        return quoted(bare, rng)


def quoted(bare: Hunk, rng: Random) -> Hunk | None:
    """Return the hunk with 0 to 3 lines of context, more until it is unique; None when 6 are not enough."""
    if keys_of(bare.gone) == keys_of(bare.added):
        return None
    least = int(not bare.removed or not bare.added)
    for wanted in (rng.randint(least, 3), 3, 6):
        hunk = bare.with_context(_chosen(wanted, rng), _chosen(wanted, rng))
        if least and not hunk.before and not hunk.after:
            hunk = bare.with_context(1, 1)
        edged = _without_blank_edges(hunk)
        if edged is not None and count_runs(edged.keys, keys_of(edged.old)) == 1:
            return edged
    return None


def _chosen(wanted: int, rng: Random) -> int:
    return wanted if wanted > 3 else max(0, wanted - rng.randint(0, 1))


def _without_blank_edges(hunk: Hunk) -> Hunk | None:
    """Return the hunk with context added until both texts begin and end with a line of words."""
    for _ in range(4):
        above = not (hunk.old and hunk.old[0].strip() and hunk.new and hunk.new[0].strip())
        below = not (hunk.old and hunk.old[-1].strip() and hunk.new and hunk.new[-1].strip())
        if not above and not below:
            return hunk
        hunk = hunk.with_context(hunk.before + above, hunk.after + below)
    return None


def _usual(lines: list[str], rng: Random) -> bool:
    """Tell whether a file is one that people edit; a few large ones are let in."""
    most = _MAX_FILE_LINES if rng.random() < _LARGE_SHARE else LARGE_FILE
    return 5 <= len(lines) <= most and max(map(len, lines)) <= 400


def _by_commit(patch: bytes) -> Iterator[list[_Change]]:
    """Yield the usable hunk headers of each commit of a patch with commit ids between."""
    changes: list[_Change] = []
    commit = path = old_blob = new_blob = ""
    for line in patch.split(b"\n"):
        if re.fullmatch(rb"[0-9a-f]{40,64}", line):
            if changes:
                yield changes
            changes, commit, path = [], line.decode(), ""
        elif line.startswith(b"diff --git "):
            path = _path(line)
        elif line.startswith(b"index ") and path:
            old_blob, _, new_blob = line.split()[1].decode().partition("..")
        elif path and (found := _HUNK.match(line)):
            old_line, old_count, new_line, new_count = (int(part or 1) for part in found.groups())
            if max(old_count, new_count) <= MAX_LINES:
                place = (commit, path, old_blob, new_blob)
                changes.append(_Change(*place, old_line, old_count, new_line, new_count, []))
        elif line.startswith(b"+") and changes:
            changes[-1].added.append(line[1:])
    if changes:
        yield changes


def _path(line: bytes) -> str:
    """Return the path of a `diff --git PATH PATH` line; "" for one that is left out."""
    both = line.removeprefix(b"diff --git ").decode("utf-8", "replace")
    path = both[: len(both) // 2]
    pure = PurePosixPath(path)
    known = pure.suffix[1:].lower() in _TEXT.split() or pure.name in ("Makefile", "Dockerfile")
    return path if known and not _SKIPPED.search(path) else ""
