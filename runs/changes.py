"""What one run changed in the workspace: the state at its start, the changed files, and one diff. Used by the
runner at the start and, through the port `Changes`, by reviewers, templates and the commands that show a run."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..core.errors import FlowError
from ..core.git import run_git
from ..core.ports import Blobs, Owned
from ..core.texts import decode
from .git import GitFolder
from .journal import RunJournal

LARGE_BYTES = 5_000_000
"""A larger file that is dirty at the start is known by size and time only, and its content is not kept."""
KEPT_FILES = 500
KEPT_BYTES = 50_000_000
"""So many dirty files are kept at the start at most: each costs a sync of some milliseconds."""

_NOT_KEPT = "# {path} was already changed before the run and was not kept; compared with the last commit instead\n"


def require_git(workspace: Path) -> None:
    """Return when the workspace lies in the working tree of a git repository.

    Raises:
        UsageError: it does not, git is missing, or git refuses to work there.
    """
    GitFolder(workspace).require()


def baseline(workspace: Path, blobs: Blobs | None = None) -> dict[str, Any]:
    """Return the workspace as it is now, as JSON data for the run row.

    `head`: the commit. `dirty`: path -> fingerprint of what differs from it. `modified`: those that git tracks.

    Args:
        blobs: keeps the contents of dirty files, so that a diff can start from them; None = nothing is kept.

    Raises:
        UsageError: the workspace is not in a git repository.
    """
    head, status = GitFolder(workspace).state()
    dirty = {path: fingerprint(workspace / path) for path in sorted(status)}
    if blobs is not None:
        for data in _contents(workspace, dirty):
            blobs.put(data)
    return {"head": head, "dirty": dirty, "modified": [path for path in dirty if status[path] != "??"]}


def _contents(workspace: Path, dirty: Mapping[str, str | None]) -> Iterator[bytes]:
    total = 0
    hashed = [path for path, known in dirty.items() if known and ":" not in known]
    for path in hashed[:KEPT_FILES]:
        data = _read(workspace / path)
        if data is None or total + len(data) > KEPT_BYTES:
            continue
        total += len(data)
        yield data


@dataclass(frozen=True, slots=True)
class _Before:
    """A file before the run: None = there was none. `kept` is False when only the last commit is known of it."""

    data: bytes | None
    kept: bool = True


class RunChanges:
    """Implements the port `Changes`: what the journal wrote and what git sees, against the run's baseline.

    A file counts as changed when its bytes differ from those before the run, whoever changed it since; one that is
    back at its original does not. Files that git ignores count only when a tool of the run wrote them.

    Args:
        workspace: absolute folder in a git repository.
        start: what `baseline` returned when the run began.

    Raises:
        UsageError: (from both methods) git does not work in the workspace.
    """

    def __init__(self, workspace: Path, start: Mapping[str, Any], journal: RunJournal, blobs: Blobs) -> None:
        self._workspace = workspace
        self._git = GitFolder(workspace)
        self._head: str = start.get("head", "")
        self._dirty: Mapping[str, str | None] = start.get("dirty", {})
        self._journal = journal
        self._blobs = blobs

    def files(self) -> list[str]:
        """Return workspace-relative posix paths, sorted."""
        head, status = self._git.state()
        seen = set(status)
        committed = set(self._git.moved(self._head, head))
        first = self._first_pre()
        candidates = seen | committed | first.keys() | self._dirty.keys()
        # Git's word is enough for a tracked file that was clean, unless commits were made since.
        settled = {path for path in seen - committed - self._dirty.keys() if path in self._tracked}
        return sorted(path for path in candidates if path in settled or self._differs(path, first))

    def diff(self, files: Sequence[str] | None = None) -> str:
        """Return one unified diff from before the run to now; None = all changed files, "" = no change."""
        changed = self.files()
        wanted = changed if files is None else [path for path in changed if path in set(files)]
        if not wanted:
            return ""
        first = self._first_pre()
        with tempfile.TemporaryDirectory(prefix="flow-diff-") as name:
            folder = Path(name)
            notes = [self._lay_out(folder, path, first) for path in wanted]
            return "".join(notes) + _diff_folders(folder)

    def owned(self, files: Sequence[str] | None = None, agents: str | None = None) -> Owned:
        """Return whose changes these files hold; see the port.

        What a command changed and what a person changed beside it look alike: with a command among the agents' calls
        everything counts as theirs. A file in which a write kept what somebody had just changed is somebody else's.
        """
        wanted = set(self.files() if files is None else files)
        written = {} if agents is None else self._journal.written(agents)
        wanted |= written.keys()
        yours = wanted & self.unsaved()
        others: set[str] = set()
        if agents is not None and not self._journal.ran_commands(agents):
            left = {path: written[path].left if path in written else () for path in wanted - yours}
            others = {path for path, known in left.items() if self._sha_now(path) not in known}
        if agents is not None:
            others |= (wanted - yours) & self.mixed()
        return Owned(*(tuple(sorted(each)) for each in (wanted - yours - others, yours, others)))

    def unsaved(self) -> set[str]:
        """Return the files that held changes before the run which no commit has got since."""
        return set(self._dirty) - set(self._git.moved(self._head, self._git.head()))

    def mixed(self) -> set[str]:
        """Return the files that somebody changed between the run's own writes of them, or before the first one."""
        mixed, first = self._journal.changed_between()
        started = {path: self._before(path, {}).data for path in first.keys() - self._dirty.keys()}
        return mixed | {path for path, data in started.items() if first[path] != _sha(data)}

    def _sha_now(self, path: str) -> str | None:
        return fingerprint(self._workspace / path, large=False)

    @cached_property
    def _tracked(self) -> frozenset[str]:
        return self._git.tracked(self._head)

    def _first_pre(self) -> dict[str, str | None]:
        first: dict[str, str | None] = {}
        for write in self._journal.writes():
            first.setdefault(write.path, write.pre_sha)
        return first

    def _differs(self, path: str, first: Mapping[str, str | None]) -> bool:
        if path in self._dirty:
            before = self._dirty[path]
            return before != fingerprint(self._workspace / path, large=bool(before and before.startswith("stat:")))
        if path in self._tracked:
            return self._git.content(self._head, path) != _read(self._workspace / path)
        return first.get(path) != fingerprint(self._workspace / path, large=False)

    def _before(self, path: str, first: Mapping[str, str | None]) -> _Before:
        if path in self._dirty:
            return self._dirty_before(path, self._dirty[path])
        if path in self._tracked:
            return _Before(self._git.content(self._head, path))
        pre = first.get(path)
        return _Before(None if pre is None else self._blobs.get(pre))

    def _dirty_before(self, path: str, known: str | None) -> _Before:
        if known is None:
            return _Before(None)
        try:
            return _Before(self._blobs.get(known))
        except KeyError:
            committed = self._git.content(self._head, path) if path in self._tracked else None
            return _Before(committed, kept=False)

    def _lay_out(self, folder: Path, path: str, first: Mapping[str, str | None]) -> str:
        """Write both sides below `a` and `b`; return a line to print above the diff, "" = none."""
        before = self._before(path, first)
        then, now = _as_utf8(before.data, _read(self._workspace / path))
        for side, data in (("a", then), ("b", now)):
            if data is not None:
                target = folder / side / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        return "" if before.kept else _NOT_KEPT.format(path=path)


