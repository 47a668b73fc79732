"""Where settings, data, state and cache live on this machine; asked by every command."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ConfigError

APP_NAME = "flow"


@dataclass(frozen=True, slots=True)
class Dirs:
    """Absolute folders, not created yet.

    Attributes:
        config: the user's settings and graphs.
        data: runs, indexes that are not rebuildable, answers, the trust store.
        state: logs.
        cache: what can be deleted at any time.
    """

    config: Path
    data: Path
    state: Path
    cache: Path


def find_dirs(env: Mapping[str, str]) -> Dirs:
    """Return the folders: below FLOW_HOME when it is set, else the platform's own, which XDG_* variables move."""
    if home := env.get("FLOW_HOME"):
        root = Path(home).expanduser().absolute()
        return Dirs(root / "config", root / "data", root / "state", root / "cache")
    from platformdirs import PlatformDirs

    platform = PlatformDirs(APP_NAME, appauthor=False)
    return Dirs(
        config=_xdg(env, "XDG_CONFIG_HOME") or platform.user_config_path,
        data=_xdg(env, "XDG_DATA_HOME") or platform.user_data_path,
        state=_xdg(env, "XDG_STATE_HOME") or platform.user_state_path,
        cache=_xdg(env, "XDG_CACHE_HOME") or platform.user_cache_path,
    )


def _xdg(env: Mapping[str, str], name: str) -> Path | None:
    # The standard says that a relative path is to be ignored.
    value = env.get(name, "")
    return Path(value) / APP_NAME if Path(value).is_absolute() else None


def make_private(path: Path) -> Path:
    """Create a folder and its missing parents, each 0700, and return it. A folder that exists keeps its mode.

    Raises:
        ConfigError: it cannot be created.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as err:
        raise ConfigError(
            f"The folder {str(path)!r} cannot be created: {err.strerror}.",
            hint="Make it writable, or set FLOW_HOME to a folder that is.",
        ) from err
    if not path.is_dir():
        raise ConfigError(f"{str(path)!r} is not a folder.", hint="Move it away, or set FLOW_HOME to another place.")
    return path


def create_private(path: Path) -> None:
    """Make an empty file, mode 0600, unless there is one, which is not opened.

    Databases are made by it: closing any descriptor of a file gives up all locks that this process has on it, so a
    database that is in use and opened a second time, just to make sure it is there, would lose what is written next.

    Raises:
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as a whole, mode 0600, in a folder made 0700; it is on disk when this returns.

    Raises:
        ConfigError: it cannot be written.
    """
    make_private(path.parent)
    try:
        replace_private(path, content)
    except OSError as err:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {err.strerror}.", hint="Check space and permissions."
        ) from err


def replace_private(path: Path, content: bytes) -> None:
    """Put a file in place with all of its bytes or not at all, mode 0600; bytes and name are on disk afterwards.

    Raises:
        OSError: it cannot be written; a file that was there is as it was.
    """
    # mkstemp makes the file 0600.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
