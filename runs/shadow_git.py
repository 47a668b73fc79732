"""A git directory of our own for one workspace, outside of it: how git is run there, by one process at a time.

Used by runs/snapshots.py. The user's repository is read for its ignore rules alone; nothing in it is ever written.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ..configs.dirs import make_private
from ..core.errors import FlowError
from ..core.git import SETTINGS

T = TypeVar("T")

LOCK_PATIENCE_S = 60.0
"""How long another process may hold the store, unless a limit of the store itself is longer."""

# Contents are stored as they are: attributes of the repository (line ends, $Id$, encodings, filters) do not act.
_ATTRIBUTES = "* -text !eol -ident !filter !working-tree-encoding -merge -diff\n"

# Objects are on disk before the index or a ref names them; "batch" makes that one flush a command where git knows it.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tbare = false
\tfilemode = true
\tsymlinks = true
\tignorecase = false
\tautocrlf = false
\tfsmonitor = false
\tprotectNTFS = false
\tprotectHFS = false
\thooksPath = /dev/null
\tattributesFile = /dev/null
\tlogAllRefUpdates = false
\tcompression = 1
\tfsync = objects,reference
\tfsyncMethod = batch
[gc]
\tauto = 0
[maintenance]
\tauto = false
[index]
\tversion = 4
[pack]
\twindow = 0
"""

_GIT = ("git", *(part for name, value in SETTINGS for part in ("-c", f"{name}={value}")), "--no-optional-locks")
_POINTING = re.compile(r"GIT_(?!CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)$)")
"""Variables that would turn git elsewhere; those that name the user's own settings stay."""

# What git says of an index or an object that is damaged or gone, never of a file of the workspace.
_BROKEN = re.compile(
    r"^(?:fatal|error): (?:bad (?:signature|index)|index file (?:corrupt|smaller)|index uses|unordered stage"
    r"|malformed name field|invalid object|unable to read (?:tree )?[0-9a-f]{40}|object file|loose object"
    r"|entry '.*' object .* is unavailable)"
)
_MANY = 200
_WHOLE_PACKS = ("-c", "core.bigFileThreshold=1")
"""New contents of a command go into one pack, not into a file each: 50,000 small files are slow to make."""


class SnapshotFailed(FlowError):
    """A snapshot could not be taken, read or restored; the workspace is as it was unless the message says else."""


