"""What a person answered once for one workspace, such as that its detected test command, or its check, may be run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .dirs import Dirs, write_private
from .layers import read_file_layer


def answers_file(dirs: Dirs, workspace: Path) -> Path:
    """Return where the answers for a workspace are kept; the file is a layer of the settings."""
    name = hashlib.sha256(str(workspace.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return dirs.data / "projects" / f"{name}.toml"


Answer = str | Sequence[str] | None


def set_verify(dirs: Dirs, workspace: Path, command: Answer) -> None:
    """Store the test command of a workspace; "" = none is to be run, None = ask again.

    Raises:
        ConfigError: it cannot be stored, or what is stored already cannot be read.
    """
    _store(dirs, workspace, {"verify": command})


def set_check(dirs: Dirs, workspace: Path, command: Answer) -> None:
    """Store the quick check of a workspace, as set_verify does its test command."""
    _store(dirs, workspace, {"check": command})


def _store(dirs: Dirs, workspace: Path, answers: Mapping[str, Answer]) -> None:
    path = answers_file(dirs, workspace)
    kept = {**read_file_layer("answers", path).values, **answers}
    lines = [f"# Answers for the workspace {_toml(str(workspace.resolve()))}"]
    lines += [f"{name} = {_toml(command)}" for name, command in kept.items() if command is not None]
    write_private(path, ("\n".join(lines) + "\n").encode())


def _toml(value: str | Sequence[str]) -> str:
    # A JSON text is a TOML text but for DEL, which TOML wants escaped. Undecodable bytes of a path become "?".
    data = json.dumps(value if isinstance(value, str) else list(value), ensure_ascii=False)
    return data.replace("\x7f", "\\u007f").encode("utf-8", "replace").decode()
