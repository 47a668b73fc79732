"""Settings with all that they are read from: for the command line, and for graphs that other programs serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..configs.dirs import Dirs, find_dirs
from ..configs.load import Loaded, load_settings
from ..configs.trust import TrustStore, trust_store
from ..configs.workspace import find_workspace
from .context import AppContext


class Setup(NamedTuple):
    """Everything that settings are read from and came to."""

    workspace: Path
    dirs: Dirs
    trust: TrustStore
    loaded: Loaded

    def context(self, directory: Path) -> AppContext:
        """Return what the functions of app/ start from.

        Args:
            directory: the folder that was worked in when the workspace was looked for.
        """
        start = directory.resolve().relative_to(self.workspace).as_posix()
        return AppContext(self.workspace, self.dirs, self.trust, self.loaded.settings, start)


def load_setup(
    directory: Path, env: Mapping[str, str], overrides: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> Setup:
    """Return the settings for work in a folder; notices are in `loaded.notices`.

    Args:
        overrides: KEY=VALUE texts, as of `-c`.
        flags: dotted key -> value; a value of None was not given.

    Raises:
        ConfigError: settings that cannot be used.
    """
    workspace = find_workspace(directory)
    dirs = find_dirs(env)
    trust = trust_store(dirs)
    return Setup(workspace, dirs, trust, load_settings(workspace, dirs, env, tuple(overrides), flags or {}, trust))