class GitFailed(SnapshotFailed):
    """A git command of the store failed. `said` is the first line of what git said."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"The snapshot store failed at `git {command}`: {said}.")
        self.said = said


class GitTimedOut(SnapshotFailed):
    """A git command of the store ran into the time limit."""


class ShadowGit:
    """One store: its git directory, a warm index, and a lock that a git left over from a killed process holds too.

    Args:
        workspace: absolute, resolved.
        folder: the store's own; made when absent, for the owner only.
        timeout_s: of one git command, in seconds.
    """

    def __init__(self, workspace: Path, folder: Path, timeout_s: float) -> None:
        self.workspace = workspace
        self.folder = folder
        self._git_dir = folder / "git"
        self._index = folder / "index"
        self._timeout_s = timeout_s
        self._lock: int | None = None
        self._excludes: str | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store, which is made when absent.

        Raises:
            SnapshotFailed: another process holds it for too long, or it can not be made.
        """
        make_private(self.folder)
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise SnapshotFailed(f"The snapshot store {str(self.folder)!r} is not writable: {err.strerror}.") from err
        try:
            self._wait_for(lock)
            self._lock = lock
            self._prepare()
            yield
        except OSError as err:
            raise SnapshotFailed(f"The snapshot store {str(self.folder)!r} can not be used: {err}.") from err
        finally:
            self._lock = None
            os.close(lock)

    def _wait_for(self, lock: int) -> None:
        deadline = time.monotonic() + max(LOCK_PATIENCE_S, self._timeout_s)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as err:
                if time.monotonic() > deadline:
                    raise SnapshotFailed(
                        f"The snapshot store {str(self.folder)!r} is held by another process.",
                        hint="Is another `flow` at work in this folder?",
                    ) from err
            time.sleep(0.02)

    def _prepare(self) -> None:
        # A git that is still at work holds our lock as well, so nobody owns these any more.
        for left in (self._index.with_name("index.lock"), self._git_dir / "packed-refs.lock"):
            left.unlink(missing_ok=True)
        if not (self._git_dir / "HEAD").exists():
            for name in ("objects/info", "objects/pack", "refs/taken", "info"):
                (self._git_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.folder / "workspace").write_bytes(os.fsencode(self.workspace) + b"\n")
            _settle(self._git_dir / "config", _CONFIG.encode())
            _settle(self._git_dir / "info" / "attributes", _ATTRIBUTES.encode())
            _settle(self._git_dir / "HEAD", b"ref: refs/heads/none\n")

    def use_ignore_rules(self) -> None:
        """Take over the ignore rules that stand outside the workspace's files: info/exclude and the user's own."""
        exclude = self.user_git("rev-parse", "--git-path", "info/exclude").rstrip(b"\n")
        path = self.workspace / os.fsdecode(exclude)
        _settle(self._git_dir / "info" / "exclude", path.read_bytes() if exclude and path.is_file() else b"")
        own = self.user_git("config", "--global", "--type=path", "--get", "core.excludesFile").rstrip(b"\n")
        base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        self._excludes = os.fsdecode(own) or str(Path(base, "git", "ignore"))

    def user_git(self, *arguments: str) -> bytes:
        """Return what a reading git command says of the user's repository; b"" when it fails or there is none."""
        theirs = {name: value for name, value in os.environ.items() if not _POINTING.match(name)}
        process = self._start([*_GIT, *arguments], {**theirs, "LC_ALL": "C"}, self.workspace)
        out, _ = self._ended(process, b"")
        return out if process.returncode == 0 else b""

    def git(
        self, *arguments: str, stdin: bytes = b"", work_tree: Path | None = None, may_say_no: bool = False
    ) -> bytes:
        """Return what a git command of the store prints; the store must be locked.

        Args:
            work_tree: another folder than the workspace, with no index then.
            may_say_no: exit code 1 is an answer, not a failure.

        Raises:
            GitFailed, GitTimedOut.
        """
        process = self.start(*arguments, work_tree=work_tree)
        return self.result(process, arguments[0], stdin, may_say_no=may_say_no)

    def start(self, *arguments: str, work_tree: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a git command of the store, to be ended by `result`."""
        folder = work_tree or self.workspace
        own = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_DIR": str(self._git_dir),
            "GIT_WORK_TREE": str(folder),
            "GIT_INDEX_FILE": str(self._index if work_tree is None else self.folder / "no-index"),
            **{
                f"GIT_{who}_{what}": "flow@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
            },
        }
        excludes = ("-c", f"core.excludesFile={self._excludes}") if self._excludes else ()
        return self._start([*_GIT, *excludes, *arguments], own, folder)

    def result(
        self, process: subprocess.Popen[bytes], name: str, stdin: bytes = b"", *, may_say_no: bool = False
    ) -> bytes:
        """Return what a started command prints, once it has ended."""
        out, said = self._ended(process, stdin)
        if process.returncode == 0 or (may_say_no and process.returncode == 1):
            return out
        raise _failure(name, process, said)

    def _start(self, command: Sequence[str], env: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
        held = () if self._lock is None else (self._lock,)
        try:
            # In a group of its own, so that Ctrl-C does not end it half-way.
            return subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=held,
                process_group=0,
            )
        except FileNotFoundError as err:
            missing = "git is not installed" if folder.is_dir() else f"the folder {str(folder)!r} does not exist"
            raise SnapshotFailed(f"No snapshot: {missing}.") from err

    def _ended(self, process: subprocess.Popen[bytes], stdin: bytes) -> tuple[bytes, bytes]:
        with process:
            try:
                return process.communicate(stdin, timeout=self._timeout_s)
            except subprocess.TimeoutExpired as err:
                process.kill()
                raise GitTimedOut(
                    f"Reading {str(self.workspace)!r} for a snapshot took more than {self._timeout_s:g} s.",
                    hint="Ignore what need not be kept (.gitignore), or raise snapshots.timeout_s.",
                ) from err
            except BaseException:
                process.kill()
                raise

    def add(self, paths: Sequence[bytes]) -> dict[bytes, str]:
        """Put these files of the workspace into the index; return those git refused, each with what it said.

        Raises:
            GitFailed: the store itself does not work.
        """
        if not paths:
            return {}
        packed = _WHOLE_PACKS if len(paths) > _MANY else ()
        process = self.start(*packed, "update-index", "--add", "--remove", "--replace", "-z", "--stdin")
        _, said = self._ended(process, _joined(paths))
        if process.returncode == 0:
            return {path: "git can not store this name" for path in _passed_over(paths, said)}
        failed = _failure("update-index", process, said)
        if _is_broken(failed) or "No space" in failed.said:
            raise failed
        if len(paths) == 1:
            return {paths[0]: failed.said}
        half = len(paths) // 2
        return {**self.add(paths[:half]), **self.add(paths[half:])}

    def drop(self, paths: Sequence[bytes]) -> None:
        """Take these paths out of the index; the files stay."""
        if paths:
            self.git("update-index", "--force-remove", "-z", "--stdin", stdin=_joined(paths))

    def forget_index(self) -> None:
        """Begin anew with an empty index; everything is read again then."""
        self._index.unlink(missing_ok=True)

    def mended(self, work: Callable[[], T], before_again: Callable[[], None]) -> T:
        """Return what the work returns; once more with an empty index when the index or an object is broken."""
        try:
            return work()
        except GitFailed as err:
            if not _is_broken(err):
                raise
        self.forget_index()
        before_again()
        return work()

    def size_bytes(self) -> int:
        """Return how much the store holds on disk."""
        facts = dict(line.split(": ") for line in self.git("count-objects", "-v").decode().splitlines())
        return (int(facts["size"]) + int(facts["size-pack"])) * 1024

    def collect(self) -> None:
        """Remove what no ref and not the index needs."""
        self.git("repack", "-a", "-d", "-q", "-l")
        self.git("prune", "--expire=now")


def store_name(workspace: Path) -> str:
    """Return the folder name of a workspace's store: its own name, for people, and a hash of its whole path."""
    readable = "".join(char if char.isascii() and char.isalnum() else "-" for char in workspace.name)[:32]
    return f"{readable or 'root'}-{hashlib.sha256(os.fsencode(workspace)).hexdigest()[:16]}"


def split(output: bytes) -> list[bytes]:
    """Return the NUL-ended entries of a git listing."""
    return [entry for entry in output.split(b"\0") if entry]


def _failure(name: str, process: subprocess.Popen[bytes], said: bytes) -> GitFailed:
    lines = said.decode(errors="replace").strip().splitlines()
    # "error: ..." names the cause, the "fatal: ..." after it only that it ended.
    return GitFailed(name, lines[0] if lines else f"it ended with {process.returncode}")


def _passed_over(paths: Sequence[bytes], said: bytes) -> list[bytes]:
    """Return the paths that update-index left out without calling it a failure (such as a folder named .GIT)."""
    if b"Ignoring path " not in said:
        return []
    return [path for path in paths if b"Ignoring path " + path + b"\n" in said]


def _joined(paths: Sequence[bytes]) -> bytes:
    return b"".join(path + b"\0" for path in paths)


def _is_broken(err: GitFailed) -> bool:
    """Tell whether an index or objects are damaged, which reading everything again mends."""
    signs = (
        "index file",
        "bad signature",
        "invalid object",
        "error building trees",
        "unable to read",
        "loose object",
    )
    return any(sign in err.said for sign in signs)


def _settle(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)
