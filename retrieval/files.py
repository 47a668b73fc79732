"""Which files a workspace has and which of them are indexed, their text, and the rules of the denial files.

Called by the code index; the tools that list, read or write files ask the same `find_paths` and `Denials`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from ..configs.project_files import read_project_file
from ..core.errors import UsageError
from ..core.git import run_git
from ..core.texts import HEAD_BYTES, decode

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

DENIAL_FILES = (".flowignore", ".aiignore", ".clineignore")
"""They stand in the workspace's root and hold lines of .gitignore syntax."""
MAX_RULES_BYTES = 100_000
"""Of one ignore file. A larger one that denies stops what would read; every line costs time for each path."""
MAX_FILE_BYTES = 2_000_000
MAX_FILES = 20_000

OWN_REPOSITORY = "a repository of its own"
_VENDORED = frozenset(
    {"node_modules", "bower_components", "vendor", "third_party", "site-packages", "Pods", ".yarn", ".venv", "venv"}
)
_MACHINE = frozenset(
    {".git", ".hg", ".svn", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
)
_LOCK_FILE_NAMES = (
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb poetry.lock pdm.lock uv.lock "
    "Pipfile.lock Cargo.lock composer.lock Gemfile.lock go.sum flake.lock mix.lock pubspec.lock Podfile.lock "
    "packages.lock.json gradle.lockfile Package.resolved "
)
_LOCK_FILES = frozenset(_LOCK_FILE_NAMES.split())
_GENERATED_NAME = re.compile(r"[.-]min\.(?:js|mjs|css)$|\.(?:js|css|ts)\.map$", re.IGNORECASE)
_PACKED_KINDS = frozenset({".js", ".mjs", ".cjs", ".ts", ".css", ".json", ".html", ".svg", ".xml"})
_GIT_TIMEOUT_S = 60.0


class FileStat(NamedTuple):
    """A candidate file: workspace-relative posix path, size in bytes, modification time in ns."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file (or a folder, ending in "/") that is not searched, and why in a few words."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Files in the order of their paths, and what was left out. What .gitignore names is not mentioned at all."""

    files: tuple[FileStat, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class TextContent:
    """A file's text with "\\n" line ends, its encoding, and the bytes it came from."""

    text: str
    encoding: str
    data: bytes


class Denials:
    """The rules of the denial files: what no agent may read or write.

    Raises:
        UsageError: one of them is there and can not be used: without its rules nothing may be read.
    """

    def __init__(self, workspace: Path) -> None:
        self._specs = [(name, _denials_of(workspace / name)) for name in denial_files(workspace)]

    def denied_by(self, path: str) -> str:
        """Return the name of the denial file that names this workspace-relative posix path; "" = allowed."""
        if not self._specs:
            return ""
        # pathspec would let a later line take in a file of a folder that is taken out; git does not.
        above = [path[: at + 1] for at, char in enumerate(path) if char == "/"]
        return next((name for name, spec in self._specs if any(map(spec.match_file, (*above, path)))), "")

    def may_deny(self, path: str) -> bool:
        """Return False when no rule names this path; for walks, since it takes a tenth of the time.

        Args:
            path: as for `denied_by`, a folder's with a "/" at its end.
        """
        return self._any.match(path) is not None

    @cached_property
    def _any(self) -> re.Pattern[str]:
        from pathspec import RegexPattern

        rules = [rule for _, spec in self._specs for rule in spec.patterns if rule.include]
        texts = [rule.regex.pattern for rule in rules if isinstance(rule, RegexPattern) and rule.regex is not None]
        # Groups have the same name in each rule, which one pattern can not hold.
        return re.compile("|".join(re.sub(r"\(\?P<\w+>", "(?:", text) for text in texts) or "(?!)")


def denial_files(workspace: Path) -> list[str]:
    """Return the names of the denial files that are there, whatever they are."""
    return [name for name in DENIAL_FILES if os.path.lexists(workspace / name)]


def _denials_of(path: Path) -> GitIgnoreSpec:
    """Raises: UsageError: the file can not be used."""
    try:
        return _read_spec(path)
    except OSError as err:
        raise UsageError(
            f"{str(path)!r} can not be used: {err.strerror}. What it denies is not known, so nothing is read.",
            hint=f"Make it a file of at most {MAX_RULES_BYTES:,} bytes that can be read, or remove it.",
        ) from err


def require_rules(workspace: Path) -> None:
    """Return when the denial files of a workspace can be used.

    Raises:
        UsageError: as `Denials`.
    """
    Denials(workspace)


def list_files(workspace: Path, max_file_bytes: int = MAX_FILE_BYTES, max_files: int = MAX_FILES) -> Listing:
    """Return the files worth searching, judged by name and size alone; their bytes are not read.

    A symbolic link is never followed: inside the tree its target is listed itself. Of more than `max_files` files
    those nearest to the root are kept.
    """
    denials = Denials(workspace)
    folders = _Folders()
    files: list[FileStat] = []
    skipped: dict[str, Skipped] = {}
    for path in find_paths(workspace):
        found = _skip_by_name(path, folders) or _judge(workspace, path, denials, max_file_bytes)
        if isinstance(found, FileStat):
            files.append(found)
        elif found is not None:
            skipped[found.path] = found
    if len(files) > max_files:
        left_out = len(files) - max_files
        skipped["./"] = Skipped("./", f"more than {max_files} files: {left_out} of the deepest are left out")
        files = sorted(sorted(files, key=lambda each: (each.path.count("/"), each.path))[:max_files], key=_path_of)
    return Listing(tuple(files), tuple(skipped[key] for key in sorted(skipped)))


def _path_of(file: FileStat) -> str:
    return file.path


def _judge(workspace: Path, path: str, denials: Denials, max_file_bytes: int) -> FileStat | Skipped | None:
    """Return the file's stat, why it is skipped, or None when it is gone."""
    if name := denials.denied_by(path):
        return Skipped(path, f"denied by {name}")
    try:
        info = os.lstat(os.path.join(workspace, path))  # a Path for each file takes most of the time
    except FileNotFoundError:
        return None
    except OSError as err:
        return Skipped(path, f"cannot be read ({err.strerror})")
    if stat.S_ISLNK(info.st_mode):
        # Not Path.resolve: it raises for a link that leads to itself.
        inside = Path(os.path.realpath(workspace / path)).is_relative_to(workspace.resolve())
        return Skipped(path, "a link within the workspace" if inside else "a link that leaves the workspace")
    if stat.S_ISDIR(info.st_mode):
        return Skipped(f"{path.rstrip('/')}/", OWN_REPOSITORY)
    if not stat.S_ISREG(info.st_mode):
        return Skipped(path, "not a regular file")
    if info.st_size > max_file_bytes:
        return Skipped(path, f"larger than {max_file_bytes} bytes")
    return FileStat(path, info.st_size, info.st_mtime_ns)


class _Folders(dict[str, Skipped | None]):
    """Why the files of a folder are skipped, each folder judged once; None = they are not."""

    def __missing__(self, folder: str) -> Skipped | None:
        self[folder] = found = _skip_folder(folder)
        return found


def _skip_folder(folder: str) -> Skipped | None:
    parts = folder.split("/")
    for depth, part in enumerate(parts, start=1):
        if part in _VENDORED or part in _MACHINE:
            return Skipped("/".join(parts[:depth]) + "/", "a vendored or generated folder")
    return None


def _skip_by_name(path: str, folders: _Folders) -> Skipped | None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return Skipped(path.encode("utf-8", "backslashreplace").decode(), "its name is not UTF-8")
    if not path.isprintable():
        return Skipped(ascii(path)[1:-1], "its name holds control characters")
    folder, _, name = path.rstrip("/").rpartition("/")
    if reason := folders[folder]:
        return reason
    if name in _LOCK_FILES:
        return Skipped(path, "a lock file")
    if _GENERATED_NAME.search(name):
        return Skipped(path, "minified or generated")
    return None


def find_paths(workspace: Path) -> list[str]:
    """Return the workspace-relative posix paths that no .gitignore takes out, sorted by code point.

    In a git work tree these are the tracked and the untracked files, and folders that are repositories of their own;
    elsewhere the vendored folders are left out, each but for one path that stands for it ("vendor/*"). A tracked file
    may be gone, and links, pipes and the like are among the paths.
    """
    return sorted(set(_git_paths(workspace))) or sorted(_walk(workspace))


def _git_paths(workspace: Path) -> list[str]:
    """Return what git lists under the folder; [] when it is no work tree, git is missing, or nothing is listed."""
    try:
        done = run_git(workspace, "ls-files", "-co", "--exclude-standard", "-z", timeout_s=_GIT_TIMEOUT_S)
    except UsageError:
        return []
    return [os.fsdecode(raw) for raw in done.stdout.split(b"\0") if raw] if done.returncode == 0 else []


def _walk(workspace: Path) -> Iterator[str]:
    """Yield the paths below the folder that no .gitignore names; for a vendored folder one path in it, to be told."""
    rules: dict[str, GitIgnoreSpec] = {}
    for folder, folders, names in os.walk(workspace):
        base = Path(folder).relative_to(workspace).as_posix()
        prefix = "" if base == "." else f"{base}/"
        if ".gitignore" in names and not os.path.islink(Path(folder) / ".gitignore"):  # git follows none either
            with suppress(OSError):  # a pipe, or too large: it takes nothing out of the listing
                rules[prefix] = _read_spec(Path(folder) / ".gitignore")
        for name in names:
            if not _ignored(rules, prefix + name):
                yield prefix + name
        for name in [name for name in folders if name in _VENDORED]:
            yield f"{prefix}{name}/*"
        folders[:] = sorted(
            name
            for name in folders
            if name not in _VENDORED and name not in _MACHINE and not _ignored(rules, f"{prefix}{name}/")
        )


def _ignored(rules: dict[str, GitIgnoreSpec], path: str) -> bool:
    """Return what the nearest .gitignore that mentions the path says of it."""
    prefixes = [path[: at + 1] for at, char in enumerate(path[:-1]) if char == "/"]
    for prefix in [*reversed(prefixes), ""]:
        if spec := rules.get(prefix):
            verdict = spec.check_file(path[len(prefix) :]).include
            if verdict is not None:
                return verdict
    return False


def ignores(file: Path, path: str) -> bool:
    """Tell whether an ignore file names a path beside it; one that is not there or can not be used names nothing."""
    try:
        return _read_spec(file).match_file(path)
    except OSError:
        return False


def _read_spec(path: Path) -> GitIgnoreSpec:
    """Raises: OSError: it can not be read, is no regular file or too large; `strerror` says which."""
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    patterns = []
    for line in read_project_file(path, MAX_RULES_BYTES).decode("utf-8-sig", "replace").splitlines():
        # A line that is no pattern matches nothing, as in git.
        with suppress(ValueError, re.error):
            patterns.append(GitIgnoreSpecPattern(line))
    return GitIgnoreSpec(patterns)


def read_text(workspace: Path, path: str) -> TextContent | Skipped:
    """Return a file's text, or why it has none that is worth searching (binary, packed, gone, unreadable)."""
    try:
        data = (workspace / path).read_bytes()
    except OSError as err:
        return Skipped(path, f"cannot be read ({err.strerror})")
    file = decode(data)
    if file is None or _is_mostly_control(data[:HEAD_BYTES]):
        return Skipped(path, "binary")
    if PurePosixPath(path).suffix.lower() in _PACKED_KINDS and _is_packed(file.text):
        return Skipped(path, "minified or generated")
    return TextContent(file.text.replace("\r\n", "\n"), file.encoding, data)


def split_lines(text: str) -> list[str]:
    """Return the lines of a text with "\\n" line ends, so that line n is item n - 1 for editors and parsers alike."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _is_mostly_control(head: bytes) -> bool:
    """Tell whether what can be decoded still is no text: more than a few control characters that no text has."""
    if b"\0" in head:
        return False
    control = bytes(set(range(32)) - {7, 8, 9, 10, 12, 13, 27})
    kept = len(head.translate(None, delete=control))
    return (len(head) - kept) * 100 > len(head) * 2


def _is_packed(text: str) -> bool:
    """Tell whether lines are so long on average that nobody wrote them: such a file drowns what people wrote."""
    return len(text) > 4000 and len(text) / (text.count("\n") + 1) > 400