def _sha(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def fingerprint(path: Path, *, large: bool | None = None) -> str | None:
    """Return what tells a file's content from another's; None = there is no file.

    Args:
        large: True = by size and time, False = by content, None = as the size demands.
    """
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            return "link:" + hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
        if not stat.S_ISREG(found.st_mode):
            return None
        if large is None:
            large = found.st_size > LARGE_BYTES
        if large:
            return f"stat:{found.st_size}:{found.st_mtime_ns}"
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        return "unreadable:"


def _read(path: Path) -> bytes | None:
    """Return a file's bytes, of a symbolic link its target as git stores it; None = nothing to read."""
    try:
        if path.is_symlink():
            return os.fsencode(os.readlink(path))
        return path.read_bytes() if path.is_file() else None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def _diff_folders(folder: Path) -> str:
    for side in ("a", "b"):
        (folder / side).mkdir(exist_ok=True)
    shape = [
        "--no-index",
        "--no-prefix",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--no-renames",
        "--unified=3",
    ]
    # The person's own settings of git must not shape what a model reads.
    alone = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    done = run_git(folder, "diff", *shape, "--", "a", "b", env=alone)
    if done.returncode not in (0, 1):
        raise FlowError(f"git diff failed: {done.stderr.decode(errors='replace').strip()}")
    # A content line begins with a blank or a sign, so these words begin headers only; hashes say nothing to a reader.
    lines = done.stdout.decode(errors="backslashreplace").split("\n")
    return "\n".join(_two_sided(line) for line in lines if not line.startswith("index "))


def _two_sided(line: str) -> str:
    """Return a header that names both sides: with --no-prefix git repeats the one that exists, "b/x b/x"."""
    start = "diff --git "
    if not line.startswith(start):
        return line
    names = line.removeprefix(start)
    one, other = names[: len(names) // 2], names[len(names) // 2 + 1 :]
    if one != other:
        return line
    # A name with a quote or a control character stands in quotes.
    at = one.startswith('"')
    return f"{start}{one[:at]}a{one[at + 1 :]} {one[:at]}b{one[at + 1 :]}"


def _as_utf8(before: bytes | None, now: bytes | None) -> tuple[bytes | None, bytes | None]:
    """Return both sides in UTF-8 where they are text in one other encoding; else, binary too, as they are.

    A change of the encoding itself thus stays visible.
    """
    sides = [decode(data) for data in (before, now) if data and not data.isascii()]
    kinds = {None if side is None else (side.encoding, side.bom) for side in sides}
    if len(kinds) != 1 or None in kinds or kinds == {("utf-8", b"")}:
        return before, now
    texts = [data if not data else _text_in_utf8(data) for data in (before, now)]
    return texts[0], texts[1]


def _text_in_utf8(data: bytes) -> bytes:
    file = decode(data)
    return data if file is None else file.text.encode(errors="replace")
