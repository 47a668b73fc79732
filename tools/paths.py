"""Paths the model gives: kept inside the workspace, and opened and replaced without following a link.

Called by every tool that takes a path, by the effect runner and by the sandbox for its working directory.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..configs.project_files import AUTO_MEMORY
from ..core.errors import ToolError
from ..retrieval.files import DENIAL_FILES, Denials

PROTECTED = frozenset({".git", ".flow", "git~1"})
"""Folder names that are never written, wherever they stand; git~1 is the short name of .git on some file systems."""


def resolve_inside(workspace: Path, path: str) -> Path:
    """Return the absolute path with every link resolved; the file itself need not exist.

    Args:
        workspace: absolute, resolved folder.
        path: relative to the workspace, or absolute and inside it.

    Raises:
        ToolError: the path leaves the workspace, or names a device, pipe or socket.
    """
    if not path or "\0" in path:
        raise ToolError(f"{path!r} is not a path. Give a path inside the workspace, for example src/main.py.")
    if path.startswith("~"):
        raise ToolError(f"{path!r}: ~ is not expanded. Give a path inside the workspace, for example src/main.py.")
    try:
        resolved = Path(os.path.realpath(workspace / path))
        mode = os.lstat(resolved).st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except (UnicodeEncodeError, OSError) as err:
        raise ToolError(f"{path!r} can not be looked up: {_reason(err)}.") from err
    if stat.S_ISLNK(mode) or os.path.realpath(resolved) != str(resolved):
        # After a link in a circle the rest of a path is not resolved: "loop/../out" would still hold the link "out".
        raise ToolError(f"{path!r} leads through a link that goes round in a circle.")
    if not resolved.is_relative_to(workspace):
        raise ToolError(f"{path!r} is outside the workspace. Only paths inside the workspace can be used.")
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ToolError(f"{path!r} is a device, pipe or socket, not a file.")
    return resolved


def _reason(err: UnicodeEncodeError | OSError) -> str:
    return str(err.strerror or err) if isinstance(err, OSError) else "it holds broken characters"


def relative_path(workspace: Path, resolved: Path) -> str:
    """Return the workspace-relative posix path, "." for the workspace itself."""
    return resolved.relative_to(workspace).as_posix()


def is_protected(relative: str) -> bool:
    """Tell whether a workspace-relative path must never be written, also where the file system folds names.

    The ignore files that deny are among them, so that a tool can not widen its rights.
    """
    names = [_folded(part) for part in Path(relative).parts]
    return any(name in PROTECTED for name in names) or (bool(names) and names[-1] in DENIAL_FILES)


def is_auto_memory(relative: str) -> bool:
    """Tell whether a workspace-relative path is what agents remember, also where the file system folds names."""
    return tuple(map(_folded, Path(relative).parts)) == Path(AUTO_MEMORY).parts


def _folded(name: str) -> str:
    """Fold a name as file systems do that ignore case and invisible characters."""
    visible = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return visible.casefold().rstrip(" .")


def resolve_for_write(workspace: Path, path: str) -> tuple[Path, str]:
    """Return the absolute and the workspace-relative path of a file that may be written.

    Raises:
        ToolError: as `resolve_inside`, or the path is protected, a folder, or denied by an ignore file.
    """
    resolved = resolve_inside(workspace, path)
    relative = relative_path(workspace, resolved)
    if is_protected(relative) or is_protected(path):
        raise ToolError(f"{path!r} is protected: .git, .flow and ignore files of the tools are never written.")
    if is_auto_memory(relative):
        raise ToolError(
            f"{path!r} holds what agents remember: only single facts are added to it, with a tool of its own."
        )
    if resolved.is_dir():
        raise ToolError(f"{path!r} is a folder, not a file.")
    refuse_denied(workspace, relative)
    return resolved, relative


def refuse_denied(workspace: Path, relative: str) -> None:
    """Check a file against the ignore files that deny.

    Raises:
        ToolError: it is denied.
    """
    if Denials(workspace).denied_by(relative):
        raise ToolError(f"{relative!r} may not be opened: an ignore file of this project denies it.")


@contextmanager
def opened_parent(workspace: Path, relative: str, create: bool) -> Iterator[int]:
    """Hold a descriptor of a file's folder, walked part by part so that no part can be a link, not even by a race."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    current = os.open(workspace, flags)
    try:
        for part in Path(relative).parts[:-1]:
            if create:
                _make_folder(part, current)
            inner = os.open(part, flags, dir_fd=current)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)


def _make_folder(name: str, parent: int) -> None:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return
    os.fsync(parent)


def open_inside(workspace: Path, relative: str) -> int:
    """Return a descriptor for reading a regular file; no part of the path is followed if it is a link.

    Args:
        relative: a resolved workspace-relative path, so a link in it means that it was swapped meanwhile.

    Raises:
        ToolError: it is not a regular file.
        OSError: it can not be opened.
    """
    with opened_parent(workspace, relative, create=False) as folder:
        # Not blocking, so that a pipe put there meanwhile can not hang the run.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(Path(relative).name, flags, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ToolError(f"{relative!r} is not a regular file.")
    return descriptor


def read_inside(workspace: Path, relative: str, max_bytes: int | None = None) -> bytes | None:
    """Return a file's bytes; None = there is no such file.

    Args:
        max_bytes: refuse a larger file; None = no limit.

    Raises:
        ToolError: too large, or not a regular file.
        OSError: it can not be read.
    """
    try:
        descriptor = open_inside(workspace, relative)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if max_bytes is not None and size > max_bytes:
            raise ToolError(f"{relative!r} has {size:,} bytes, more than {max_bytes:,}; use a shell command for it.")
        return file.read()


def replace_file(workspace: Path, relative: str, data: bytes) -> None:
    """Put a file's new content in place at once: missing folders made, the mode of an existing file kept.

    The bytes are on disk before the name points to them, so a kill leaves the old file or the new one.

    Raises:
        OSError: it can not be written; the old file is as it was.
    """
    name = Path(relative).name
    temporary = _temporary(name, data)
    with opened_parent(workspace, relative, create=True) as folder:
        _unlink(temporary, folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666, dir_fd=folder)
        try:
            with open(descriptor, "wb") as file:
                mode = _mode_of(name, folder)
                if mode is not None:
                    os.fchmod(descriptor, mode)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _unlink(temporary, folder)
            raise
        os.fsync(folder)


def remove_leftover(workspace: Path, relative: str, data: bytes) -> None:
    """Remove what a `replace_file` of these bytes may have left when it was killed."""
    try:
        with opened_parent(workspace, relative, create=False) as folder:
            _unlink(_temporary(Path(relative).name, data), folder)
    except (FileNotFoundError, NotADirectoryError):
        return


def _temporary(name: str, data: bytes) -> str:
    """Return a name that is the same when a killed write is done again, so that nothing is left over then."""
    return f".flow-{hashlib.sha256(name.encode(errors='surrogateescape') + data).hexdigest()[:24]}.tmp"


def _unlink(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _mode_of(name: str, folder: int) -> int | None:
    try:
        return stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None
