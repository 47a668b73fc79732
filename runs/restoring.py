"""Putting single files of a workspace back, without ever following a link. Used by runs/snapshots.py."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ..tools.paths import opened_parent


def put_file(workspace: Path, path: str, content: bytes, permissions: int) -> None:
    """Put a regular file in place at once, missing folders made; what stood there is replaced, but no full folder.

    Raises:
        OSError: it can not be written, or a part of the path is no folder; what stood there stands.
    """
    name, temporary = _names(path)
    with opened_parent(workspace, path, create=True) as folder:
        _discard(temporary, folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
            try:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), permissions)
                _rename(temporary, name, folder)
            except BaseException:
                _discard(temporary, folder)
                raise


def put_link(workspace: Path, path: str, target: bytes) -> None:
    """Put a symbolic link in place at once; where it leads is not looked at. Raises as `put_file`."""
    name, temporary = _names(path)
    with opened_parent(workspace, path, create=True) as folder:
        _discard(temporary, folder)
        os.symlink(target, temporary, dir_fd=folder)
        try:
            _rename(temporary, name, folder)
        except BaseException:
            _discard(temporary, folder)
            raise


def set_permissions(workspace: Path, path: str, permissions: int) -> None:
    """Change the permissions of a regular file.

    Raises:
        OSError: there is no such file, or it is a link.
    """
    with opened_parent(workspace, path, create=False) as folder:
        handle = os.open(Path(path).name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fchmod(handle, permissions)
        finally:
            os.close(handle)


def remove(workspace: Path, path: str) -> None:
    """Remove a file or link, and the folders that are empty then; one that is gone already is no error.

    Raises:
        OSError: it can not be removed.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        with opened_parent(workspace, path, create=False) as folder:
            os.unlink(Path(path).name, dir_fd=folder)
        for parent in PurePosixPath(path).parents[:-1]:
            if not _remove_empty(workspace, str(parent)):
                return


def _remove_empty(workspace: Path, folder: str) -> bool:
    try:
        with opened_parent(workspace, folder, create=False) as parent:
            os.rmdir(Path(folder).name, dir_fd=parent)
    except OSError:  # not empty, as a rule
        return False
    return True


def _rename(temporary: str, name: str, folder: int) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=folder)  # refused when it holds anything
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _names(path: str) -> tuple[str, str]:
    """Return a file's name and that of its temporary: the same again, so that a killed restore leaves nothing."""
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
    return Path(path).name, f".flow-{digest}.tmp"


def _discard(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
