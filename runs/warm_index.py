"""Brings a store's index up to what lies in the workspace now. Used by runs/snapshots.py, under the store's lock.

Two listings by git say what may have changed; each of those files is looked at here (size, mode, whether it can be
read), and only what is to be kept goes into the index.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from .shadow_git import ShadowGit, split

_YOUNG_NS = 2_000_000_000
"""git compares times in whole seconds: a file changed in the very second it was read looks unchanged to it."""
_STATE_VERSION = 1


class SnapshotRefused(UsageError):
    """This workspace gets no snapshots as things stand; asking again changes nothing."""


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """What a snapshot may hold.

    Attributes:
        max_file_bytes: larger files are left out.
        max_files: a workspace with more files is refused; 0 = no limit.
        quota_bytes: of one workspace's store on disk; the oldest snapshots go first.
        timeout_s: seconds of one git command.
    """

    max_file_bytes: int = 5_000_000
    max_files: int = 50_000
    quota_bytes: int = 1_000_000_000
    timeout_s: float = 120.0


@dataclass(slots=True)
class IndexState:
    """What git's index does not hold about its files.

    Attributes:
        executable: permissions that a new executable file gets here (0o755 with the usual umask).
        modes: permissions of files that have others than a new file gets.
        young: change time in ns of files that changed shortly before they were read.
        skipped: files that are not in the index, each with why.
        grown_bytes: read into the store since its size was last looked at.
    """

    executable: int
    modes: dict[str, int] = field(default_factory=dict)
    young: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    grown_bytes: int = 0

    def natural(self, executable: bool) -> int:
        return self.executable if executable else self.executable & 0o666

    def facts(self) -> bytes:
        """Return what is stored beside the files of a snapshot; the same files give the same bytes."""
        shown = {"executable": self.executable, "modes": self.modes, "skipped": self.skipped}
        return json.dumps(shown, sort_keys=True, separators=(",", ":")).encode()


@dataclass(slots=True)
class _Plan:
    """What one update does: `add` and `drop` go to git, `again` are added as if git had never seen them."""

    add: list[bytes] = field(default_factory=list)
    drop: set[bytes] = field(default_factory=set)
    again: set[bytes] = field(default_factory=set)
    new: int = 0
    size: int = 0


class WarmIndex:
    """The index of one store, and the few facts about its files that git does not keep."""

    def __init__(self, shadow: ShadowGit, limits: SnapshotLimits) -> None:
        self._shadow = shadow
        self._limits = limits
        self._root = os.fsencode(shadow.workspace)
        self._path = shadow.folder / "state.json"
        self._ruled = False

    def update(self, also: Iterable[str] = ()) -> IndexState:
        """Bring the index up to date and return what it does not hold itself.

        Args:
            also: files to be kept whatever their size and the ignore rules say.

        Raises:
            SnapshotRefused: too many files, or too many bytes at once.
            SnapshotFailed: git does not work.
        """
        state = self._load()
        forced = {os.fsencode(path) for path in also}
        before = state.facts(), dict(state.young), state.grown_bytes
        plan = self._plan(state, forced)
        self._check(plan)
        state.grown_bytes += plan.size
        if before != (state.facts(), state.young, state.grown_bytes):
            # First the facts: a kill between the two leaves the same files to be looked at again.
            self.save(state)
        self._shadow.drop(sorted(plan.drop | plan.again))
        if rejected := self._shadow.add(plan.add):
            self._shadow.drop(sorted(rejected))
            for path, said in rejected.items():
                _forget(state, path)
                state.skipped[os.fsdecode(path)] = said
            self.save(state)
        return state

    def save(self, state: IndexState) -> None:
        temporary = self._path.with_name("state.new")
        kept = {name: getattr(state, name) for name in IndexState.__slots__}
        temporary.write_text(json.dumps({"version": _STATE_VERSION, **kept}), "ascii")
        os.replace(temporary, self._path)

    def forget(self) -> None:
        """Forget everything about the files, as after an index that was lost."""
        self._path.unlink(missing_ok=True)
        self._ruled = False

    def _load(self) -> IndexState:
        try:
            data: dict[str, Any] = json.loads(self._path.read_bytes())
            if data.pop("version") == _STATE_VERSION and (self._shadow.folder / "index").exists():
                return IndexState(**data)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass
        self._shadow.forget_index()
        return IndexState(_permissions_of_new(self._shadow.folder))

    def _plan(self, state: IndexState, forced: set[bytes]) -> _Plan:
        plan = _Plan()
        if first := not self._ruled:
            self._shadow.use_ignore_rules()
        touched, new = self._listing()
        if first:
            new += self._apply_ignore_rules(plan, forced)
            self._ruled = True
        state.skipped = {}
        since_ns = time.time_ns() - _YOUNG_NS
        changed_again = self._changed_since_read(state, since_ns)
        known = {path for path, status in touched.items() if status != b"D"}
        plan.drop |= {path for path, status in touched.items() if status == b"D"}
        plan.again = (changed_again | (forced - set(new))) - known - plan.drop
        for path in plan.drop:
            _forget(state, path)
        for path in sorted((known | plan.again | set(new)) - plan.drop):
            self._look(path, state, plan, since_ns, is_new=path not in known, forced=path in forced)
        plan.again -= plan.drop
        return plan

    def _listing(self) -> tuple[dict[bytes, bytes], list[bytes]]:
        """Return the files of the index that may have changed, each with git's letter, and the files not in it."""
        diff = self._shadow.start("diff-files", "--name-status", "--no-renames", "-z")
        others = self._shadow.start("ls-files", "--others", "--exclude-standard", "-z")
        try:
            words = split(self._shadow.result(diff, "diff-files"))
        except BaseException:
            others.kill()
            others.communicate()
            raise
        new = split(self._shadow.result(others, "ls-files"))
        plain = [path for path in new if not path.endswith(b"/")]
        nested = [inner for path in new if path.endswith(b"/") for inner in self._nested(path)]
        return dict(zip(words[1::2], words[::2], strict=True)), plain + nested

    def _nested(self, folder: bytes) -> list[bytes]:
        """Return the files of a repository inside the workspace that git would not look into, its own .git left out.

        Once they are in the index, git lists them like any other.
        """
        listing = ("ls-files", "--others", "--exclude-standard", "-z")
        inside = Path(os.fsdecode(os.path.join(self._root, folder)))
        found: list[bytes] = []
        for path in split(self._shadow.git(*listing, work_tree=inside)):
            found += self._nested(folder + path) if path.endswith(b"/") else [folder + path]
        if not found:
            return []
        return sorted(set(found) - self.ignored(found, self._shadow.workspace))

    def ignored(self, paths: Sequence[bytes], root: Path) -> set[bytes]:
        """Return those of the paths that the ignore rules below `root` name."""
        check = ("check-ignore", "--no-index", "-z", "--stdin")
        # "./", since a path that begins with ":" would be taken for a pattern.
        asked = b"".join(b"./" + path + b"\0" for path in paths)
        said = self._shadow.git(*check, stdin=asked, work_tree=root, may_say_no=True)
        return {path.removeprefix(b"./") for path in split(said)}

    def _apply_ignore_rules(self, plan: _Plan, forced: set[bytes]) -> list[bytes]:
        """Drop what is ignored by now; return what the user's repository tracks although it is ignored."""
        listing = ("ls-files", "--cached", "--ignored", "--exclude-standard", "-z")
        theirs = set(split(self._shadow.user_git(*listing)))
        ours = set(split(self._shadow.git(*listing)))
        plan.drop |= ours - theirs - forced
        return sorted(theirs - ours)

    def _changed_since_read(self, state: IndexState, since_ns: int) -> set[bytes]:
        """Return the young files that changed after they were read; the others are forgotten once they are old."""
        changed = set()
        for name, ctime_ns in list(state.young.items()):
            path = os.fsencode(name)
            try:
                now_ns = os.lstat(os.path.join(self._root, path)).st_ctime_ns
            except OSError:
                now_ns = ctime_ns  # gone: the listing has it
            if now_ns != ctime_ns:
                changed.add(path)
            elif ctime_ns < since_ns:
                del state.young[name]
        return changed

    def _look(
        self, path: bytes, state: IndexState, plan: _Plan, since_ns: int, *, is_new: bool, forced: bool
    ) -> None:
        """Put one file on the plan: to be added, or left out with a reason, or dropped because it is no file."""
        name = os.fsdecode(path)
        _forget(state, path)
        full = os.path.join(self._root, path)
        try:
            info = os.lstat(full)
        except OSError:
            plan.drop.add(path)
            return
        is_file = stat.S_ISREG(info.st_mode)
        if not is_file and not stat.S_ISLNK(info.st_mode):
            plan.drop.add(path)
            return
        if reason := "" if not is_file else self._why_not(full, info, forced):
            state.skipped[name] = reason
            plan.drop.add(path)
            return
        plan.add.append(path)
        plan.new += is_new
        plan.size += info.st_size
        permissions = stat.S_IMODE(info.st_mode) & 0o777
        # git looks at the owner's bit alone.
        if is_file and permissions != state.natural(bool(permissions & 0o100)):
            state.modes[name] = permissions
        if info.st_ctime_ns >= since_ns:
            state.young[name] = info.st_ctime_ns

    def _why_not(self, full: bytes, info: os.stat_result, forced: bool) -> str:
        if info.st_size > self._limits.max_file_bytes and not forced:
            return f"larger than {self._limits.max_file_bytes:,} bytes"
        return "" if os.access(full, os.R_OK) else "not readable"

    def _check(self, plan: _Plan) -> None:
        limits, where = self._limits, str(self._shadow.workspace)
        count = self._entries() + plan.new - len(plan.again)
        if limits.max_files and count > limits.max_files:
            raise SnapshotRefused(
                f"{where!r} has {count:,} files, more than snapshots.max_files ({limits.max_files:,}), so commands"
                " run there without a snapshot.",
                hint="Ignore what need not be kept (.gitignore), or raise it; 0 is no limit.",
            )
        if plan.size > limits.quota_bytes:
            raise SnapshotRefused(
                f"The files of {where!r} that a snapshot would store hold {plan.size:,} bytes, more than"
                f" snapshots.quota_bytes ({limits.quota_bytes:,}).",
                hint="Ignore what need not be kept (.gitignore), or raise it.",
            )

    def _entries(self) -> int:
        """Return the number of files in the index: the third word of its header."""
        try:
            with open(self._shadow.folder / "index", "rb") as file:
                header = file.read(12)
        except FileNotFoundError:
            return 0
        return int(struct.unpack(">I", header[8:])[0]) if len(header) == 12 else 0


def _forget(state: IndexState, path: bytes) -> None:
    name = os.fsdecode(path)
    state.modes.pop(name, None)
    state.young.pop(name, None)


def _permissions_of_new(folder: Path) -> int:
    """Return the permissions of a new executable file: asking for the umask would change it for other threads."""
    probe = folder / "probe"
    probe.unlink(missing_ok=True)
    handle = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o777)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode) & 0o777
    finally:
        os.close(handle)
        probe.unlink()
