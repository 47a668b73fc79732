"""What a person answered once for one workspace, such as that its detected test command may be run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from .dirs import Dirs, write_private


def answers_file(dirs: Dirs, workspace: Path) -> Path:
    """Return where the answers for a workspace are kept; the file is a layer of the settings."""
    name = hashlib.sha256(str(workspace.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return dirs.data / "projects" / f"{name}.toml"


def set_verify(dirs: Dirs, workspace: Path, command: str | Sequence[str] | None) -> None:
    """Store the test command of a workspace; "" = none is to be run, None = ask again.

    Raises:
        ConfigError: it cannot be stored.
    """
    path = answers_file(dirs, workspace)
    lines = [f"# Answers for the workspace {_toml(str(workspace.resolve()))}"]
    if command is not None:
        lines.append(f"verify = {_toml(command)}")
    write_private(path, ("\n".join(lines) + "\n").encode())


def _toml(value: str | Sequence[str]) -> str:
    # A JSON text is a TOML text but for DEL, which TOML wants escaped. Undecodable bytes of a path become "?".
    data = json.dumps(value if isinstance(value, str) else list(value), ensure_ascii=False)
    return data.replace("\x7f", "\\u007f").encode("utf-8", "replace").decode()
